"""modem.link, .family and .info: late answers, the PIN, limits of a family, noise (modems.md 1.1, 1.3, 1.6)."""

import asyncio
import unittest

from harness import sara_script
from harness.nrf91_script import drive
from modem.base import SimError
from modem.convert import quotable
from modem.info import parse_cclk
from modem.nrf91.keys import execute, write

ERROR = b"\r\nERROR\r\n"
OK = b"\r\nOK\r\n"
SEARCHING = b'\r\n+CEREG: 5,2,"FFFE","FFFFFFFF",7\r\n\r\nOK\r\n'
HOME = b'\r\n+CEREG: 5,1,"5A10","01A2B3C4",7\r\n\r\nOK\r\n'
ASKS = b"\r\n+CPIN: SIM PIN\r\n\r\nOK\r\n"
READY = b"\r\n+CPIN: READY\r\n\r\nOK\r\n"


class Registration(unittest.TestCase):
    def test_14_a_late_read_answer_is_no_registration(self):
        """`+CEREG: 5,2,...` behind its command's timeout: 5 is what start() set, not `roaming`."""

        async def body(m, fake):
            seen = []
            for line in (b"+CEREG: 5,2", b'+CEREG: 5,0,"5A10"', b"+CEREG: 2", b'+CEREG: 5,"5A10","01A2B3C4",7'):
                fake.say(b"\r\n" + line + b"\r\n")
                await asyncio.sleep_ms(5)
                seen.append(m.registration["stat"])
            return seen

        self.assertEqual(drive(body)[0], [2, 0, 2, 5])

    def test_cells_that_are_none_are_none(self):
        async def body(m, fake):
            fake.say(b'\r\n+CEREG: 2,"FFFE","FFFFFFFF",7\r\n')
            await asyncio.sleep_ms(5)
            first = m.registration["tac"], m.registration["eci"]
            fake.say(b'\r\n+CEREG: 2,"FFFF","0FFFFFFF",7\r\n')
            await asyncio.sleep_ms(5)
            return first, (m.registration["tac"], m.registration["eci"])

        self.assertEqual(drive(body)[0], ((None, None), (None, None)))

    def limits(self, script, body):
        """-> {command: the timeout in ms that it was given}"""
        given = {}

        async def watched(m, fake):
            command = m.at.command

            async def note(cmd, *args, **options):
                given[cmd] = options.get("timeout_ms", 1000)
                return await command(cmd, *args, **options)

            m.at.command = note
            await body(m)

        script(watched, {"AT+CEREG?": [SEARCHING, HOME], "AT+CPIN?": READY})
        return given

    def test_the_radio_has_the_time_that_its_family_needs(self):
        async def off_and_on(m):
            m.poll_ms = 20
            await m.attach()
            await m.detach()

        def sara(body, answers):
            answers = dict(answers)
            sara_script.drive(body, answers, started=None)

        given = self.limits(sara, off_and_on)
        self.assertTrue(given["AT+CFUN=1"] >= 180000 and given["AT+CFUN=4"] >= 180000)


class Sim(unittest.TestCase):
    def attach(self, pin, answers):
        """-> (kind of the SimError or None, PINs presented, whether it is still there)"""

        async def body(m, fake):
            m.pin = pin
            command = m.at.command

            async def hurried(cmd, *args, **options):
                if cmd.startswith("AT+CPIN="):
                    options["timeout_ms"] = 100
                return await command(cmd, *args, **options)

            m.at.command = hurried
            kind = None
            fake.answers["AT+CEREG?"] = [SEARCHING, HOME]
            try:
                await m.attach()
            except SimError as error:
                kind = error.kind
            return kind, [x for x in fake.commands() if x.startswith("AT+CPIN=")], m.pin

        return drive(body, answers)[0]

    def test_a_pin_whose_answer_got_lost_is_not_tried_again(self):
        lost = {'AT+CPIN="1234"': b""}
        lost["AT+CPIN?"] = [ASKS, READY]
        self.assertEqual(self.attach("1234", lost), (None, ['AT+CPIN="1234"'], None))
        lost["AT+CPIN?"] = ASKS
        self.assertEqual(self.attach("1234", lost), ("pin", ['AT+CPIN="1234"'], None))

    def test_what_is_no_pin_is_not_sent(self):
        for pin in ('1"+CFU', "123", "12a4", "123456789"):
            self.assertEqual(self.attach(pin, {"AT+CPIN?": ASKS}), ("pin", [], None))

    def test_the_lock_of_the_phone_is_not_the_sims(self):
        """Our PIN is not its code; a wrong one counts there, too."""

        async def body(m, fake):
            from modem.link import _sim_state

            return await _sim_state(m)

        said = b"\r\n+CPIN: PH-SIM PIN\r\n\r\nOK\r\n"
        self.assertEqual(drive(body, {"AT+CPIN?": said})[0], "busy")

    def test_a_radio_that_refuses_without_sim(self):
        answers = {"AT+CFUN=1": b"\r\n+CME ERROR: 10\r\n", "AT+CPIN?": b"\r\n+CME ERROR: 10\r\n"}
        self.assertEqual(self.attach("1234", answers), ("missing", [], "1234"))


class Values(unittest.TestCase):
    def test_nothing_that_erases_stands_between_quotes(self):
        """0x08 and 0x7F take back what was typed, the quote too."""
        self.assertEqual(quotable("iot.example"), "iot.example")
        for bad in ("a\x08", "a\x7f", "a\x1a", "a\0", 'a"', "a\r", ""):
            with self.assertRaises(ValueError):
                quotable(bad)

    def test_nor_in_what_others_have_us_run(self):
        async def refused(coro):
            try:
                await coro
            except ValueError:
                return True
            return False

        async def body(m, fake):
            fake.sent.clear()
            return (
                await refused(execute(m, "%CMNG", '0,42,0,"x\x7f\x7f#XSLEEP=1"')),
                await refused(execute(m, "%CMNG", '0,42,0,"x\x08"')),
                await refused(write(m, 42, 0, "x\x7f")),
                await refused(execute(m, "%CMNG", '0,42,0,"-----\r\nQQ==\r\n"')),
                len(fake.commands()),
            )

        self.assertEqual(drive(body)[0], (True, True, True, False, 1))

    def test_noise_is_no_time(self):
        self.assertEqual(parse_cclk(b'+CCLK: "26/01/02,05:04:05+08"'), 1767323045)
        for noise in (b"26/13/02,05:04:05+08", b"26/01/00,05:04:05+08", b"26/01/02,45:04:05+08", b"26/01/02,05:74:05"):
            self.assertEqual(parse_cclk(b'+CCLK: "' + noise + b'"'), None)


if __name__ == "__main__":
    unittest.main()
