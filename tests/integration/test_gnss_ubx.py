"""lib/gnss/ubx and agnss_ubx under MicroPython and pyubx2: each reads the frames of the other, field by field.

Of what the fields of an assistance message mean, modems.md 3.6 is the source; where they are, pyubx2's tables.
"""

import datetime
import struct

import pytest
from gnss_support import ask, seeded
from pyubx2 import GET, SET, UBX_PAYLOADS_SET, UBXMessage, UBXReader, calc_checksum

both = pytest.mark.parametrize("interpreter", ("mp32", "mpf"))

# Elements of nrfcloud.md 9.2: (format, names)
_EPHEMERIS = ("<BBHHbhibBBHihiiIhIiihhhhhh",
              "sv_id health iodc toc af2 af1 af0 tgd ura fit_int toe w delta_n m0 omega_dot e idot sqrt_a i0 omega0 "
              "crs cis cus crc cic cuc".split())  # fmt: skip
_ALMANAC = ("<BBBBHhhBIiiihh",
            "sv_id wn toa ioda e delta_i omega_dot health sqrt_a omega0 w m0 af0 af1".split())  # fmt: skip
_UTC = ("<iiBBbBbb", "a1 a0 tot wn_t dt_ls wn_lsf dn dt_lsf".split())
_KLOBUCHAR = ("<8b", "a0 a1 a2 a3 b0 b1 b2 b3".split())

# pyubx2's field -> element's field; modems.md 3.6
_TO_EPHEMERIS = {
    "fitInterval": "fit_int", "uraIndex": "ura", "svHealth": "health", "tgd": "tgd", "iodc": "iodc", "toc": "toc",
    "af2": "af2", "af1": "af1", "af0": "af0", "crs": "crs", "deltaN": "delta_n", "m0": "m0", "cuc": "cuc",
    "cus": "cus", "e": "e", "sqrtA": "sqrt_a", "toe": "toe", "cic": "cic", "omega0": "omega0", "cis": "cis",
    "crc": "crc", "i0": "i0", "omega": "w", "omegaDot": "omega_dot", "idot": "idot",
}  # fmt: skip
_TO_ALMANAC = {
    "svHealth": "health", "e": "e", "almWNa": "wn", "toa": "toa", "deltaI": "delta_i", "omegaDot": "omega_dot",
    "sqrtA": "sqrt_a", "omega0": "omega0", "omega": "w", "m0": "m0", "af0": "af0", "af1": "af1",
}  # fmt: skip
_TO_UTC = {"utcA0": "a0", "utcA1": "a1", "utcDtLS": "dt_ls", "utcTot": "tot", "utcWNt": "wn_t", "utcWNlsf": "wn_lsf",
           "utcDn": "dn", "utcDtLSF": "dt_lsf"}  # fmt: skip
_TO_IONO = {f"iono{greek}{i}": f"{letter}{i}" for greek, letter in (("Alpha", "a"), ("Beta", "b")) for i in range(4)}

# Element type -> (its layout, pyubx2's message, fields); the order is that of sending
_KINDS = {
    1: (_UTC, "MGA-GPS-UTC", _TO_UTC),
    4: (_KLOBUCHAR, "MGA-GPS-IONO", _TO_IONO),
    2: (_EPHEMERIS, "MGA-GPS-EPH", _TO_EPHEMERIS),
    12: (_EPHEMERIS, "MGA-QZSS-EPH", _TO_EPHEMERIS),
    3: (_ALMANAC, "MGA-GPS-ALM", _TO_ALMANAC),
    11: (_ALMANAC, "MGA-QZSS-ALM", _TO_ALMANAC),
}
_FIRST = {2: 1, 3: 1, 11: 193, 12: 193}


def raw_fields(identity, payload):
    """The fields of a payload as integers without scale, by pyubx2's table of it. Reserved ones must be zero."""
    found, at = {}, 0
    for name, form in UBX_PAYLOADS_SET[identity].items():
        code = form if isinstance(form, str) else form[0]
        size = int(code[1:])
        data = payload[at : at + size]
        at += size
        if name.startswith("reserved"):
            assert not any(data), name
        else:
            found[name] = int.from_bytes(data, "little", signed=code[0] == "I")
    assert at == len(payload), identity
    return found


def element(rng, kind, sv=None):
    (form, names), _, _ = _KINDS[kind]
    values = list(struct.unpack(form, rng.randbytes(struct.calcsize(form))))
    if kind == 1:
        values[6] = rng.randrange(1, 8)  # the day of the week, which one side has as signed
    if sv is not None:
        values[0] = sv
    return struct.pack(form, *values), dict(zip(names, values))


def section(kind, elements):
    return struct.pack("<BH", kind, len(elements)) + b"".join(elements)


def chunks(rng, blob):
    """The blob in random pieces, as hex."""
    cuts = sorted(rng.randrange(len(blob) + 1) for _ in range(rng.randrange(5)))
    return [blob[a:b].hex() for a, b in zip([0, *cuts], [*cuts, len(blob)])]


