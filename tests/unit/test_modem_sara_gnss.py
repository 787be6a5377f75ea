"""modem.sara_r5 over a scripted modem with a scripted receiver inside: fixes, and assistance as UBX-MGA frames.

Vectors of frames are those of modems.md 3.5.
"""

import asyncio
import struct
import unittest
from binascii import hexlify, unhexlify
from errno import EINVAL

from gnss.ubx import accepted, frame, unpack
from harness import sara_script
from harness.sara_script import ERROR, OK, errno_of, said
from modem.sara_r5.gnss import parse_uuloc

START = "AT+UGPS=1,1,67"
ULOC = b"+UULOC: 02/01/2026,03:04:05.000,60.1700120,24.9400340,25,12,3,90,10,1,8,0,1"
NO_FIX = b"+UULOC: 02/01/2026,03:04:05.000,0.0000000,0.0000000,0,20000000,0,0,0,1,0,0,0"
NOW = 1767323045  # 2026-01-02 03:04:05
FIX = {"lat": 601700120, "lon": 249400340, "alt_mm": 25000, "acc_mm": 12000}
FIX.update({"speed_mm_s": 3000, "heading_mdeg": 90000, "time": NOW})

TIME = "B5621340180010000080EA07010203040500000000000200000000000000FD07"
PLACE = "B5621340140001000000A036DD23C08ADD0EC4090000E0930400B709"
IONO = "B56213001000060000000801FFFF2E01FFFD000000005BB6"
UTC = "B5621300140005000000FFFFFFFFFEFFFFFF123D6489071200007806"
BLOB = b"\x01\x04\x01\x00" + bytes((8, 1, 255, 255, 46, 1, 255, 253))
BLOB += b"\x01\x01\x00" + struct.pack("<iiBBbBbb", -2, -1, 61, 100, 18, 137, 7, 18)


def drive(body, answers=None, timeout_s=8):
    return sara_script.drive(body, answers, None, timeout_s)



def news(line):
    return b"\r\n" + line + b"\r\n"


def made(cls, ident, payload):
    buf = bytearray(6) + bytearray(payload) + bytearray(2)
    frame(buf, cls, ident, len(payload))
    return bytes(buf)


class M8:
    """The receiver's side of +UGUBX. `got`: hex of MGA frames; `says`: what to answer them, code by code."""

    def __init__(self, knows_time=False, fixed=False, orbits=(), says=(), busy=0, uloc=()):
        self.pvt = bytearray(92)
        if knows_time:
            struct.pack_into("<HBBBBBB", self.pvt, 4, 2026, 1, 2, 3, 4, 5, 3)
        if fixed:
            self.pvt[20], self.pvt[21] = 3, 1
            struct.pack_into("<iiiiI", self.pvt, 24, 249400340, 601700120, 25000, 20000, 12000)
        self.orb = bytearray(8)
        self.orb[4], self.orb[5] = 1, len(orbits)
        for prn in orbits:
            self.orb += bytes((0, prn, 0x11, 8, 0, 0))
        self.acks = False
        self.got = []
        self.says = list(says)
        self.busy = busy
        self.uloc = list(uloc)  # answers to position requests
        self.seconds = []  # which gave it so long

    def __call__(self, command):
        if command.startswith("AT+ULOC=2,1,1,") and command.endswith(",100"):
            self.seconds.append(int(command[14:-4]))
            return self.uloc.pop(0) if self.uloc else OK
        if not command.startswith("AT+UGUBX="):
            return None
        if self.busy:
            self.busy -= 1
            return ERROR
        text = command[10:-1]
        raw = unhexlify(text)
        cls, ident, payload = unpack(raw)
        if cls == 6:
            self.acks = True
            return self.reply(made(5, 1, bytes((6, ident))))
        if cls == 1:
            return self.reply(made(1, ident, self.pvt if ident == 7 else self.orb))
        self.got.append(text)
        if not self.acks:
            return OK
        code = self.says.pop(0) if self.says else 0
        return self.reply(made(0x13, 0x60, bytes((0 if code else 1, 0, code, ident)) + bytes(payload[:4])))

    def reply(self, raw):
        return said(b'+UGUBX: "' + hexlify(raw).upper() + b'"')


