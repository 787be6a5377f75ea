"""The receiver of the simulated SARA-R510M8S at the wire: UBX through +UGUBX, what an injection is worth, what is lost.

Frames are pyubx2's and those of modems.md 3.5; what the receiver made of them is in the simulator's log of injections.
"""

import struct
from types import SimpleNamespace

import pytest
from modemsim_support import running_modem
from pynmeagps import NMEAReader
from pyubx2 import POLL, SET, UBXMessage, UBXReader

from godwit.modem.ublox.receiver import M8, Busy

VECTORS = {  # modems.md 3.5
    "time": "B5621340180010000080EA07010203040500000000000200000000000000FD07",
    "position": "B5621340140001000000A036DD23C08ADD0EC4090000E0930400B709",
    "iono": "B56213001000060000000801FFFF2E01FFFD000000005BB6",
    "utc": "B5621300140005000000FFFFFFFFFEFFFFFF123D6489071200007806",
}
POLL_VERSION = "B5620A0400000E34"
ACKS_ON = UBXMessage("CFG", "CFG-NAVX5", SET, version=2, ackAid=1, ackAiding=1).serialize().hex()


@pytest.fixture
def modem(tmp_path):
    with running_modem(tmp_path, "--family", "sara_r5", "--speed", "100", "--place", "harbour", ready=False) as running:
        running.event("boot")
        running.terminal.write(b"ATE0\r")
        running.terminal.until(b"\r\nOK\r\n")
        running.terminal.ok("AT+CMEE=1")
        yield running


def tunnel(modem, frame):
    """The frame that answers one, or None."""
    text = frame if isinstance(frame, str) else frame.hex()
    lines = modem.terminal.ok(f'AT+UGUBX="{text}"')
    if not lines:
        return None
    assert lines[0].startswith('+UGUBX: "') and len(lines) == 1
    return UBXReader.parse(bytes.fromhex(lines[0][9:-1]))


def switched_on(modem, aid=0):
    modem.terminal.ok(f"AT+UGPS=1,{aid},67")
    tunnel(modem, POLL_VERSION)