@both
def test_assistance_as_pyubx2_reads_it(interpreter):
    rng = seeded(71)
    questions, wanted = [], []
    for _ in range(40):
        parts, expected = [], []
        for kind in _KINDS:
            svs = [None] if kind in (1, 4) else rng.sample(range(10), rng.randrange(4))
            items = [element(rng, kind, sv if sv is None else sv + _FIRST[kind]) for sv in svs]
            parts.append(section(kind, [raw for raw, _ in items]))
            expected.append((kind, items))
        covered = {kind: {fields["sv_id"] for _, fields in items} for kind, items in expected if kind in _FIRST}
        expected = [
            (kind, fields) for kind, items in expected for _, fields in items
            if not (kind in (3, 11) and covered[kind] <= covered[{3: 2, 11: 12}[kind]])
        ]  # fmt: skip
        rng.shuffle(parts)
        questions.append(["agnss", chunks(rng, b"\x01" + b"".join(parts))])
        wanted.append(expected)
    for expected, answer in zip(wanted, ask(interpreter, questions)):
        assert len(answer) == len(expected)
        for (kind, fields), raw in zip(expected, map(bytes.fromhex, answer)):
            message = UBXReader.parse(raw, msgmode=SET)  # checks sync, length and checksum
            assert message.identity == _KINDS[kind][1]
            found = raw_fields(message.identity, message.payload)
            del found["type"], found["version"]
            if kind in _FIRST:
                assert found.pop("svId") == fields["sv_id"] - _FIRST[kind] + 1
            assert found == {name: fields[of] for name, of in _KINDS[kind][2].items()}


@both
def test_time_position_and_health_as_pyubx2_reads_them(interpreter):
    rng = seeded(72)
    questions, wanted = [], []
    for _ in range(200):
        day, second, millis = rng.randrange(65536), rng.randrange(86400), rng.randrange(1000)
        lat, lon = rng.randrange(-(2**23), 2**23), rng.randrange(-(2**23), 2**23)
        alt, code = rng.randrange(-500, 9000), rng.randrange(128)
        mask = rng.getrandbits(32)
        blob = b"\x01" + section(9, [struct.pack("<I", mask)]) + section(13, [struct.pack("<I", mask & 1023)])
        blob += section(8, [struct.pack("<iihBBBBB", lat, lon, alt, code, code, 0, 255, 68)])
        blob += section(7, [struct.pack("<HIHII", day, second, millis, rng.getrandbits(32), 0)])
        questions.append(["agnss", chunks(rng, blob)])
        wanted.append((day * 86400000 + second * 1000 + millis, lat, lon, alt, code, mask))
    for (ms, lat, lon, alt, code, mask), answer in zip(wanted, ask(interpreter, questions)):
        time, place, health, qzss = (UBXReader.parse(bytes.fromhex(raw), msgmode=SET) for raw in answer)
        assert (time.identity, place.identity) == ("MGA-INI-TIME-GNSS", "MGA-INI-POS-LLH")
        assert (health.identity, qzss.identity) == ("MGA-GPS-HEALTH", "MGA-QZSS-HEALTH")
        assert (time.week * 604800 + time.tow) * 1000 + time.ns // 1000000 == ms and time.tow < 604800
        assert (time.gnssId, time.tAccS, time.tAccNs) == (0, 2, 0)
        assert abs(place.lat - lat * 90 / 2**23) < 1.1e-7 and abs(place.lon - lon * 360 / 2**24) < 1.1e-7
        assert place.alt == alt * 100
        assert abs(place.posAcc - max(1000 * (1.1**code - 1), 100)) <= 1 + place.posAcc * 1e-9
        for message, count in ((health, 32), (qzss, 5)):
            codes = [getattr(message, f"healthCode_{i + 1:02d}") for i in range(count)]
            assert [code != 0 for code in codes] == [bool(mask >> i & 1) for i in range(count)]
            assert set(codes) <= {0, 63}


