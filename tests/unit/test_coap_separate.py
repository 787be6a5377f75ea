"""coap: separate answers, pings, rejected messages; with a bad link under all of it.

Scenarios: RFC 7252 4.3 and 5.2.2, the lossy and separate cases of the ETSI plugtests (CORE_15..17), separate answers
without ACK.
"""

import unittest

import coap
from harness.aio import run
from harness.coap_support import Script, ask, echo
from harness.fakenet import ACK, CON, NON, RST, FakeEndpoint, Impaired, message, opts
from harness.rng import Rng, seed


class Separate(unittest.TestCase):
    def test_answers(self):
        for name, mtype, with_ack, late_ack in (
            ("ACK, then CON", CON, True, False),
            ("ACK, then NON", NON, True, False),
            ("CON, the ACK was lost", CON, False, False),
            ("NON, the ACK was lost", NON, False, False),
            ("CON overtakes the ACK", CON, False, True),
        ):
            with self.subTest(name=name):

                def serve(s, mtype=mtype, with_ack=with_ack, late_ack=late_ack):
                    out = [s.empty(ACK)] if with_ack else []
                    out.append((15, s.separate(mtype, 0x7777, payload=b"late")))
                    return out + ([(25, s.empty(ACK))] if late_ack else [])

                script = Script(serve)
                endpoint = FakeEndpoint(script)
                client, answer = run(ask(endpoint, 30))
                self.assertEqual(bytes(answer.payload), b"late")
                self.assertEqual(script.control, [(ACK, 0x7777)] if mtype == CON else [])
                self.assertEqual(client.retransmitted, 0)

    def test_no_retransmission_after_the_ack(self):
        script = Script(lambda s: [s.empty(ACK), (120, s.separate(CON, 5, payload=b"x"))])
        client, answer = run(ask(FakeEndpoint(script)))
        self.assertEqual((bytes(answer.payload), client.retransmitted), (b"x", 0))

    def test_ack_then_silence(self):
        endpoint = FakeEndpoint(Script(lambda s: [s.empty(ACK)]))
        _, error = run(ask(endpoint, separate_timeout_ms=60))
        self.assertIsInstance(error, coap.Timeout)
        self.assertEqual(len(endpoint.sent), 1)

    def test_repeated_answer_is_acknowledged_again(self):
        script = Script(lambda s: [s.separate(CON, 9)] + [(d, s.separate(CON, 9)) for d in (5, 10, 15)])
        client, answer = run(ask(FakeEndpoint(script), 30))
        self.assertEqual(answer.code, coap.CONTENT)
        self.assertEqual(script.control, [(ACK, 9)] * 4)

    def test_answer_nobody_waits_for_is_reset(self):
        script = Script(lambda s: [s.ack(), (5, message(CON, 0x45, 8, b"gone")), (5, message(NON, 0x45, 9, b"gone"))])
        client, _ = run(ask(FakeEndpoint(script), 20))
        self.assertEqual((script.control, client.dropped), ([(RST, 8)], 2))

    def test_ping_and_request_are_reset(self):
        script = Script(lambda s: [message(CON, 0, 3), message(CON, 1, 4, b"tok1"), message(NON, 1, 5), s.ack()])
        client, _ = run(ask(FakeEndpoint(script)))
        self.assertEqual(script.control, [(RST, 3), (RST, 4)])

    def test_ping_while_lingering(self):
        script = Script(lambda s: [s.ack(), (10, message(CON, 0, 3))])
        run(ask(FakeEndpoint(script), 30))
        self.assertEqual(script.control, [(RST, 3)])

    def test_critical_option(self):
        bad = opts((9, b"\x01"))
        for mtype, control in ((ACK, []), (CON, [(RST, 6)]), (NON, [])):
            with self.subTest(mtype=mtype):
                script = Script(
                    lambda s, t=mtype: [s.ack(options=bad) if t == ACK else s.separate(t, 6, options=bad)]
                )
                _, error = run(ask(FakeEndpoint(script), 10))
                self.assertIsInstance(error, coap.BadResponse)
                self.assertEqual(script.control, control)


class Impairment(unittest.TestCase):
    def test_bad_link(self):
        """Right answers or Timeout, never a wrong answer: the test that microCoAPy fails 198 times of 200."""

        async def go(rng, impaired):
            client = coap.Client(FakeEndpoint(impaired), ack_timeout_ms=15, max_retransmit=6, linger_ms=0)
            for i in range(60):
                body = b"message %d" % i
                answer = await client.request(coap.POST, "telemetry", payload=body)
                self.assertEqual(bytes(answer.payload), body)
            await client.close()

        def separate(s):
            if not s.code:
                return []
            answer = s.separate(CON, s.mid ^ 0x5555, payload=s.payload)
            return [s.empty(ACK), answer, (20, answer), (50, answer), (90, answer), (150, answer)]

        rng = Rng(seed(4711))
        for peer in (echo, separate):
            impaired = Impaired(peer, rng, loss=10, double=10, late=10, late_ms=30)
            run(go(rng, impaired), timeout_s=30)
            self.assertTrue(impaired.lost)


if __name__ == "__main__":
    unittest.main()
