"""Power saving in the form of each family, DTR sleep, books of sockets, values (modems.md 2A.9, 2B.8, 2C.7, 5.4)."""

import unittest
from errno import ENODEV

from harness import bg95_script, nrf91_script, sara_script, sim7080_script
from harness.aio import run
from modem.handles import claim
from modem.nrf91.cells import parse_ncellmeas
from modem.nrf91.sockets import _close_orphans
from modem.timers import encode_edrx

DRIVES = (bg95_script.drive, sim7080_script.drive, sara_script.drive)


class Dtr:
    """A board with a DTR line."""

    def dtr(self, awake):
        pass


class PowerSaving(unittest.TestCase):
    def test_timers_of_gprs_are_left_out(self):
        for drive in DRIVES:
            fake = drive(lambda m, fake: m.power_save(28800, 10, 20.48), None, True)[1]
            self.assertEqual(fake.commands(), ['AT+CPSMS=1,,,"00101000","00000101"', 'AT+CEDRXS=2,4,"0010"'])

    def test_nbiot_has_fewer_cycles(self):
        cycles = [(seconds, encode_edrx(seconds, True)) for seconds in (5.12, 20.48, 61.44, 90, 150, 164, 2622)]
        wanted = ["0010", "0010", "0011", "0101", "0101", "1001", "1101"]
        self.assertEqual([code for _, code in cycles], wanted)
        self.assertEqual([encode_edrx(seconds) for seconds in (5.12, 61.44, 150)], ["0000", "0100", "1000"])

        async def body(m, fake):
            m.registration["rat"] = "nbiot"
            await m.power_save(None, None, 61.44)

        self.assertEqual(nrf91_script.drive(body)[1].commands(), ["AT+CPSMS=0", 'AT+CEDRXS=2,5,"0011"'])

    def test_the_line_that_lets_it_sleep_is_looked_at(self):
        """Without its command neither modem heeds DTR, and SLEEP would be a pretence."""
        for drive, cmd in ((bg95_script.drive, "AT+QSCLK=1"), (sim7080_script.drive, "AT+CSCLK=1")):
            fake = drive(lambda m, fake: m.start(), started=False, power=Dtr())[1]
            self.assertIn(cmd, fake.commands())
            fake = drive(lambda m, fake: m.start(), started=False)[1]
            self.assertTrue(cmd not in fake.commands())


class Books(unittest.TestCase):
    def test_a_number_that_joins_while_another_is_closed_stays_in_the_books(self):
        class Modem:
            restarted = False
            orphans = [1]
            endpoints = {}
            closed = []

            async def close_handle(self, number):
                if not self.closed:
                    self.orphans.append(2)  # a close() that is cancelled right now
                self.closed.append(number)

        modem = Modem()
        self.assertEqual(run(claim(modem, (1, 2, 3))), 1)
        self.assertEqual((modem.closed, modem.orphans), ([1, 2], [1]))

    def test_books_that_a_restart_empties_meanwhile(self):
        async def body(m, fake):
            m.orphans[:] = [3, 4]
            fake.answers["AT#XCLOSE=3"] = lambda cmd: (m.orphans.clear(), b"\r\nOK\r\n")[1]
            await _close_orphans(m)
            return m.orphans

        self.assertEqual(nrf91_script.drive(body)[0], [])

    def test_no_datagrams_in_the_clear_instead_of_dtls(self):
        """SARA-R410 has TLS on streams only: +USOSEC would be of no effect on a datagram socket."""

        async def body(m, fake):
            m.caps = frozenset(("PSM",))
            try:
                await m.dtls_open("coap.nrfcloud.com", 5684, 42, "coap.nrfcloud.com", ca=b"x")
            except OSError as error:
                return error.args[0], fake.commands()

        self.assertEqual(sara_script.drive(body, started=None)[0], (ENODEV, []))


class Values(unittest.TestCase):
    def test_a_timing_advance_that_can_be_none(self):
        line = b'%%NCELLMEAS: 0,"01A2B3C4","26201","5A10",%d,1300,417,49,20,107504'
        found = [parse_ncellmeas(line % ta)["ta"] for ta in (0, 20512, 20513, 65535)]
        self.assertEqual(found, [0, 20512, None, None])

    def test_a_hint_without_time(self):
        async def body(m, fake):
            await m.gnss_hint(None, {"lat": 1, "lon": 2, "acc_mm": 3})
            return fake.commands()

        self.assertEqual(nrf91_script.drive(body)[0], [])

    def test_a_neighbour_without_channel_is_none(self):
        line = b'%NCELLMEAS: 0,"01A2B3C4","26201","5A10",0,1300,417,49,20,7,1300,251,33,4,0,,107,26,14,25,6300,,26,14,5'
        self.assertEqual([(n["earfcn"], n["pci"]) for n in parse_ncellmeas(line)["neighbours"]], [(1300, 251)])

    def test_filler_of_an_iccid(self):
        async def body(m, fake):
            return (await m.identity())["iccid"]

        answers = {"AT+CCID": b"\r\n8988303000001234567F\r\n\r\nOK\r\n"}
        self.assertEqual(sim7080_script.drive(body, answers)[0], "8988303000001234567")


class Address(unittest.TestCase):
    def opened(self, address):
        async def body(m, fake):
            await m.attach()
            try:
                await m.udp_open("coap.example", 5683)
            except OSError:
                pass
            return [x for x in fake.commands() if x.startswith("AT#XSOCKET=")]

        said = b"\r\n+CGPADDR: 0," + address + b"\r\n\r\nOK\r\n"
        return nrf91_script.drive(body, {"AT+CGPADDR=0": said})[0]

    def test_a_network_of_ipv6_alone(self):
        self.assertEqual(self.opened(b'"2001:db8::1"'), ["AT#XSOCKET=2,2,0"])
        self.assertEqual(self.opened(b'"","2001:db8::1"'), ["AT#XSOCKET=2,2,0"])
        self.assertEqual(self.opened(b'"10.0.0.1","2001:db8::1"'), ["AT#XSOCKET=1,2,0"])


if __name__ == "__main__":
    unittest.main()