@both
def test_hints_as_pyubx2_reads_them(interpreter):
    rng = seeded(73)
    cases = []
    for _ in range(200):
        place = {"lat": rng.randrange(-(9 * 10**8), 9 * 10**8), "lon": rng.randrange(-(18 * 10**8), 18 * 10**8),
                 "acc_mm": rng.randrange(10**rng.randrange(1, 10))}  # fmt: skip
        cases.append((rng.randrange(1704067200, 4102444800), place))
    for (unix_s, place), answer in zip(cases, ask(interpreter, [["hints", *case] for case in cases])):
        time, spot = (UBXReader.parse(bytes.fromhex(raw), msgmode=SET) for raw in answer)
        said = datetime.datetime(time.year, time.month, time.day, time.hour, time.minute, time.second,
                                 tzinfo=datetime.UTC)  # fmt: skip
        assert said.timestamp() == unix_s and (time.leapSecs, time.tAccS) == (-128, 2)
        assert (round(spot.lat * 1e7), round(spot.lon * 1e7)) == (place["lat"], place["lon"])
        assert spot.posAcc == max(place["acc_mm"] // 10, 100) and spot.alt == 0


@both
def test_streams_that_pyubx2_writes(interpreter):
    """Any class and id, any length, NMEA in between, damaged ones too, in chunks of any size."""
    rng = seeded(74)
    questions, wanted = [], []
    for _ in range(100):
        blob, frames, other, damaged = b"", [], b"", 0
        for _ in range(6):
            cls, ident, payload = rng.randrange(256), rng.randrange(256), rng.randbytes(rng.randrange(120))
            body = bytes((cls, ident)) + len(payload).to_bytes(2, "little") + payload
            raw = b"\xb5\x62" + body + calc_checksum(body)
            if rng.random() < 0.8:
                frames.append([cls, ident, payload.hex()])
                blob += raw
            else:
                blob += raw[:-1] + bytes((raw[-1] ^ 1,))
                damaged += 1
            text = rng.choice((b"", b"$GNRMC,,V,,,,,,,,,,N*4D\r\n"))
            blob += text
            other += text
        questions.append(["ubx", (blob + bytes(800)).hex(), rng.randrange(1, 200)])
        wanted.append((frames, other, damaged))
    for (frames, other, damaged), (found, rest, lost) in zip(wanted, ask(interpreter, questions)):
        for frame in frames:
            assert frame in found
        if not damaged:
            assert found == frames and lost == 0 and bytes.fromhex(rest) == other + bytes(800)
        else:
            assert lost >= 1


@both
def test_solutions_that_pyubx2_writes(interpreter):
    rng = seeded(75)
    cases = []
    for _ in range(300):
        fields = {
            "year": 2026, "month": rng.randrange(1, 13), "day": rng.randrange(1, 29), "hour": rng.randrange(24),
            "min": rng.randrange(60), "second": rng.randrange(60), "validDate": rng.randrange(2), "validTime": 1,
            "fixType": rng.randrange(6), "gnssFixOk": rng.randrange(2), "lat": rng.randrange(-900, 901) / 10,
            "lon": rng.randrange(-1800, 1801) / 10, "height": rng.randrange(-500000, 9000000),
            "hAcc": rng.getrandbits(rng.choice((8, 16, 32))), "gSpeed": rng.randrange(100000),
            "headMot": float(rng.randrange(360)), "hMSL": 7, "vAcc": 8, "invalidLlh": int(rng.random() < 0.1),
        }  # fmt: skip
        cases.append(UBXMessage("NAV", "NAV-PVT", GET, **fields))
    answers = ask(interpreter, [["pvt", message.payload.hex()] for message in cases])
    fixes = 0
    for message, fix in zip(cases, answers):
        good = message.fixType in (2, 3, 4) and message.gnssFixOk and not message.invalidLlh
        assert (fix is not None) == bool(good)
        if good:
            fixes += 1
            assert fix["lat"] == round(message.lat * 1e7) and fix["lon"] == round(message.lon * 1e7)
            assert fix["alt_mm"] == (None if message.fixType == 2 else message.height)
            assert (fix["acc_mm"], fix["speed_mm_s"]) == (message.hAcc, message.gSpeed)
            assert fix["heading_mdeg"] == round(message.headMot * 1000)
            assert (fix["time"] is not None) == bool(message.validDate)
    assert fixes > 40


@both
def test_orbits_and_acknowledgements_that_pyubx2_writes(interpreter):
    rng = seeded(76)
    questions, wanted = [], []
    for _ in range(60):
        rows = [(rng.choice((0, 0, 2, 5, 6)), sv, rng.randrange(32)) for sv in rng.sample(range(1, 33), 12)]
        fields = {"version": 1, "numSv": len(rows)}
        for i, (system, sv, usable) in enumerate(rows, 1):
            fields |= {f"gnssId_{i:02d}": system, f"svId_{i:02d}": sv, f"ephUsability_{i:02d}": usable}
        questions.append(["orbits", UBXMessage("NAV", "NAV-ORB", GET, **fields).payload.hex()])
        wanted.append([sum(1 << sv - 1 for system, sv, usable in rows if system == which and usable >= 2)
                       for which in (0, 5)])  # fmt: skip
    frame = UBXMessage("MGA", "MGA-GPS-IONO", SET, type=6).serialize()
    for kind, code, result in ((1, 0, 0), (0, 1, 1), (0, 5, 5), (0, 0, -1)):
        ack = UBXMessage("MGA", "MGA-ACK-DATA0", GET, type=kind, infoCode=code, msgId=0,
                         msgPayloadStart=int.from_bytes(frame[6:10], "little"))  # fmt: skip
        questions.append(["ack", ack.payload.hex(), frame.hex()])
        wanted.append(result)
    assert ask(interpreter, questions) == wanted
