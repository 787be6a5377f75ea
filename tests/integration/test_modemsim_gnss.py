"""The simulated receiver: time to first fix, what it asks for, what an injection does (modems.md 2A.8, 3, 7.4)."""

import struct
import time

import pytest
from modemsim_support import running_modem

from godwit.modem import agnss

SPEED = ("--speed", "100", "--place", "harbour")
CLOCK_VECTOR = bytes.fromhex("0701009d4112000000000000000000" + "00000000")
LOCATION_VECTOR = bytes.fromhex("08010057365a005e64070000003030" + "00ff44")
TOW_VECTOR = bytes.fromhex("06010001341207")


@pytest.fixture
def modem(tmp_path):
    with running_modem(tmp_path, *SPEED) as running:
        running.terminal.ok("AT%XSYSTEMMODE=1,0,1,0")
        running.terminal.ok("AT+CFUN=31")
        yield running


def now_s(modem):
    return modem.ask(get="state")["now_ms"] // 1000


def ephemeris(sv, toe):
    return struct.pack("<BBHHbhibBBHihiiIhIiihhhhhh", sv, 0, 7, toe, *([0] * 6), toe, *([0] * 15))


def blob(unix_s, svs=range(1, 33), clock=True, location=True, age_s=0, rest=True):
    """A schema v1 body of our own making."""
    gps = unix_s - 315964800 + 18
    toe = (gps - age_s) % 604800 // 16
    out = b"\x01"
    if rest:
        out += struct.pack("<BH", 1, 1) + bytes(14) + struct.pack("<BH", 4, 1) + bytes(8)
        out += struct.pack("<BH", 9, 1) + bytes(4)
    out += struct.pack("<BH", 2, len(svs)) + b"".join(ephemeris(sv, toe) for sv in svs)
    if rest:
        out += struct.pack("<BH", 3, 31) + b"".join(bytes([sv]) + bytes(30) for sv in range(1, 32))
    if clock:
        out += TOW_VECTOR + struct.pack("<BHHIHI4x", 7, 1, gps // 86400, gps % 86400, 0, 1)
    if location:
        out += LOCATION_VECTOR
    return out


def inject(modem, data, parts=4096):
    terminal = modem.terminal
    terminal.ok(f"AT#XAGNSSP={len(data)}")
    for i in range(0, len(data), parts):
        if i:
            time.sleep(0.08)  # longer than the inactivity limit: the ring is emptied
        terminal.write(data[i : i + parts])
    terminal.exactly(b"\r\n#XDATAMODE: 0\r\n")
    return modem.ask(get="injected")["injected"][-1]


def start(modem, command="AT#XGNSS=1,2,0,300"):
    """Start; the need line, or None."""
    modem.terminal.write(command.encode() + b"\r")
    modem.terminal.exactly(b"\r\n#XGNSS: 1,1\r\n\r\nOK\r\n")
    end = time.monotonic() + 0.1
    while time.monotonic() < end and b"#XAGNSS" not in modem.terminal.buffer:
        modem.terminal.read_some(0.02)
    if b"#XAGNSS" not in modem.terminal.buffer:
        return None
    return modem.terminal.until(b"\r\n", 1) and modem.terminal.until(b"\r\n").decode().strip()


def fix(modem, count=1):
    """Wait for a fix; (seconds, line)."""
    modem.terminal.until(b"#XGNSSPOS: ")
    line = modem.terminal.until(b"\r\n").decode().strip()
    return modem.event("gnss_fix", count=count)["ttff_s"], line


def test_vectors():
    assert agnss.decode(b"\x01" + CLOCK_VECTOR) == [
        ("clock", {"date_day": 16797, "time_full_s": 18, "time_frac_ms": 0, "sv_mask": 0})]
    assert agnss.clock_unix({"date_day": 16797, "time_full_s": 18}) == 1767225600
    ((kind, fields),) = agnss.decode(b"\x01" + LOCATION_VECTOR)
    assert kind == "location" and fields["unc_alt"] == 255 and fields["confidence"] == 68
    assert [round(d, 4) for d in agnss.degrees(fields)] == [63.4305, 10.3951]
    assert agnss.decode(b"\x01" + TOW_VECTOR) == [("tow", {"sv_id": 1, "tlm": 0x1234, "flags": 7})]
    # 16 bytes of clock, not 12: what follows is still in step.
    assert [k for k, _ in agnss.decode(b"\x01" + CLOCK_VECTOR + TOW_VECTOR)] == ["clock", "tow"]
    sizes = {number: struct.calcsize(layout) for number, (_, layout, _) in agnss.ELEMENTS.items()}
    assert sizes == {1: 14, 2: 62, 3: 31, 4: 8, 5: 8, 6: 4, 7: 16, 8: 15, 9: 4, 11: 31, 12: 62, 13: 4}
    sizes = {number: struct.calcsize(layout) for number, (_, layout, _) in agnss.STRUCTS.items()}
    assert sizes == {1: 16, 2: 72, 3: 32, 4: 8, 5: 8, 6: 144, 7: 16, 8: 4}


def test_struct_offsets():
    """Two fields behind holes, at the offsets of modems.md 3.4."""
    data = bytearray(72)
    data[0] = 5
    struct.pack_into("<i", data, 12, -7)
    struct.pack_into("<I", data, 48, 99)
    kind, fields = agnss.decode_struct(2, bytes(data))
    assert (kind, fields["sv_id"], fields["af0"], fields["sqrt_a"]) == ("ephemeris", 5, -7, 99)
    data[22] = 1
    with pytest.raises(agnss.AgnssError, match="padding"):
        agnss.decode_struct(2, bytes(data))


@pytest.mark.parametrize(
    "data, reason, before",
    [
        (b"", "not schema 1", 0),
        (b"\x02", "not schema 1", 0),
        (b'{"appId":"AGNSS","err":1}', "JSON", 0),
        (b"\x01" + TOW_VECTOR + b"\x63\x01\x00", "unknown type 99", 1),
        (b"\x01" + TOW_VECTOR + b"\x02\x01\x00" + bytes(61), "truncated ephemeris", 1),
        (b"\x01" + TOW_VECTOR + b"\x02", "truncated header", 1),
    ],
)
def test_bad_blobs(data, reason, before):
    with pytest.raises(agnss.AgnssError, match=reason) as caught:
        agnss.decode(data)
    assert len(caught.value.items) == before


def test_cold_then_hot(modem):
    terminal = modem.terminal
    assert start(modem) == "#XAGNSS: 59,1,1,4294967295,4294967295"
    seconds, line = fix(modem)
    assert 34.9 <= seconds <= 37
    lat, lon, alt, acc, speed, heading = (float(f) for f in line.split(",")[:6])
    assert abs(lat - 54.4716) < 0.001 and abs(lon - 9.0447) < 0.0015 and 0 < acc < 20
    assert line.count(".") == 6 and all(len(f.split(".")[1]) == 6 for f in line.split(",")[:6])
    terminal.exactly(b"\r\n#XGNSS: 1,4\r\n")
    assert terminal.ok("AT#XGNSS?") == ["#XGNSS: 1,4"]
    need = start(modem)
    # The sky has taught it time, place and the ephemerides in view.
    assert need == "#XAGNSS: 35,1,1,0,4294967295"
    assert 1.9 <= fix(modem, 2)[0] <= 3.5


def test_assistance_shortens_the_first_fix(modem):
    assert start(modem).startswith("#XAGNSS: 59,")
    entry = inject(modem, blob(now_s(modem)))
    assert entry["error"] is None and entry["refused"] == {}
    assert entry["accepted"]["ephemeris"] == 32 and entry["svs"] == list(range(1, 33))
    seconds, _ = fix(modem)
    event = modem.event("gnss_fix")
    assert event["injected"]["ephemeris"] == 32
    assert seconds < 34 and event["acquired_s"] < 34
    modem.terminal.until(b"#XGNSS: 1,4\r\n")
    assert start(modem) is None  # nothing is missing now
    assert fix(modem, 2)[0] <= 3.5


def assisted(modem, data):
    """Seconds of a first fix when `data` is there before the start."""
    entry = inject(modem, data)
    start(modem)
    return fix(modem)[0], entry


def test_complete_assistance_takes_six_seconds(modem):
    seconds, _ = assisted(modem, blob(now_s(modem)))
    assert 5.9 <= seconds <= 7.5


@pytest.mark.parametrize(
    "how, low, high, refused",
    [
        ({"location": False}, 10, 12, 0),
        ({"svs": range(1, 6)}, 15, 17, 0),
        ({"clock": False}, 35, 38, 32),  # no time: ephemerides are worthless
        ({"age_s": 5 * 3600}, 25, 27, 32),  # stale ephemerides, time and place are good
        ({"age_s": 3600}, 6, 8, 0),
        ({"svs": ()}, 25, 27, 0),
    ],
)
def test_partial_assistance(modem, how, low, high, refused):
    seconds, entry = assisted(modem, blob(now_s(modem), **how))
    assert entry["refused"].get("ephemeris", 0) == refused
    assert low - 0.1 <= seconds <= high


def test_wrong_clock_spoils_everything(modem):
    seconds, entry = assisted(modem, blob(now_s(modem) + 7200))
    assert entry["refused"] == {"clock": 1, "ephemeris": 32}
    assert seconds >= 34.9


def test_large_blob_in_two_bursts_and_overflow(modem):
    data = blob(now_s(modem))
    data += data[1:]
    assert len(data) > 4096
    entry = inject(modem, data)
    assert entry["accepted"]["ephemeris"] == 64
    terminal = modem.terminal
    terminal.ok(f"AT#XAGNSSP={len(data)}")
    terminal.write(data)
    terminal.exactly(b"+++\r\n#XDATAMODE: -1\r\n")
    assert len(modem.ask(get="injected")["injected"]) == 1


def test_unknown_type_stops_there(modem):
    entry = inject(modem, b"\x01" + CLOCK_VECTOR + b"\x63\x01\x00\x00" + LOCATION_VECTOR)
    assert entry["error"] == "unknown type 99" and "location" not in entry["accepted"]


def test_single_elements(modem):
    terminal = modem.terminal
    gps = now_s(modem) - 315964800 + 18
    struct_clock = struct.pack("<H2xIH2xI128x", gps // 86400, gps % 86400, 0, 0)
    early = bytearray(72)
    early[0] = 3
    struct.pack_into("<H", early, 20, gps % 604800 // 16)
    for number, data in ((2, bytes(early)), (6, struct_clock), (2, bytes(early)), (2, bytes(71))):
        terminal.ok(f"AT#XAGNSS={len(data)},{number}")
        terminal.write(data)
        terminal.exactly(b"\r\n#XDATAMODE: 0\r\n")  # which proves nothing
    log = modem.ask(get="injected")["injected"]
    assert [bool(e["accepted"]) for e in log] == [False, True, True, False]
    need = start(modem)
    assert need == f"#XAGNSS: {59 - 8},1,1,{0xFFFFFFFF - 4},4294967295"


def test_periodic_mode_and_timeouts(modem):
    terminal = modem.terminal
    modem.ask(fault="no_fix", count=100)
    assert start(modem, "AT#XGNSS=1,0,0,20") is None  # no forwarding, no request
    terminal.exactly(b"\r\n#XGNSS: 1,3\r\n")
    modem.ask(clear="no_fix")
    for refused in ("1,1,0", "1,0,1,60", "1,0,5", "1,0,60,60", "1,3,0"):
        assert terminal.at("AT#XGNSS=" + refused) == "\r\nERROR\r\n"
    start(modem, "AT#XGNSS=1,0,600,60")
    assert terminal.at("AT#XGNSS=1,0,0") == "\r\nERROR\r\n"  # running
    fix(modem)
    terminal.exactly(b"\r\n#XGNSS: 1,4\r\n")
    assert terminal.ok("AT#XGNSS=0") == []
    terminal.exactly(b"\r\n#XGNSS: 1,0\r\n")
    assert terminal.ok("AT#XGNSS?") == ["#XGNSS: 1,0"]


def test_periodic_wake_comes_with_world_time(tmp_path):
    from godwit.world import World

    world = World(tmp_path / "world")
    with running_modem(tmp_path, *SPEED, "--world", tmp_path / "world") as modem:
        modem.terminal.ok("AT+CFUN=31")
        start(modem, "AT#XGNSS=1,2,3600,120")
        fix(modem)
        modem.terminal.exactly(b"\r\n#XGNSS: 1,4\r\n")
        world.advance(3600_000)
        modem.terminal.exactly(b"\r\n#XGNSS: 1,2\r\n")
        modem.terminal.until(b"#XAGNSS: ")
        assert fix(modem, 2)[0] <= 3.5
    world.close()


def test_week_rollover(modem):
    modem.ask(fault="week_rollover")
    start(modem, "AT#XGNSS=1,0,0,60")
    year = int(fix(modem)[1].split('"')[1][:4])
    assert time.gmtime(now_s(modem)).tm_year - year in (19, 20)


def test_lte_traffic_holds_the_search(tmp_path):
    with running_modem(tmp_path, *SPEED) as modem:
        modem.attach()
        terminal = modem.terminal
        terminal.ok("AT#XSOCKET=1,2,0")
        terminal.ok('AT#XSENDTO=0,0,0,"127.0.0.1",9,"x"')
        start(modem)
        seconds, _ = fix(modem)
        event = modem.event("gnss_fix")
        assert 35 <= event["acquired_s"] <= 37 and seconds >= event["acquired_s"] + 2


def test_preconditions_and_stock_build(tmp_path):
    with running_modem(tmp_path, *SPEED, "--stock") as modem:
        terminal = modem.terminal
        assert terminal.at("AT#XGNSS=1,0,0") == "\r\nERROR\r\n"  # CFUN
        terminal.ok("AT+CFUN=31")
        assert terminal.ok("AT#XGNSS=?") == ["#XGNSS: (0,1),(0,1),<interval>,<timeout>"]
        assert terminal.at("AT#XGNSS=1,2,0") == "\r\nERROR\r\n"
        assert terminal.at("AT#XAGNSSP=10") == "\r\nERROR\r\n"
        assert terminal.ok("AT#XGNSS=1,0,0") == ["#XGNSS: 1,1"]


def test_delete_makes_it_cold_again(modem):
    inject(modem, blob(now_s(modem)))
    modem.terminal.ok("AT#XGNSSDEL=1407")
    assert start(modem) == "#XAGNSS: 59,1,1,4294967295,4294967295"
