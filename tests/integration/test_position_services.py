"""The device's position services over DTLS through the AT path, against the twin: every form of the requests, a
download of predictions that goes on after a power cut, and a fix without a network.

The device side is tests/device/position_device.py; the twin's records and the simulator's receiver say what happened.
"""

import contextlib
import json
import os
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest
from modemsim_support import running_modem
from twin_support import DEVICE, running

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("GODWIT_BUILD") or ROOT / "build").resolve()
PREDICTION = 2006
pytestmark = pytest.mark.limit(100)


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    with running(tmp_path_factory.mktemp("twin")) as made:
        yield made


@pytest.fixture
def modem(twin, tmp_path):
    peer = f"coap.nrfcloud.com:5684=127.0.0.1:{twin.coap_port}"
    with running_modem(tmp_path, "--speed", "100", "--resolve", peer) as made:
        yield made


class Device:
    """The MicroPython process: `found` is name -> last value told, `lines` everything it printed."""

    def __init__(self, twin, modem, folder, scenario, *args, bits="32"):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MICROPY"))}
        script = ROOT / "tests" / "device" / "position_device.py"
        words = [BUILD / "bin" / f"micropython{bits}", "-X", "heapsize=400k", script, ROOT, modem.pty, twin.pki, DEVICE]
        self.process = subprocess.Popen(
            [*map(str, words), scenario, str(folder), *map(str, args)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, text=True,
        )  # fmt: skip
        self.found, self.lines = {}, []

    def until(self, name=None, limit_s=80, text=None):
        """Read until `name` was told, or a line has `text` in it, or to the end; -> its value."""
        timer = threading.Timer(limit_s, self.process.kill)
        timer.start()
        try:
            for line in self.process.stdout:
                self.lines.append(line.rstrip())
                if line.startswith("["):
                    told, self.found[told] = json.loads(line)
                    if told == name:
                        return self.found[told]
                if text and text in line:
                    return line
        finally:
            timer.cancel()
        assert name is None and text is None, (name, text, self.lines)
        assert self.process.wait(10) == 0, "\n".join(self.lines[-20:])
        return None

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@contextlib.contextmanager
def device(*args, **how):
    made = Device(*args, **how)
    try:
        yield made
    finally:
        made.stop()


def run(*args, **how):
    with device(*args, **how) as made:
        made.until()
        return made


def requests(twin, since):
    """The twin's requests from number `since` on, as "METHOD path?query code"."""
    rows = twin.records()["requests"][since:]
    return [" ".join((r["method"], r["path"] + ("?" + r["query"] if r["query"] else ""), r["code"])) for r in rows]


def groups(blob):
    """{element type: [bytes]} of assistance data, by the sizes of nrfcloud.md 9.1."""
    sizes = {1: 14, 2: 62, 6: 4, 7: 16, 8: 15}
    assert blob[0] == 1
    at, found = 1, {}
    while at < len(blob):
        kind, count = struct.unpack_from("<BH", blob, at)
        at += 3
        for _ in range(count):
            found.setdefault(kind, []).append(blob[at : at + sizes[kind]])
            at += sizes[kind]
    assert at == len(blob)
    return found


def satellites(folder, unix_s):
    """PRNs with data in the prediction on flash that serves at `unix_s`."""
    (name,) = os.listdir(folder)
    number = (int(unix_s) - 315964800 + 18 + 7200 - int(name)) // 14400
    records = (folder / name).read_bytes()[16 + number * PREDICTION + 22 :][: 32 * 62]
    return [records[at] for at in range(0, len(records), 62) if any(records[at + 1 : at + 62])]


def test_every_form_of_every_request(twin, modem, tmp_path):
    since = len(twin.records()["requests"])
    day = (int(time.time()) - 315964800 + 18) // 86400 + 1
    made = run(twin, modem, tmp_path, "forms", day, bits="64")
    found, seen = made.found, requests(twin, since)

    place = found["place"]
    assert place["how"] in ("SCELL", "MCELL") and 54_0000000 < place["lat"] < 56_0000000 and place["acc_mm"] > 0
    assert found["silent"] == {} and found["nowhere"] is None
    assert found["wifi"]["how"] == found["only_wifi"]["how"] == "WIFI"
    assert found["found"] > 1 and found["several"]["how"] == "MCELL"
    fixes = [line for line in seen if "ground-fix" in line]
    assert fixes[1] == "FETCH loc/ground-fix?doReply=false&hiConf=true&fallback=false 2.05"
    assert fixes[-1] == "FETCH loc/ground-fix 4.00" and "FETCH loc/ground-fix 4.04" in fixes
    history = twin.rest.get("/v1/location/history", params={"deviceId": DEVICE}).json()["items"]
    assert sum(item["serviceType"] == "WIFI" for item in history) >= 2
    assert len(history) >= 5  # the one that was not answered, too

    for form in ("FETCH agnss", "FETCH agps", "GET agnss", "GET agps"):
        elements = groups(bytes.fromhex(found[form]))
        assert elements.keys() == {1, 6, 7, 8}, form
        lat = struct.unpack("<i", elements[8][0][:4])[0] * 90 / 2**23
        assert abs(lat - place["lat"] / 1e7) < 0.5
        assert any(line.startswith(form.replace(" ", " loc/")) and line.endswith("2.05") for line in seen), form
    assert any("types=1&types=6&types=7&types=8&eci=" in line for line in seen)
    assert 1 <= len(groups(bytes.fromhex(found["filtered"]))[2]) <= 16

    url = f"https://pgps.nrfcloud.com/public/{day}-14400_{day}-43200.bin"
    assert found["FETCH pgps"] == found["GET pgps"] == url
    assert found["refusals"].keys() == {"types", "count", "cell"}
    assert all(text.startswith("4.00") for text in found["refusals"].values())


@pytest.mark.parametrize("bits", ["32", "64"])
def test_a_day_without_a_network(twin, modem, tmp_path, bits):
    """With the link: assistance from the cloud, predictions onto flash. Without: the right one goes to the receiver."""
    began = len(modem.ask(get="injected")["injected"])
    made = run(twin, modem, tmp_path, "offline", bits=bits)
    fetched = [line for line in made.lines if "bytes of predictions fetched" in line]
    assert fetched and str(16 + 12 * PREDICTION) in fetched[0], made.lines
    injected = modem.ask(get="injected")["injected"][began:]
    online, offline = injected[:-1], injected[-1]
    assert sum(part["accepted"].get("ephemeris", 0) for part in online) == 32
    assert offline["error"] is None and offline["refused"] == {}
    wanted = satellites(tmp_path / "pgps", time.time())
    assert 25 < len(wanted) < 32 and offline["svs"] == wanted
    assert offline["accepted"] == {"clock": 1, "location": 1, "ephemeris": len(wanted)}
    fixes = modem.events("gnss_fix")
    assert fixes[-1]["injected"]["ephemeris"] == len(wanted) and fixes[-1]["ttff_s"] < 20, fixes  # 35 s without help
    assert made.found["gnss"]["acc_mm"] > 0
    assert sum("GNSS fix after" in line for line in made.lines) == 2


def test_what_the_receiver_has_is_not_fetched_again(twin, modem, tmp_path):
    since = len(twin.records()["requests"])
    made = run(twin, modem, tmp_path, "online")
    seen = [line for line in requests(twin, since) if "agnss" in line]
    assert made.found["first"]["how"] == "WIFI"
    parts = modem.ask(get="injected")["injected"]
    assert 4 <= sum(part["accepted"].get("ephemeris", 0) for part in parts) <= 16
    assert len(seen) == 3, seen  # small ones, ephemerides, almanacs; and nothing at the second visit
    assert sum("GNSS fix after" in line for line in made.lines) == 2


def test_a_download_goes_on_after_a_power_cut(twin, modem, tmp_path):
    wanted = 16 + 42 * PREDICTION
    stored = tmp_path / "pgps" / "new"
    with device(twin, modem, tmp_path, "fetch", 42) as made:
        made.until("begun")
        end = time.monotonic() + 60
        while not stored.exists() or stored.stat().st_size < wanted // 3:
            assert time.monotonic() < end and made.process.poll() is None, made.lines
            time.sleep(0.01)
        made.process.kill()
    held = stored.stat().st_size
    assert wanted // 3 <= held < wanted
    since = len(twin.records()["requests"])
    again = run(twin, modem, tmp_path, "fetch", 42)
    assert again.found["fetched"] == wanted - (held - 16) // PREDICTION * PREDICTION - 16
    assert not [line for line in requests(twin, since) if "loc/pgps" in line], "it had to ask again"
    (name,) = os.listdir(tmp_path / "pgps")
    whole = (tmp_path / "pgps" / name).read_bytes()
    assert len(whole) == wanted and whole[:8] == bytes.fromhex("010a01002a00d607")
    for number in range(42):
        head = whole[16 + number * PREDICTION :][:9]
        day, second = struct.unpack("<HI", head[3:])
        assert head[:3] == b"\x07\x01\x00" and day * 86400 + second == int(name) + number * 14400


def test_stale_predictions_are_not_kept(twin, modem, tmp_path):
    twin.faults(pgps_stale_days=2)
    try:
        made = run(twin, modem, tmp_path, "fetch", 3)
    finally:
        twin.faults(pgps_stale_days=0)
    assert "stale" in made.found["error"]
    assert os.listdir(tmp_path / "pgps") == []


def test_assistance_that_is_cut_off_is_not_injected(twin, modem, tmp_path):
    twin.faults(agnss_truncate=30)
    try:
        made = run(twin, modem, tmp_path, "offline")
    finally:
        twin.faults(agnss_truncate=0)
    assert any("no assistance, or no more: no assistance: cut off" in line for line in made.lines), made.lines
    injected = modem.ask(get="injected")["injected"]
    assert injected and all(part["error"] is None for part in injected)


def test_a_receiver_on_a_uart_of_its_own(twin, modem, tmp_path):
    """Whatever the modem is: assistance from the cloud, and later from flash, goes to a u-blox receiver as UBX-MGA."""
    (tmp_path / "own").mkdir()
    sky = ("--family", "gnss", "--speed", "4", "--fault", "no_fix")  # clouds until it was helped
    with running_modem(tmp_path / "own", *sky, ready=False) as receiver:
        with device(twin, modem, tmp_path, "own", receiver.pty) as made:
            made.until(text="bytes of assistance injected")
            receiver.ask(clear="no_fix")
            made.until("cut")
            online = receiver.ask(get="injected")["injected"]
            receiver.ask(fault="no_fix")
            receiver.ask(do="reset")
            made.process.stdin.write("\n")
            made.process.stdin.flush()
            made.until(text="assistance injected, without the cloud")
            receiver.ask(clear="no_fix")
            made.until()
        offline = receiver.ask(get="injected")["injected"][len(online) :]
    assert not [part for part in online + offline if part["refused"] or part["error"]]
    kinds = [part["ubx"]["id"] for part in online]
    assert sorted(set(kinds)) == [
        "MGA-GPS-EPH", "MGA-GPS-HEALTH", "MGA-GPS-IONO", "MGA-GPS-UTC", "MGA-INI-POS-LLH", "MGA-INI-TIME-UTC",
    ]  # fmt: skip
    assert kinds.count("MGA-GPS-EPH") == 32 and kinds[0] == "MGA-INI-TIME-UTC"
    kinds = [part["ubx"]["id"] for part in offline]
    wanted = satellites(tmp_path / "pgps", time.time())
    assert kinds == ["MGA-INI-TIME-UTC", "MGA-INI-POS-LLH"] + ["MGA-GPS-EPH"] * len(wanted)
    assert sorted(sv for part in offline for sv in part["svs"]) == wanted
    assert sum("GNSS fix after" in line for line in made.lines) == 2
    assert not modem.events("gnss_start"), "the modem's own receiver was used"
