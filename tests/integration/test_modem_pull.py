"""lib/modem/bg95 and lib/modem/sim7080 in a MicroPython process against the modem simulator.

The device side is tests/device/pull_device.py; what really happened is asked of the simulator and of the peers. What
all families have in common is in the contract suite.
"""

import threading
import time

import pytest
from modemsim_support import running_modem
from nrf91_support import device
from test_modem_nrf91 import PEER, TAG, dtls_server, resolve, udp_peer

from godwit import pki
from godwit.modem import xtra

CELL = {"mcc": 262, "mnc": 1, "tac": 0x5A10, "eci": 0x1A2B3C4, "rat": "ltem", "earfcn": 1300, "pci": 417}
NEIGHBOURS = [(1300, 251, -108, -18, None), (6300, 107, -115, -13, None)]

both = pytest.mark.parametrize("family", ["bg95", "sim7080"])


def simulated(folder, family, *args):
    return running_modem(folder, "--family", family, "--speed", "50", "--place", "harbour", *args, ready=False)


def started(modem, family, scenario, *args):
    return device(modem, scenario, family, "-", *args, script="pull_device.py")


def run(modem, family, scenario, *args):
    with started(modem, family, scenario, *args) as made:
        return made.finish(60)


@both
def test_link(tmp_path, family):
    with simulated(tmp_path, family) as modem:
        found = run(modem, family, "link")
    cell = dict(found["cell"])
    neighbours = cell.pop("neighbours")
    assert abs(cell.pop("snr_db") - 15) <= 1  # SIM7080 tells it in steps of 2 dB
    assert cell == {**CELL, "rsrp_dbm": -92, "rsrq_db": -10, "ta": None}
    names = ("earfcn", "pci", "rsrp_dbm", "rsrq_db", "time_diff")
    assert [tuple(each[name] for name in names) for each in neighbours] == NEIGHBOURS
    assert found["signal"] == {"rsrp_dbm": -92, "rsrq_db": -10}
    assert found["identity"]["imei"] == "352656100000001"
    assert abs(found["time"] - time.time()) < 3600
    assert found["registered"] and found["detached"]
    assert "log" not in found and "lost" not in found


@both
def test_start_with_noise_and_split_output(tmp_path, family):
    with simulated(tmp_path, family, "--fault", "boot_garbage=40", "--fault", "split=2") as modem:
        assert "NEIGHBOURS" in run(modem, family, "start")["caps"]


@both
@pytest.mark.parametrize("fault", [(), ("--fault", "split=0")])
def test_udp_echo(tmp_path, family, fault):
    with udp_peer() as port, simulated(tmp_path, family, *resolve(port), *fault) as modem:
        found = run(modem, family, "echo", PEER, 5683)
    assert (found["good"], found["silence"], found["lost_datagrams"]) == (14, 110, 0)
    assert "log" not in found


@both
def test_two_sockets_wait_at_the_same_time(tmp_path, family):
    with udp_peer() as port, simulated(tmp_path, family, *resolve(port)) as modem:
        found = run(modem, family, "two", PEER, 5683)
    assert found["all"]["sizes"] == [True] * 2


@both
@pytest.mark.parametrize("accident", ["reboot", "pdn_deact"])
def test_accident_while_receiving(tmp_path, family, accident):
    with udp_peer() as port, simulated(tmp_path, family, *resolve(port)) as modem:
        with started(modem, family, "interrupted", PEER, 5683) as made:
            made.until("waiting")
            modem.ask(do=accident)
            found = made.finish(60)
    assert (found["recv"], found["send"]) == (104, 104)
    assert found["again"] == "again"
    assert len(found["all"]["lost"]) == 1


@both
def test_certificate_is_stored_once(tmp_path, family):
    """None, then a wrong one: refused; then the right one takes its place, and is kept."""
    name = pki.HOST
    made_pki = pki.make_pki(tmp_path / "pki", variants=["wrong-ca"])
    right = made_pki / "ca.pem"
    wrong = next(path for path in made_pki.glob("*ca*.pem") if path.read_bytes() != right.read_bytes())
    with dtls_server(made_pki, "server") as (port, server):

        def serve():
            for count, line in enumerate(server.stdout, 1):
                assert line == b"ping from the device\n"
                server.stdin.write(b"pong %d\n" % count)
                server.stdin.flush()

        threading.Thread(target=serve, daemon=True).start()
        with simulated(tmp_path, family, "--resolve", f"{name}:5684=127.0.0.1:{port}") as modem:
            found = run(modem, family, "dtls", name, 5684, TAG, name, "-", wrong, right, right)
    assert found["all"]["error"] == [103, 103]
    assert found["all"]["left"] == [[0, 0]] * 2
    assert found["all"]["received"] == ["pong 1\n", "pong 2\n"]


def position(family, folder, *args):
    with simulated(folder, family) as modem:
        found = run(modem, family, "gnss", *args)
        ttff_s = modem.events("gnss_fix")[0]["ttff_s"]
    fix = found["fix"]
    print(family, args, ttff_s, fix)
    assert 5_000_000_00 < fix["lat"] < 6_500_000_00
    assert abs(fix["time"] - time.time()) < 3600
    assert 0 < fix["acc_mm"] < 100_000
    assert found["attached"]["stat"] == 1
    return found, ttff_s


@both
def test_gnss_with_predictions(tmp_path, family):
    (tmp_path / "cold").mkdir()
    found, cold_s = position(family, tmp_path / "cold")
    assert found.get("too_early") == (114 if family == "sim7080" else None)
    assert (found["fix"]["alt_mm"] is None) == (family == "sim7080")
    predictions = tmp_path / "xtra.bin"
    predictions.write_bytes(xtra.make(int(time.time()) - 3600, 72, 12000))
    found, helped_s = position(family, tmp_path, predictions)
    assert 60 * 3600 < found["valid_s"] <= 72 * 3600
    assert helped_s < cold_s - 5


@both
def test_recovery_ladder(tmp_path, family):
    with simulated(tmp_path, family) as modem:
        found = run(modem, family, "ladder")
    assert found["all"]["level"] == [0, 1, 2, 3, 4, 5]
    assert "lost" not in found  # we did it ourselves