def with_receiver(body, receiver, answers=None, **start):
    """Run body(modem, fake) between gnss_start and gnss_stop; -> (result, commands, what was lost)."""

    async def whole(m, fake):
        fake.other = receiver
        await m.gnss_start(**start)
        try:
            return await body(m, fake)
        finally:
            await m.gnss_stop()

    got, fake, lost = drive(whole, answers, timeout_s=15)
    return got, fake.commands(), lost


class Fixes(unittest.TestCase):
    def test_transcript(self):
        async def body(m, fake):
            return await m.gnss_fix(120000), await m.gnss_fix(500)

        receiver = M8(uloc=(OK + news(ULOC),))
        (fix, after), sent, _ = with_receiver(body, receiver)
        self.assertEqual((fix, after), (FIX, None))  # one fix, as asked for
        self.assertTrue(100 < receiver.seconds[0] < 120)  # ends before we do
        self.assertEqual((sent[0], len(sent), sent[-1]), (START, 3, "AT+UGPS=0"))

    def test_news_before_the_result(self):
        receiver = M8(uloc=(news(ULOC) + OK,))
        got = with_receiver(lambda m, fake: m.gnss_fix(1500), receiver)[0]
        self.assertEqual((got, len(receiver.seconds)), (FIX, 1))

    def test_no_fix(self):
        receiver = M8(knows_time=True, uloc=(OK + news(NO_FIX),))
        self.assertEqual(with_receiver(lambda m, fake: m.gnss_fix(300), receiver)[0], None)

    def test_17_lost_news(self):
        """+UULOC never came: the receiver itself knows."""
        receiver = M8(knows_time=True, fixed=True)
        got = with_receiver(lambda m, fake: m.gnss_fix(100), receiver)[0]
        self.assertEqual([got[k] for k in ("lat", "lon", "acc_mm", "time")], [601700120, 249400340, 12000, NOW])
        self.assertEqual(receiver.seconds, [1])

    def test_position_request_refused(self):
        receiver = M8(knows_time=True, fixed=True, uloc=[ERROR] * 4)
        got = with_receiver(lambda m, fake: m.gnss_fix(5000), receiver)[0]
        self.assertEqual((got["lat"], len(receiver.seconds)), (601700120, 4))

    def test_position_request_refused_at_first(self):
        receiver = M8(uloc=[ERROR] * 3 + [OK + news(ULOC)])
        got = with_receiver(lambda m, fake: m.gnss_fix(5000), receiver)[0]
        self.assertEqual((got, len(receiver.seconds)), (FIX, 4))

    def test_continuous(self):
        async def body(m, fake):
            return [(await m.gnss_fix(2900))["lat"], (await m.gnss_fix(2900))["lat"]]

        receiver = M8(uloc=[OK + news(line) for line in (ULOC, ULOC.replace(b"60.17", b"61.17"))])
        self.assertEqual(with_receiver(body, receiver, interval_s=1)[0], [601700120, 611700120])

    def test_was_running(self):
        _, sent, _ = with_receiver(lambda m, fake: errno_of(m.signal()), M8(), {START: [ERROR, OK]})
        self.assertEqual(sent[:3], [START, "AT+UGPS=0", START])

    def test_stopped_while_waiting(self):
        async def stop(m, fake):
            await m.gnss_stop()

        async def restart(m, fake):
            fake.say(news(b"+UUPSMR: 1"))

        async def body(m, fake, end):
            waiting = asyncio.create_task(m.gnss_fix(60000))
            while not any([x.startswith("AT+ULOC") for x in fake.commands()]):
                await asyncio.sleep_ms(5)
            await end(m, fake)
            first = await waiting
            fake.say(news(ULOC))
            return first, await m.gnss_fix(5000), await m.gnss_need(50), m.at.parser.unknown

        for end in (stop, restart):
            got = with_receiver(lambda m, fake, end=end: body(m, fake, end), M8())[0]
            self.assertEqual(got, (None, None, None, 0))

    def test_parser(self):
        self.assertEqual(parse_uuloc(ULOC), FIX)
        short = parse_uuloc(b"+UULOC: 02/01/2026,03:04:05.000,-33.9000001,-151.2,25,12")
        self.assertEqual([short[k] for k in ("lat", "lon", "speed_mm_s")], [-339000001, -1512000000, None])
        self.assertEqual(parse_uuloc(ULOC.replace(b"2026", b"2006"))["time"], None)  # weeks rolled over
        for line in (
            b"+UULOC: 1",
            NO_FIX,
            ULOC.replace(b",1,8,", b",2,8,"),  # by cells
            ULOC.replace(b"60.17", b"160.17"),
            ULOC.replace(b"60.17", b"x"),
            ULOC.replace(b",12,", b",0,"),
        ):
            self.assertEqual(parse_uuloc(line), None)