def assistance(now_s, svs=range(1, 10)):
    """Time, position and ephemerides of this moment as frames."""
    gps = int(now_s) - 315964800 + 18
    toe = gps % 604800 // 16
    yield UBXMessage("MGA", "MGA-INI-TIME-GNSS", SET, payload=struct.pack(
        "<BBBBxxHIIHxxI", 0x11, 0, 0, 0, gps // 604800, gps % 604800, 0, 2, 0)).serialize()
    yield UBXMessage("MGA", "MGA-INI-POS-LLH", SET, payload=struct.pack(
        "<BBxxiiiI", 1, 0, 544716000, 90447000, 400, 300000)).serialize()
    for sv in svs:
        payload = struct.pack("<BBBxBBBbHHxbhi", 1, 0, sv, 4, 0, 0, 0, 7, toe, 0, 0, 0)
        payload += struct.pack("<hhihhIIHhihhiiihxx", *([0] * 7), toe, *([0] * 8))
        yield UBXMessage("MGA", "MGA-GPS-EPH", SET, payload=payload).serialize()


def now_s(modem):
    return modem.ask(get="state")["now_ms"] / 1000


def fixes(modem):
    return [event["ttff_s"] for event in modem.events("gnss_fix")]


def test_frames_of_the_facts(modem):
    terminal = modem.terminal
    assert terminal.at(f'AT+UGUBX="{POLL_VERSION}"') == "\r\n+CME ERROR: 3\r\n"  # switched off
    switched_on(modem)
    assert tunnel(modem, POLL_VERSION).identity == "MON-VER"
    for frame in VECTORS.values():
        assert tunnel(modem, frame) is None  # no acknowledgement unless asked for
    assert tunnel(modem, ACKS_ON).identity == "ACK-ACK"
    ack = tunnel(modem, VECTORS["utc"])
    assert (ack.identity, ack.type, ack.infoCode, ack.msgId) == ("MGA-ACK-DATA0", 1, 0, 0)
    injected = modem.ask(get="injected")["injected"]
    assert [entry["ubx"]["id"] for entry in injected] == ["MGA-INI-TIME-UTC", "MGA-INI-POS-LLH", "MGA-GPS-IONO",
                                                         "MGA-GPS-UTC", "MGA-GPS-UTC"]
    place = injected[1]["ubx"]
    assert (place["lat"], place["lon"], place["alt"], place["posAcc"]) == (60.17, 24.94, 2500, 300000)
    # The time of the vector is not that of this world: the receiver has no use for it.
    assert injected[0]["refused"] == {"clock": 1} and injected[0]["ubx"]["second"] == 5
    assert [entry["accepted"] for entry in injected[1:4]] == [{"location": 1}, {"klobuchar": 1}, {"utc": 1}]


def test_what_is_refused(modem):
    terminal = modem.terminal
    switched_on(modem)
    assert tunnel(modem, ACKS_ON).identity == "ACK-ACK"
    ephemeris = list(assistance(now_s(modem), [5]))[2]
    assert tunnel(modem, ephemeris).infoCode == 1  # no time: send that first
    assert tunnel(modem, "B5621300040001000500" + "0000").infoCode == 3  # too short for what it is
    wrong_sum = bytearray(ephemeris)
    wrong_sum[-1] ^= 0xFF
    assert tunnel(modem, bytes(wrong_sum)).infoCode == 1  # the modem writes the checksum anew
    save = UBXMessage("CFG", "CFG-CFG", SET, saveMask=b"\x01\x00\x00\x00").serialize()
    for bad in (save.hex(), "B562", "B5620A0400010E34", "xyz", ephemeris.hex() + "00"):
        assert "ERROR" in terminal.at(f'AT+UGUBX="{bad}"'), bad
    modem.ask(fault="gnss_busy", count=1)
    assert terminal.at(f'AT+UGUBX="{POLL_VERSION}"') == "\r\n+CME ERROR: 3\r\n"
    assert tunnel(modem, POLL_VERSION).identity == "MON-VER"


def test_a_restart_takes_a_while():
    now_ms = [1767323045000]
    gnss = SimpleNamespace(known=None, track=lambda: None, stop=lambda: None, current=lambda: None, injected=[])
    core = SimpleNamespace(gnss=gnss, clock=SimpleNamespace(now_ms=lambda: now_ms[0]),
                           log=SimpleNamespace(count=lambda name: None), time_known=True)
    receiver = M8(core)
    receiver.start(0, 67)
    receiver.frame(bytes.fromhex(ACKS_ON))
    gnss.known.ephemerides[5], gnss.known.time_error_s = now_ms[0] / 1000, 0.0
    assert receiver.frame(UBXMessage("CFG", "CFG-RST", SET, payload=b"\xff\xff\x01\x00").serialize()) is None
    with pytest.raises(Busy):
        receiver.frame(bytes.fromhex(POLL_VERSION))
    now_ms[0] += 500
    assert receiver.frame(bytes.fromhex(POLL_VERSION))[2:4] == b"\x0a\x04"
    assert not gnss.known.ephemerides and gnss.known.time_error_s is None
    settings = UBXReader.parse(receiver.frame(UBXMessage("CFG", "CFG-NAVX5", POLL).serialize()))
    assert settings.ackAiding == 0  # its configuration is gone as well


def test_what_an_injection_is_worth(modem):
    """Cold 35 s, with everything 6 s and what the frames took; LTE, connected meanwhile, does not stand in the way."""
    terminal = modem.terminal
    modem.event("attach")
    switched_on(modem)
    modem.event("gnss_fix")
    assert fixes(modem) == [35.0]
    terminal.ok("AT+UGPS=0")
    switched_on(modem)  # nothing is left of it
    for frame in assistance(now_s(modem)):
        tunnel(modem, frame)
    orbits = tunnel(modem, UBXMessage("NAV", "NAV-ORB", 2).serialize())
    assert orbits.numSv == 9 and orbits.svId_01 == 1 and orbits.ephSource_01 == 2 and orbits.ephUsability_01 > 4
    modem.event("gnss_fix", count=2)
    assert 6.0 <= fixes(modem)[1] < 15.0
    solution = tunnel(modem, UBXMessage("NAV", "NAV-PVT", 2).serialize())
    assert solution.fixType == 3 and abs(solution.lat - 54.4716) < 0.001 and abs(solution.lon - 9.0447) < 0.001
    assert solution.year >= 2024 and 1000 < solution.hAcc < 20000


def test_local_aiding_keeps_what_was_known(modem):
    terminal = modem.terminal
    terminal.ok("AT+UGIND=1")
    terminal.ok("AT+UGPS=1,1,67")
    terminal.exactly(b"\r\n+UUGIND: 0,67\r\n\r\n+UUGIND: 1,0\r\n")
    modem.event("gnss_fix")
    terminal.ok("AT+UGPS=0")
    terminal.exactly(b"\r\n+UUGIND: 1,0\r\n")
    terminal.ok("AT+UGPS=1,1,67")
    modem.event("gnss_fix", count=2)
    assert fixes(modem) == [35.0, 2.0]
    terminal.ok("AT+UGPS=0")
    terminal.quiet(0.05)
    terminal.ok("AT+UGPS=1,0,67")
    terminal.exactly(b"\r\n+UUGIND: 0,67\r\n")
    modem.event("gnss_fix", count=3)
    assert fixes(modem)[2] == 35.0
    assert terminal.at("AT+UGPS=1,0,67") == "\r\n+CME ERROR: 3\r\n"  # the same configuration twice
    assert terminal.ok("AT+UGPS?") == ["+UGPS: 1,0,67"]
    terminal.ok("AT+UGPS=1,6,3")  # another one restarts it; no server of u-blox can be reached
    terminal.exactly(b"\r\n+UUGIND: 0,3\r\n\r\n+UUGIND: 2,2\r\n\r\n+UUGIND: 4,16\r\n")


def test_positions(modem):
    terminal = modem.terminal
    terminal.ok("AT+UGRMC=1")
    assert terminal.ok("AT+UGRMC?") == ["+UGRMC: 1,Not Available"]
    terminal.ok("AT+ULOC=2,1,1,120,50")  # switches the receiver on, and off again
    line = terminal.until(b"\r\n+UULOC: ") and terminal.until(b"\r\n")
    fields = line.decode().strip().split(",")
    assert len(fields) == 13 and fields[2][:5] == "54.47" and fields[3][:4] == "9.04" and 1 <= int(fields[5]) < 50
    assert terminal.ok("AT+UGPS?") == ["+UGPS: 0"]
    modem.ask(fault="no_fix")
    terminal.ok("AT+ULOC=2,1,0,10,50")
    line = terminal.until(b"\r\n+UULOC: ") and terminal.until(b"\r\n")
    assert line.decode().strip().split(",")[2:] == ["0.0000000", "0.0000000", "0", "20000000"]
    modem.ask(clear="no_fix")
    switched_on(modem)
    assert NMEAReader.parse(terminal.ok("AT+UGRMC?")[0][10:] + "\r\n").status == "V"
    modem.event("gnss_fix", count=2)
    sentence = NMEAReader.parse(terminal.ok("AT+UGRMC?")[0][10:] + "\r\n")
    assert sentence.identity == "GNRMC" and sentence.status == "A" and abs(sentence.lat - 54.4716) < 0.001
