"""gnss.ublox: a receiver on a UART, scripted frame by frame: start, need, assistance, fixes, sleep.

The same against a simulated M8, in world time, in tests/integration/test_gnss_receiver.py.
"""

import struct
import unittest
from errno import ENODEV, ETIMEDOUT

import clock
from gnss import ubx
from gnss.ublox import Receiver
from gnss.ublox_session import Session
from harness.aio import run
from harness.pgps_kit import record

NOW = 1767323045  # 2026-01-02 03:04:05
ALL = {"GNSS", "AGNSS", "TIMEHINT", "POSHINT"}
EPOCH = 1767323063 - 315964800  # the same in GPS time
TEXT = b"$GNRMC,030405.00,A,6010.20072,N,02456.40204,E,2.916,123.46,020126,,,A,V*06\r\n"
GGA = b"$GNGGA,030405.00,6010.20072,N,02456.40204,E,1,09,0.92,8.0,M,17.5,M,,*4E\r\n"


def framed(cls, ident, payload=b""):
    buf = bytearray(6) + payload + bytes(2)
    ubx.frame(buf, cls, ident, len(payload))
    return bytes(buf)


def pvt(fixed, timed, tow=443063000):
    return framed(1, 7, struct.pack(
        "<IHBBBBBBIiBBBBiiiiIIiiiiiIIHHIihH",
        *(tow, 2026, 1, 2, 3, 4, 5, 3 if timed else 0, 50, 0, 3 if fixed else 0, fixed, 0, 9, 249400340, 601700120),
        *(25500, 8000, 3200, 5100, 1, 2, 3, 1500, 12346000, 300, 400000, 150, 0, 0, 0, 0, 0),
    ))  # fmt: skip


class Fake:
    """Answers as it is told: `kind` of receiver ("new": M10, "old": M8, "deaf": takes no configuration, "nmea"),
    `codes`: what is said of MGA frames, one after the other, the last for ever (None: nothing)."""

    def __init__(self, kind="old", timed=True, codes=(0,), fix_after=3, asleep=0, orbits=()):
        self.kind = kind
        self.timed = timed
        self.codes = list(codes)
        self.fix_after = fix_after
        self.asleep = asleep  # writes that are lost
        self.orbits = orbits  # PRNs
        self.sent = []  # (class, id, payload)
        self.out = bytearray(b"$GNTXT,01,01,02,hello*00\r\n") if kind != "silent" else bytearray()
        self.polls = 0
        self.acks = False
        self.most = 1000  # bytes that a write takes
        self._in = bytearray()

    def readinto(self, buf):
        if not self.out:
            return None
        n = min(len(buf), len(self.out), 37)
        buf[:n] = self.out[:n]
        self.out = self.out[n:]
        return n

    def write(self, data):
        data = bytes(data)[: self.most]
        if self.asleep and data[:1] != b"\xff":
            self.asleep -= 1
            return len(data)
        self._in.extend(data)
        while self._in and self._in[0] == 0xFF:
            self._in = self._in[1:]
        while len(self._in) >= 8 and len(self._in) >= 8 + self._in[4]:
            n = 8 + self._in[4]
            found = ubx.unpack(bytes(self._in[:n]))
            self._in = self._in[n:]
            self.sent.append((found[0], found[1], bytes(found[2])))
            if self.kind not in ("nmea", "silent"):
                self.answer(*self.sent[-1])
        if self.kind == "nmea":
            self.out.extend(TEXT + GGA)
        return len(data)

    def answer(self, cls, ident, payload):
        if (cls, ident) == (1, 7):
            self.polls += 1
            self.out.extend(TEXT + pvt(int(self.polls > self.fix_after), self.timed, 443000000 + 1000 * self.polls))
        elif (cls, ident) == (1, 0x34) and self.orbits is not None:
            rows = b"".join([bytes((0, prn, 5, 0x48, 0, 0)) for prn in self.orbits])
            self.out.extend(framed(1, 0x34, struct.pack("<IBBH", 0, 1, len(self.orbits), 0) + rows))
        elif cls == 6:
            good = ident == {"new": 0x8A, "old": 0x23}.get(self.kind) and not (ident == 0x23 and payload[0] != 2)
            self.acks = self.acks or good
            self.out.extend(framed(5, int(good), bytes((cls, ident))))
        elif cls == 0x13:
            code = self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]
            if ident == 0x40 and payload[0] == 0x10:
                self.timed = True
            if code is not None and self.acks:
                self.out.extend(framed(0x13, 0x60, bytes((int(code == 0), 0, code, ident)) + payload[:4]))

    def mga(self):
        return [(ident, payload[0]) for cls, ident, payload in self.sent if cls == 0x13]


