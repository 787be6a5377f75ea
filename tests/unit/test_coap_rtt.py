"""The round trip estimator: RFC 6298 with Karn's rule, and what the message layer makes of it."""

import time
import unittest

import coap
from coap.rtt import RTT
from harness.aio import run
from harness.coap_support import Script
from harness.fakenet import ACK, CON, FakeEndpoint


class Estimator(unittest.TestCase):
    def test_before_any_sample(self):
        rtt = RTT(2000)
        self.assertEqual((rtt.rto(), rtt.srtt, rtt.samples), (2000, 0, 0))

    def test_formulas_of_rfc_6298(self):
        """SRTT, RTTVAR and RTO by section 2 in exact fractions; ours are integers, 1 ms off at most."""
        rtt = RTT(2000)
        srtt = var = None
        for sample in (1000, 1100, 900, 2500, 800, 1000, 1000, 5000, 1200, 1000):
            rtt.sample(sample)
            if srtt is None:
                srtt, var = sample, sample / 2
            else:
                var = 0.75 * var + 0.25 * abs(srtt - sample)
                srtt = 0.875 * srtt + 0.125 * sample
            with self.subTest(sample=sample):
                self.assertTrue(abs(rtt.srtt - srtt) <= 2, (rtt.srtt, srtt))
                self.assertTrue(abs(rtt.rto() - (srtt + 4 * var)) <= 16, (rtt.rto(), srtt + 4 * var))

    def test_steady_link_keeps_a_margin(self):
        rtt = RTT(2000)
        for _ in range(100):
            rtt.sample(600)
        self.assertEqual((rtt.srtt, rtt.rto()), (600, 800))

    def test_small_ack_timeout_is_the_margin(self):
        rtt = RTT(50)
        for _ in range(100):
            rtt.sample(1)
        self.assertEqual(rtt.rto(), 51)

    def test_back_off_holds_until_the_next_sample(self):
        rtt = RTT(2000)
        rtt.sample(100)
        self.assertEqual(rtt.rto(), 300)
        rtt.doubt(7, 1200)
        rtt.answered_again(8)
        self.assertEqual(rtt.rto(), 300)  # who knows whose: and a loss alone is no reason
        rtt.answered_again(7)
        self.assertEqual(rtt.rto(), 1200)
        rtt.answered_again(7)
        rtt.doubt(9, 600)
        rtt.answered_again(9)  # no reason to become quicker
        self.assertEqual(rtt.rto(), 1200)
        rtt.sample(100)
        self.assertTrue(rtt.rto() <= 300)

    def test_bounds(self):
        rtt = RTT(2000)
        rtt.sample(-5)  # ticks may be set back by a port that corrects them
        self.assertEqual(rtt.srtt, 0)
        rtt.sample(10000000)
        self.assertEqual(rtt.rto(), 60000)
        rtt.doubt(7, 10000000)
        rtt.answered_again(7)
        self.assertEqual(rtt.rto(), 60000)

    def test_old_estimates_count_for_nothing_better_than_the_default(self):
        rtt = RTT(2000)
        rtt.sample(100)
        rtt.at = time.ticks_add(time.ticks_ms(), -10001)
        self.assertEqual(rtt.rto(), 2000)
        rtt.doubt(7, 5000)
        rtt.answered_again(7)
        self.assertEqual(rtt.rto(), 5000)


class Layer(unittest.TestCase):
    def ask(self, endpoint, count, **tuning):
        async def go():
            client = coap.Client(endpoint, linger_ms=0, **tuning)
            for _ in range(count):
                await client.request(coap.GET, "a")
            await client.close()
            return client

        return run(go(), timeout_s=20)

    def test_answers_are_samples(self):
        client = self.ask(FakeEndpoint(lambda s: [(40, s.ack())]), 3)
        self.assertEqual(client.rtt.samples, 3)
        self.assertTrue(client.rtt.srtt >= 39)
        self.assertTrue(client.rtt.rto() < 2000)

    def test_the_ack_is_the_sample_of_a_separate_answer(self):
        peer = Script(lambda s: [s.empty(ACK), (600, s.separate(CON, 7))])
        client = self.ask(FakeEndpoint(peer), 1)
        self.assertEqual(client.rtt.samples, 1)
        self.assertTrue(client.rtt.srtt < 500)

    def test_a_repeated_request_is_none(self):
        peer = Script(None, lambda s: [s.ack()])
        client = self.ask(FakeEndpoint(peer), 1, ack_timeout_ms=30)
        self.assertEqual((client.rtt.samples, client.retransmitted), (0, 1))
        self.assertEqual(client.rtt.rto(), 30)  # it was lost, not slow

    def test_link_that_becomes_slow_is_learnt(self):
        """The round trip grows from 1 to 60 ms: without the back-off every request would go out twice for ever."""
        quick = [lambda s: [s.ack()]] * 10
        slow = [lambda s: [(60, s.ack())]] * 60
        endpoint = FakeEndpoint(Script(*(quick + slow)))
        client = self.ask(endpoint, 30, ack_timeout_ms=20)
        self.assertTrue(client.rtt.srtt > 30, client.rtt.srtt)
        self.assertTrue(client.retransmitted < 12, client.retransmitted)

    def test_patience_is_that_of_the_rfc_however_quick_the_link_was(self):
        """However short the measured time: retransmissions go on over all of MAX_TRANSMIT_WAIT."""
        peer = Script(*([lambda s: [s.ack()]] * 8))
        endpoint = FakeEndpoint(peer)
        began = []

        async def go():
            client = coap.Client(endpoint, linger_ms=0, ack_timeout_ms=100, ack_random=1, max_retransmit=2)
            for _ in range(8):
                await client.request(coap.GET, "a")
            began.append(time.ticks_ms())
            try:
                await client.request(coap.GET, "a")
            except coap.Timeout:
                began.append(time.ticks_ms())
            await client.close()

        run(go(), timeout_s=20)
        self.assertTrue(time.ticks_diff(began[1], began[0]) >= 100 * 7)
        self.assertTrue(len(endpoint.sent) - 8 >= 3, len(endpoint.sent))
        self.assertEqual(endpoint.sent[8:], [endpoint.sent[8]] * (len(endpoint.sent) - 8))


if __name__ == "__main__":
    unittest.main()
