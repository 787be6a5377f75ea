"""modem.base as the four families keep it, as far as that needs no modem: verbs, errors, and a line that is silent.

What needs one is tests/integration/test_modem_contract.py."""

import asyncio
import unittest
from errno import ETIMEDOUT

import modem
from harness.aio import run
from harness.fakemodem import FakeModem
from modem.base import Denied, SimError
from modem.verbs import find

FAMILIES = ("nrf91", "sara_r5", "bg95", "sim7080")
ALL = "start attach detach registered identity time signal cells udp_open dtls_open reset power_save sleep wake"
GNSS = "gnss_start gnss_fix gnss_stop gnss_hint"
OWN = {
    "nrf91": "search gnss_need agnss_inject jwt attestation execute battery_mv",
    "sara_r5": "gnss_need agnss_inject",
    "bg95": "xtra xtra_valid_s",
    "sim7080": "xtra xtra_valid_s battery_mv",
}


def made(family, answers=None):
    fake = FakeModem(answers)
    m = modem.load(family)(fake)
    m.at.probe_ms, m.at.quiet_ms, m.at.drain_ms = 10, 5, 20
    return m, fake


class Verbs(unittest.TestCase):
    def test_every_verb_has_its_function(self):
        for family in FAMILIES:
            m, _ = made(family)
            for verb in (ALL + " " + GNSS + " " + OWN[family]).split():
                self.assertTrue(callable(find(family, verb)), (family, verb))
                self.assertTrue(callable(getattr(m, verb)), (family, verb))

    def test_a_verb_that_it_has_not(self):
        for family in FAMILIES:
            m, _ = made(family)
            with self.assertRaises(AttributeError):
                m.fly()

    def test_before_start(self):
        for family in FAMILIES:
            m, fake = made(family)
            self.assertEqual((m.family, m.caps, m.restarted, m.on_lost), (family, frozenset(), True, None))
            self.assertEqual(fake.sent, [])  # making one says nothing

    def test_unknown_family(self):
        with self.assertRaises(ImportError):
            modem.load("nokia3310")


class Silence(unittest.TestCase):
    def test_start_ends(self):
        """No answer at all, and no power key: a timeout, and not more than the channel needs."""
        ended = []

        async def start(family):
            m, fake = made(family)
            fake.deaf = True
            try:
                await m.start()
            except OSError as error:
                ended.append((error.args[0], m.restarted))
            finally:
                await m.at.stop()

        async def all_of_them():
            await asyncio.gather(*[start(family) for family in FAMILIES])

        run(all_of_them(), 60)
        self.assertEqual(ended, [(ETIMEDOUT, True)] * 4)


class Errors(unittest.TestCase):
    def test_denied(self):
        for cause, for_long in ((3, True), (8, True), (11, False), (15, False), (None, False)):
            self.assertEqual((Denied(cause).cause, Denied(cause).for_long), (cause, for_long))

    def test_sim(self):
        for kind in ("missing", "pin", "puk", "failure"):
            self.assertEqual(SimError(kind).kind, kind)


if __name__ == "__main__":
    unittest.main()