class Power:
    def __init__(self):
        self.calls = []

    async def on(self):
        self.calls.append("on")

    async def off(self):
        self.calls.append("off")


def assistance(*prns):
    blob = b"\x01\x07\x01\x00" + struct.pack("<HIHII", EPOCH // 86400, EPOCH % 86400, 0, 0, 0)
    return blob + bytes((2, len(prns), 0)) + b"".join([record(prn, EPOCH) for prn in prns])


async def nothing(receiver):
    return set(receiver.caps)


class Case(unittest.TestCase):
    def setUp(self):
        self.kept = (Session.answer_ms, Session.tick_ms, Session.retry_ms, Session.pace_ms)
        Session.answer_ms, Session.tick_ms, Session.retry_ms, Session.pace_ms = 8, 1, 2, 1
        clock.reset()

    def tearDown(self):
        Session.answer_ms, Session.tick_ms, Session.retry_ms, Session.pace_ms = self.kept
        clock.reset()

    def drive(self, body, fake, receiver=None, start=True, **how):
        receiver = receiver or Receiver(fake, **how)

        async def all_of_it():
            if start:
                await receiver.gnss_start()
            try:
                return await body(receiver)
            finally:
                await receiver.gnss_stop()

        return run(all_of_it())

    def errno(self, body, fake, **how):
        try:
            self.drive(body, fake, **how)
        except OSError as error:
            return error.args[0]
        return None


class Start(Case):
    def test_caps_by_what_answers(self):
        for kind, caps, acks in (
            ("old", ALL, True),
            ("new", ALL, True),
            ("deaf", ALL, False),
            ("nmea", {"GNSS"}, False),
        ):

            async def body(receiver):
                return set(receiver.caps), receiver.gnss.acks

            fake = Fake(kind)
            self.assertEqual(self.drive(body, fake), (caps, acks), kind)
            slept = fake.sent[-1][:2] == (2, 0x41)
            self.assertEqual(slept, kind != "nmea")

    def test_settings_are_the_facts(self):
        """Keys and fields of modems.md 2D.5, 3.6 in the frames sent; M8 with another version of the message too."""
        fake = Fake("deaf")

        self.drive(nothing, fake)
        config = [(ident, payload) for cls, ident, payload in fake.sent if cls == 6]
        self.assertEqual(config[0], (0x8A, b"\x00\x01\x00\x00" + struct.pack("<IB", 0x10110025, 1)))
        for (ident, payload), version in zip(config[1:], (2, 0)):
            self.assertEqual((ident, len(payload), payload[17]), (0x23, 40, 1))
            self.assertEqual(struct.unpack_from("<HH", payload, 0), (version, 0x0400))
            self.assertEqual(sum(payload), version + 4 + 1)

    def test_it_takes_a_while_to_wake_up(self):
        self.assertEqual(self.drive(nothing, Fake(asleep=2)), ALL)

    def test_nothing_there(self):
        power = Power()
        self.assertEqual(self.errno(nothing, Fake("silent"), power=power), ETIMEDOUT)
        self.assertEqual(power.calls, ["on", "off"])

    def test_power(self):
        power, fake = Power(), Fake()
        self.drive(nothing, fake, power=power)
        self.assertEqual(power.calls, ["on", "off"])
        self.assertTrue(fake.sent[-1][0] != 2)

    def test_verbs_of_a_receiver_that_is_off(self):
        for verb, args in (("gnss_fix", (10,)), ("gnss_need", (10,)), ("agnss_inject", (b"\x01",)),
                           ("gnss_hint", (NOW, None))):  # fmt: skip
            receiver = Receiver(Fake())
            call = getattr(receiver, verb)
            self.assertEqual(self.errno(lambda r, c=call, a=args: c(*a), None, receiver=receiver, start=False), ENODEV)
        self.drive(lambda r: r.gnss_stop(), Fake(), start=False)
        self.assertFalse(hasattr(Receiver(Fake()), "xtra"))

    def test_a_line_that_takes_little_at_a_time(self):
        fake = Fake()
        fake.most = 7

        async def body(receiver):
            return await receiver.agnss_inject(assistance(1))

        self.assertEqual(self.drive(body, fake), 2)
        fake.most = 0

        async def stuck(receiver):
            await receiver.gnss_fix(100)

        self.assertEqual(self.errno(stuck, fake), ETIMEDOUT)


class Fix(Case):
    def test_fix(self):
        fake = Fake(fix_after=3)

        async def body(receiver):
            self.assertFalse(receiver.placed)
            return await receiver.gnss_fix(2000), receiver.placed

        fix, placed = self.drive(body, fake)
        self.assertEqual(fix["time"], NOW)
        self.assertEqual((fix["lat"], fix["lon"], fix["alt_mm"], fix["acc_mm"]), (601700120, 249400340, 25500, 3200))
        self.assertEqual((fix["speed_mm_s"], fix["heading_mdeg"], placed), (1500, 123460, True))

    def test_none_in_time(self):
        async def body(receiver):
            return await receiver.gnss_fix(60)

        self.assertIsNone(self.drive(body, Fake(fix_after=1000)))

        async def limited(receiver):
            receiver.gnss.limit_ms = 50
            return await receiver.gnss_fix(100000)

        self.assertIsNone(self.drive(limited, Fake(fix_after=1000)))

    def test_each_fix_is_handed_over_once(self):
        async def body(receiver):
            first = await receiver.gnss_fix(2000)
            last = receiver.gnss.last
            second = await receiver.gnss_fix(2000)
            return first and second and last != receiver.gnss.last

        self.assertTrue(self.drive(body, Fake(fix_after=0)))

    def test_periodic(self):
        async def body(receiver):
            receiver.gnss.interval_ms = 2000
            await receiver.gnss_fix(2000)
            none = await receiver.gnss_fix(20)
            receiver.gnss.interval_ms = 1001
            receiver.gnss.began -= 990
            return none, await receiver.gnss_fix(5000)

        none, fix = self.drive(body, Fake(fix_after=0))
        self.assertIsNone(none)
        self.assertEqual(fix["lat"], 601700120)

    def test_it_falls_silent(self):
        async def body(receiver):
            receiver.stream.kind = "silent"
            await receiver.gnss_fix(100000)

        self.assertEqual(self.errno(body, Fake()), ETIMEDOUT)

    def test_nmea_alone(self):
        async def body(receiver):
            receiver.stream.out.extend(TEXT + GGA)
            fix = await receiver.gnss_fix(1000)
            self.assertIsNone(await receiver.gnss_need(10))
            self.assertIsNone(await receiver.gnss_hint(NOW, None))
            self.assertIsNone(await receiver.gnss_fix(20))
            return fix

        fix = self.drive(body, Fake("nmea"))
        self.assertEqual((fix["lat"], fix["alt_mm"], fix["acc_mm"], fix["time"]), (601700120, 25500, 4600, NOW))


class Assistance(Case):
    def inject(self, fake, *prns, receiver=None):
        async def body(receiver):
            return await receiver.agnss_inject(assistance(*prns))

        return self.drive(body, fake, receiver=receiver)

    def test_acknowledged(self):
        for kind in ("old", "new", "deaf"):
            fake = Fake(kind)
            self.assertEqual(self.inject(fake, 1, 2, 3), 4, kind)
            self.assertEqual(fake.mga(), [(0x40, 0x11), (0, 1), (0, 1), (0, 1)])

    def test_too_early(self):
        fake = Fake(codes=(5, 5, 0))
        self.assertEqual(self.inject(fake, 1), 2)
        self.assertEqual(fake.mga(), [(0x40, 0x11)] * 3 + [(0, 1)])

    def test_without_the_time(self):
        """1: it is told the time once more, when we know it ourselves, and asked again."""
        clock.set_utc(NOW * 1000)
        fake = Fake(codes=(0, 1, 0))
        self.assertEqual(self.inject(fake, 1), 2)
        self.assertEqual(fake.mga(), [(0x40, 0x11), (0, 1), (0x40, 0x10), (0, 1)])
        clock.reset()
        fake = Fake(codes=(0, 1))
        self.assertEqual(self.inject(fake, 1), 1)
        self.assertTrue(len(fake.mga()) <= 5)

    def test_refused(self):
        receiver = Receiver(Fake(codes=(0, 4, 0)))
        clock.set_utc(NOW * 1000)
        self.assertEqual(self.inject(receiver.stream, 1, 2, receiver=receiver), 2)
        self.assertEqual(receiver.given.held(NOW)[1], 0b10)  # what was refused was not given

    def test_lost_answers(self):
        fake = Fake(codes=(None, 0))
        self.assertEqual(self.inject(fake, 1), 2)
        self.assertEqual(len(fake.mga()), 3)
        self.assertEqual(self.errno(lambda r: r.agnss_inject(assistance(1, 2, 3, 4)), Fake(codes=(None,))), ETIMEDOUT)

    def test_no_assistance(self):
        async def body(receiver):
            await receiver.agnss_inject(assistance(1)[:-1])

        fake = Fake()
        self.assertRaises(ValueError, self.drive, body, fake)
        self.assertEqual(fake.mga(), [])
        self.assertEqual(self.errno(lambda r: r.agnss_inject(assistance(1)), Fake("nmea")), ENODEV)

    def test_hints(self):
        place = {"lat": 601700000, "lon": 249400000, "acc_mm": 20000}

        async def body(receiver):
            await receiver.gnss_hint(NOW, place)

        fake = Fake(timed=False)
        self.drive(body, fake)
        self.assertEqual(fake.mga(), [(0x40, 0x10), (0x40, 0x01)])
        fake = Fake(timed=True)  # it knows better
        self.drive(body, fake)
        self.assertEqual(fake.mga(), [(0x40, 0x01)])


class Need(Case):
    def need(self, fake, receiver=None):
        return self.drive(lambda r: r.gnss_need(1000), fake, receiver=receiver)

    def test_what_it_holds_it_is_not_given(self):
        self.assertEqual(self.need(Fake(orbits=(1, 2))), {"flags": 0x33, "systems": {1: (0xFFFFFFFC, 0)}})
        self.assertEqual(self.need(Fake(orbits=range(1, 9))), {"flags": 0x13, "systems": {1: (0, 0)}})

    def test_the_time_that_we_know_is_told(self):
        self.assertEqual(self.need(Fake(timed=False))["flags"], 0x3B)
        clock.set_utc(NOW * 1000)
        fake = Fake(timed=False)
        self.assertEqual(self.need(fake)["flags"], 0x33)
        self.assertEqual(fake.mga(), [(0x40, 0x10)])

    def test_what_was_given_counts_when_it_does_not_tell(self):
        clock.set_utc(NOW * 1000)
        receiver = Receiver(Fake(orbits=None))

        async def body(receiver):
            await receiver.agnss_inject(assistance(*range(1, 13)))
            return await receiver.gnss_need(100)

        self.assertEqual(self.drive(body, receiver.stream, receiver=receiver)["systems"], {1: (0, 0)})
        self.assertEqual(self.need(None, receiver)["systems"], {1: (0, 0)})  # after a sleep

    def test_a_receiver_that_forgot_is_given_all_again(self):
        """It does not know the time at its start: its battery is empty, or it never had one."""
        clock.set_utc(NOW * 1000)
        receiver = Receiver(Fake(orbits=None, fix_after=0))

        async def body(receiver):
            await receiver.agnss_inject(assistance(*range(1, 13)))
            await receiver.gnss_fix(1000)
            return await receiver.gnss_need(100)

        self.assertEqual(self.drive(body, receiver.stream, receiver=receiver)["flags"], 0x03)
        receiver.stream.timed = False
        self.assertEqual(self.need(None, receiver), {"flags": 0x33, "systems": {1: (0xFFFFFFFF, 0)}})


if __name__ == "__main__":
    unittest.main()
