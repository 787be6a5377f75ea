"""lib/gnss/ublox in a MicroPython process against a simulated u-blox M8 on a PTY (pyubx2, pynmea2): assistance from the
twin's generator really shortens the search, and what the receiver holds is not given again.

The device side is tests/device/ublox_device.py; what really happened is asked of the simulator.
"""

import json
import os
import subprocess
import time

import pytest
from modemsim_support import running_modem

from godwit.twin.agnss import Request, build
from harness.run_unit import REPO, program

_HARBOUR = (54.4716, 9.0446, 3000)
# Clouds until the node has asked what it came for, however long that takes on this machine.
_CLOUDY = ("--family", "gnss", "--place", "harbour", "--fault", "no_fix")
# Where both know the time the simulated world must not run away from the node's: 2 minutes are 8 s of ours.
_SLOW, _FAST = (*_CLOUDY, "--speed", "15"), (*_CLOUDY, "--speed", "40")
pytestmark = [
    pytest.mark.limit(60),
    pytest.mark.skipif(
        program("mp32") is None and not os.environ.get("CI"), reason="no 32-bit MicroPython on this machine"
    ),
]


class Device:
    """The MicroPython process; `told` has what it said, in order, by name."""

    def __init__(self, modem, scenario, path="-", unix_s=None):
        now = int(modem.ask(get="state")["now_ms"] / 1000) if unix_s is None else unix_s
        self.process = subprocess.Popen(
            [str(program("mp32")), "-X", "heapsize=256k", str(REPO / "tests" / "device" / "ublox_device.py"), modem.pty,
             scenario, str(path), str(now)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "MICROPYPATH": f"{REPO / 'lib'}:.frozen"},
        )  # fmt: skip
        self.told = {}

    def until(self, name=None):
        """Read until it has told `name`, or ended; -> what was told."""
        for line in self.process.stdout:
            assert line.startswith("["), line + self.process.stdout.read()
            key, value = json.loads(line)
            self.told.setdefault(key, []).append(value)
            if key == name:
                return self.told
        assert name is None and self.process.wait(10) == 0, self.told
        return self.told

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()


def run(modem, scenario, *args, clear="need", **how):
    """The scenario to its end; the sky is clear from when it has told `clear`."""
    device = Device(modem, scenario, *args, **how)
    device.until(clear)
    modem.ask(clear="no_fix")
    return device.until()


@pytest.fixture
def blob(tmp_path):
    """Everything that the cloud has, in a file, for the time that is now."""
    path = tmp_path / "agnss.bin"
    path.write_bytes(build(Request([1, 2, 3, 4, 6, 7, 8, 9, 12, 13], int(time.time()), _HARBOUR)))
    return path


def ttff(modem):
    return [event["ttff_s"] for event in modem.events("gnss_fix")]


def check(fix):
    assert abs(fix["lat"] / 1e7 - _HARBOUR[0]) < 0.01 and abs(fix["lon"] / 1e7 - _HARBOUR[1]) < 0.01
    assert 1000 < fix["acc_mm"] < 60000 and fix["time"] > 1704067200 and abs(fix["alt_mm"]) < 200000


def test_without_help(tmp_path):
    """Neither of them knows the time: 35 s; then it has what the sky told, and wakes up hot."""
    with running_modem(tmp_path, *_FAST, ready=False) as modem:
        told = run(modem, "bare", unix_s=0)
        assert told["caps"] == [["AGNSS", "GNSS", "POSHINT", "TIMEHINT"]]
        assert told["need"] == [[0x3B, 0xFFFFFFFF]]
        check(told["fix"][0])
        assert ttff(modem)[0] >= 35
        modem.event("receiver_asleep")  # which it may say a little later
        assert modem.ask(get="injected")["injected"] == []


def test_time_and_place(tmp_path):
    """INI-TIME at once, as the node knows the time, and INI-POS as a hint."""
    with running_modem(tmp_path, *_SLOW, ready=False) as modem:
        told = run(modem, "hinted")
        assert told["need"] == [[0x33, 0xFFFFFFFF]]
        check(told["fix"][0])
        kinds = [entry["ubx"]["id"] for entry in modem.ask(get="injected")["injected"]]
        assert kinds == ["MGA-INI-TIME-UTC", "MGA-INI-POS-LLH"]
        assert ttff(modem)[0] >= 20


def test_full_assistance(tmp_path, blob):
    """All that the twin makes goes in, each frame acknowledged; a fix in seconds; after a sleep it needs no more."""
    with running_modem(tmp_path, *_SLOW, ready=False) as modem:
        told = run(modem, "assisted", blob, clear="left")
        entries = modem.ask(get="injected")["injected"]
        assert not [entry for entry in entries if entry["refused"] or entry["error"]], entries
        gps = {sv for entry in entries for sv in entry["svs"] if sv <= 32}
        kinds = [entry["ubx"]["id"] for entry in entries]
        assert len(gps) >= 31 and kinds.count("MGA-GPS-EPH") == len(gps) and "MGA-QZSS-EPH" in kinds
        assert kinds[:2] == ["MGA-INI-TIME-UTC", "MGA-INI-TIME-GNSS"]  # the node's, then the cloud's
        assert "MGA-GPS-ALM" not in kinds  # the ephemerides are complete
        assert told["taken"] == [len(entries) - 1]
        assert told["left"] == [None]
        assert told["need"] == [[0x33, 0xFFFFFFFF], None]
        for fix in told["fix"]:
            check(fix)
        helped = modem.events("gnss_fix")[0]["injected"]
        assert helped["ephemeris"] >= 31 and helped["clock"] == 2 and helped["location"] == 1
        # What the sky model makes of it; how long it took here depends on how busy this machine is.
        assert [event["expected_s"] for event in modem.events("gnss_start")] == [35, 2]


def test_a_receiver_that_lost_its_battery_is_given_all_again(tmp_path, blob):
    with running_modem(tmp_path, *_SLOW, ready=False) as modem:
        device = Device(modem, "forgetful", blob)
        device.until("left")
        modem.ask(clear="no_fix")
        device.until("ready")
        modem.ask(fault="no_fix")
        modem.ask(do="reset")
        device.go_on()
        device.until("need")
        modem.ask(clear="no_fix")
        told = device.until()
        assert told["need"] == [[0x33, 0xFFFFFFFF]] * 2
        check(told["fix"][1])


def test_nmea_is_all_it_speaks(tmp_path):
    with running_modem(tmp_path, *_FAST, "--model", "nmea", ready=False) as modem:
        told = run(modem, "bare")
        assert told["caps"] == [["GNSS"]] and told["need"] == [None]
        check(told["fix"][0])
        assert ttff(modem)[0] >= 35


def test_it_falls_silent(tmp_path):
    with running_modem(tmp_path, *_FAST, ready=False) as modem:
        device = Device(modem, "mute")
        device.until("ready")
        modem.ask(fault="mute", arg="01")
        device.go_on()
        assert device.until()["errno"] == [110]