class Assistance(unittest.TestCase):
    def test_hints_are_the_vectors(self):
        receiver = M8()
        place = {"lat": 601700000, "lon": 249400000, "acc_mm": 3000000, "alt_mm": 25000}
        with_receiver(lambda m, fake: m.gnss_hint(NOW, place), receiver)
        self.assertEqual(receiver.got, [TIME, PLACE])
        self.assertTrue(receiver.acks)

    def test_blob(self):
        for blob in (BLOB, [BLOB[:7], BLOB[7:]], memoryview(BLOB)):
            receiver = M8()
            with_receiver(lambda m, fake, blob=blob: m.agnss_inject(blob), receiver)
            self.assertEqual(receiver.got, [UTC, IONO])

    def test_a_busy_receiver(self):
        receiver = M8(busy=4)
        got = with_receiver(lambda m, fake: errno_of(m.agnss_inject(BLOB)), receiver)[0]
        self.assertEqual((got, receiver.got), (None, [UTC, IONO]))
        receiver = M8(busy=1000)
        got = with_receiver(lambda m, fake: errno_of(m.agnss_inject(BLOB)), receiver)[0]
        self.assertEqual((got.cmd, receiver.got), ("AT+UGUBX", []))

    def test_it_wants_the_time_first(self):
        receiver = M8(says=(1,))
        with_receiver(lambda m, fake: m.agnss_inject(BLOB), receiver)
        self.assertEqual(receiver.got, [UTC, TIME, UTC, IONO])

    def test_what_was_taken_is_not_asked_for_again(self):
        async def body(m, fake):
            before = await m.gnss_need(1000)
            await m.agnss_inject(BLOB)
            return before, await m.gnss_need(1000)

        # The second frame, the ionosphere, is refused for good.
        (before, after), _, _ = with_receiver(body, M8(knows_time=True, says=(0, 6)))
        self.assertEqual((before["flags"] & 3, after["flags"] & 3), (3, 2))

    def test_need(self):
        held = range(1, 9)  # as many satellites as are in view
        async def body(m, fake):
            return await m.gnss_need(1000)

        receiver = M8(orbits=held)
        need, _, _ = with_receiver(body, receiver)
        self.assertEqual(receiver.got, [TIME])  # the network knows, so nobody else is asked
        self.assertEqual((need["flags"], need["systems"]), (0x13, {1: (0, 0)}))
        need, _, _ = with_receiver(body, M8(orbits=(1, 32)))
        self.assertEqual(need["systems"], {1: (0x7FFFFFFE, 0)})
        unset = said(b'+CCLK: "80/01/06,00:00:10+00"')
        need, _, _ = with_receiver(body, M8(), {"AT+CCLK?": unset})
        self.assertEqual((need["flags"] & 0x18, need["systems"]), (0x18, {1: (0xFFFFFFFF, 0)}))

    def test_need_of_a_busy_receiver(self):
        need, _, _ = with_receiver(lambda m, fake: m.gnss_need(1000), M8(busy=1000))
        self.assertEqual(need["systems"], {1: (0xFFFFFFFF, 0)})

    def test_no_assistance(self):
        receiver = M8()
        for blob in (b"", b'{"err":40400}', BLOB[:-1], b"\x02" + BLOB[1:]):
            got = with_receiver(lambda m, fake, blob=blob: errno_of(m.agnss_inject(blob)), receiver)[0]
            self.assertEqual(got, EINVAL)
        self.assertEqual(receiver.got, [])
        self.assertEqual(drive(lambda m, fake: errno_of(m.agnss_inject(BLOB)))[0], EINVAL)  # it is off

    def test_replies_that_are_none(self):
        """Not hex, cut off, of another frame: as if it had said nothing."""
        for answer in (said(b'+UGUBX: "xyz"'), said(b'+UGUBX: "B562"'), said(b"+UGUBX:"), OK):
            got = with_receiver(lambda m, fake: errno_of(m.agnss_inject(BLOB)), lambda line, answer=answer: answer)[0]
            self.assertEqual(got, None)
        self.assertEqual(accepted(b"\x01\x00\x00\x00zzzz", unhexlify(UTC)), None)


if __name__ == "__main__":
    unittest.main()
