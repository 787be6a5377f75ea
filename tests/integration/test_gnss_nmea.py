"""lib/gnss/nmea under MicroPython and pynmea2: each reads random sentences, and agrees on what they say.

pynmea2 makes the sentences; what they mean is computed here, from their text, in exact fractions.
"""

import calendar
import datetime
from fractions import Fraction

import pynmea2
import pytest
from gnss_support import ask, seeded

_TALKERS = ("GP", "GL", "GA", "GB", "GQ", "GN")


def _angle(rng, width):
    """ddmm.mmmm with any number of decimals, and the exact value in degrees."""
    degrees = rng.randrange(90 if width == 2 else 180)
    digits = rng.randrange(1, 9)  # pynmea2 wants one
    text = f"{rng.randrange(60):02d}.{rng.randrange(10**digits):0{digits}d}"
    return f"{degrees:0{width}d}{text}", degrees + Fraction(text) / 60


def _decimal(rng, most, digits=3):
    return f"{rng.randrange(most)}.{rng.randrange(10**digits):0{digits}d}" if rng.random() < 0.9 else ""


def _nearest(value):
    """Rounded half away from zero."""
    return int(abs(value) + Fraction(1, 2)) * (-1 if value < 0 else 1)


def _scaled(text, factor):
    return None if text == "" else _nearest(Fraction(text) * factor)


class Epoch:
    """One random epoch: `sentences` by pynmea2, and the `fix` that they mean."""

    def __init__(self, rng):
        talker = rng.choice(_TALKERS)
        when = datetime.datetime.fromtimestamp(rng.randrange(1704067200, 2500000000), datetime.UTC)
        clock = when.strftime("%H%M%S") + rng.choice(("", ".00", ".5", ".123"))
        (lat, north), (lon, east) = _angle(rng, 2), _angle(rng, 3)
        ns, ew = rng.choice("NS"), rng.choice("EW")
        place = (lat, ns, lon, ew)
        hdop, sep = _decimal(rng, 50, 2), "17.5"
        alt = rng.choice(("", "-")) + f"{rng.randrange(9000)}.{rng.randrange(10)}"
        speed, course = _decimal(rng, 200), _decimal(rng, 360, 2)
        gga = pynmea2.GGA(talker, "GGA", (clock, *place, str(rng.randrange(1, 6)), f"{rng.randrange(25):02d}", hdop,
                                          alt, "M", sep, "M", "", ""))  # fmt: skip
        rmc = pynmea2.RMC(talker, "RMC", (clock, "A", *place, speed, course, when.strftime("%d%m%y"), "", "",
                                          rng.choice("ADFRP")))  # fmt: skip
        gll = pynmea2.GLL(talker, "GLL", (*place, clock, "A", rng.choice("ADFRP")))
        prns = [f"{rng.randrange(1, 33):02d}" for _ in range(8)] + [""] * 4
        gsa = pynmea2.GSA(talker, "GSA", ("A", "3", *prns, "1.50", hdop or "1.00", "1.20"))
        view = rng.randrange(5, 9)
        self.snr = [rng.choice(("", str(rng.randrange(10, 55)))) for _ in range(view)]
        rows = [(str(i + 1), "45", "120", snr) for i, snr in enumerate(self.snr)]
        gsv = [
            pynmea2.GSV(talker, "GSV", ("2", str(i + 1), f"{view:02d}", *sum(rows[4 * i : 4 * i + 4], ())))
            for i in range(2)
        ]
        halves = [gga, rmc]
        rng.shuffle(halves)
        self.messages = [gll, *halves[:1], gsa, *gsv, *halves[1:]]
        self.seen = {talker: [view, max([int(snr) for snr in self.snr if snr] or [0])]}
        dop = hdop or "1.00"  # GSA comes before the second half
        self.fix = {
            "lat": _nearest(north * (1 if ns == "N" else -1) * 10**7),
            "lon": _nearest(east * (1 if ew == "E" else -1) * 10**7),
            "alt_mm": _nearest((Fraction(alt) + Fraction(sep)) * 1000),
            "acc_mm": _nearest(Fraction(dop) * 1000) * 5,
            "speed_mm_s": _scaled(speed, Fraction(1852 * 1000, 3600)),
            "heading_mdeg": _scaled(course, 1000),
            "time": calendar.timegm(when.timetuple()),
        }

    def blob(self):
        return "".join(str(message) + "\r\n" for message in self.messages).encode()


@pytest.mark.parametrize("interpreter", ("mp32", "mpf"))
def test_reads_what_pynmea2_writes(interpreter):
    rng = seeded(61)
    epochs = [Epoch(rng) for _ in range(300)]
    answers = ask(interpreter, [["nmea", epoch.blob().hex(), rng.randrange(1, 90)] for epoch in epochs])
    for epoch, (fix, dropped, seen) in zip(epochs, answers):
        assert (fix, dropped, seen) == (epoch.fix, 0, epoch.seen), epoch.blob()
        for message in epoch.messages[:2]:  # and pynmea2 reads its own text as we do
            if message.sentence_type != "GSA":
                again = pynmea2.parse(str(message), check=True)
                assert abs(again.latitude - fix["lat"] / 1e7) < 6e-8 and abs(again.longitude - fix["lon"] / 1e7) < 6e-8


def test_same_verdict_on_damaged_sentences():
    """What pynmea2 refuses we refuse; what we take, it takes, and both read the same position out of it."""
    rng = seeded(62)
    cases = []
    for _ in range(1500):
        message = rng.choice(Epoch(rng).messages[:1] + Epoch(rng).messages[1:2])
        raw = bytearray(str(message).encode())
        for _ in range(rng.randrange(1, 3)):
            raw[rng.randrange(1, len(raw))] = rng.choice(b"0123456789,.NSEWAV*\x00\xff$ABCDEF")
        if rng.random() < 0.4:  # damaged before it was summed
            body = bytes(raw[1:]).rpartition(b"*")[0]
            total = 0
            for byte in body:
                total ^= byte
            raw = bytearray(b"$" + body + b"*%02X" % total)
        cases.append(bytes(raw))
    taken = refused = 0
    for raw, (fix, dropped, _) in zip(cases, ask("mp32", [["nmea", (raw + b"\r\n").hex(), 99] for raw in cases])):
        try:
            theirs = pynmea2.parse(raw.decode("latin-1"), check=True)
        except (pynmea2.ParseError, ValueError):
            theirs = None
        if theirs is None:
            refused += 1
            assert fix is None, raw
        if fix is None:
            continue
        taken += 1
        try:
            lat, lon = theirs.latitude, theirs.longitude
        except ValueError:  # no digit before, or after the point: some receivers do that
            continue
        assert dropped == 0 and abs(lat - fix["lat"] / 1e7) < 6e-8 and abs(lon - fix["lon"] / 1e7) < 6e-8, raw
    assert taken > 100 and refused > 400, (taken, refused)
