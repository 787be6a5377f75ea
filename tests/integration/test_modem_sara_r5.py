"""lib/modem/sara_r5 in a MicroPython process against the modem simulator: what is special about the family.

The device side is tests/device/sara_device.py; what really happened is asked of the simulator and of the peers. What
all families have in common is in the contract suite.
"""

import time

import pytest
from modemsim_support import running_modem
from nrf91_support import device
from test_modem_nrf91 import PEER, TAG, assistance, dtls_server, resolve, udp_peer

from godwit import pki

FAST = ("--family", "sara_r5", "--speed", "50", "--place", "harbour")
R422 = ("--model", "r422")


def sara(folder, *args):
    return running_modem(folder, *FAST, *args, ready=False)


def run(modem, scenario, *args, **how):
    with device(modem, scenario, *args, script="sara_device.py", **how) as made:
        return made.finish(60)


@pytest.mark.parametrize("model", [(), R422])
def test_link(tmp_path, model):
    with sara(tmp_path, *model) as modem:
        found = run(modem, "link")
    assert {"DTLS", "GNSS", "AGNSS", "TIMEHINT", "POSHINT", "PSM"} == set(found["caps"])
    cell = {"mcc": 262, "mnc": 1, "tac": 0x5A10, "eci": 0x1A2B3C4, "rat": "ltem", "earfcn": 1300, "pci": 417}
    cell.update({"rsrp_dbm": -92, "rsrq_db": -10, "snr_db": 15, "ta": None, "neighbours": []})
    assert found["cell"] == cell
    assert found["identity"]["imei"] == "352656100000001"
    assert abs(found["time"] - time.time()) < 600
    assert found["registered"] and found["detached"]
    assert "log" not in found and "lost" not in found


@pytest.mark.parametrize("options", [("--fault", "split=0"), R422])
def test_udp_echo(tmp_path, options):
    with udp_peer() as port, sara(tmp_path, *resolve(port), "--fault", "prompt_strict", *options) as modem:
        found = run(modem, "echo", PEER, 5683)
    assert (found["good"], found["silence"], found["lost_datagrams"]) == (13, 110, 0)
    assert "log" not in found


@pytest.mark.parametrize("accident", ["reboot", "pdn_deact"])
def test_accident_while_receiving(tmp_path, accident):
    with udp_peer() as port, sara(tmp_path, *resolve(port)) as modem:
        with device(modem, "interrupted", PEER, 5683, script="sara_device.py") as made:
            made.until("waiting")
            modem.ask(do=accident)
            found = made.finish(60)
    assert (found["recv"], found["send"]) == (104, 104)
    assert found["again"] == "again"
    assert len(found["all"]["lost"]) == 1


def test_certificate_is_stored_once(tmp_path):
    """A wrong one first: refused; then the right one takes its place, is kept, and is enough by itself."""
    name = pki.HOST
    made_pki = pki.make_pki(tmp_path / "pki", variants=["wrong-ca"])
    right = made_pki / "ca.pem"
    wrong = next(path for path in made_pki.glob("*ca*.pem") if path.read_bytes() != right.read_bytes())
    with dtls_server(made_pki, "server") as (port, server):
        with sara(tmp_path, "--resolve", f"{name}:5684=127.0.0.1:{port}") as modem:
            files = ("-", wrong, right, right, "-")
            with device(modem, "dtls", name, 5684, TAG, name, *files, script="sara_device.py") as made:
                for count in (1, 2, 3):
                    assert server.stdout.readline() == b"ping from the device\n"
                    server.stdin.write(b"pong %d\n" % count)
                    server.stdin.flush()
                found = made.finish(60)
    assert found["all"]["error"] == [103, 103]
    assert found["all"]["left"] == [[0, 0]] * 2
    assert found["all"]["received"] == ["pong 1\n", "pong 2\n", "pong 3\n"]


def test_host_name_is_verified(tmp_path):
    name = pki.HOST
    made_pki = pki.make_pki(tmp_path / "pki", variants=["wrong-host"])
    with dtls_server(made_pki, "wrong-host") as (port, _):
        with sara(tmp_path, "--resolve", f"{name}:5684=127.0.0.1:{port}") as modem:
            found = run(modem, "dtls", name, 5684, TAG, name, made_pki / "ca.pem")
    assert found["error"] == 103


@pytest.mark.parametrize("model", [(), R422])
def test_gnss_with_assistance(tmp_path, model):
    blob = tmp_path / "blob"
    blob.write_bytes(assistance(time.time()))
    with sara(tmp_path, *model) as modem:
        found = run(modem, "gnss", blob)
        injected = modem.ask(get="injected")
        ttff_s = modem.events("gnss_fix")[0]["ttff_s"]
    taken = [one["svs"] for one in injected["injected"] if one["accepted"].get("ephemeris")]
    assert taken == [[sv] for sv in range(1, 33)]
    print("fix after", ttff_s, "s")
    assert found["need"]["systems"]["1"] == [0xFFFFFFFF, 0]
    assert found["need"]["flags"] & 0x08 == 0  # the driver has told it the network's time
    assert found["second_need"] is None  # it has everything now, through the stop
    for fix in (found["fix"], found["second_fix"]):
        assert 5_000_000_00 < fix["lat"] < 6_500_000_00
        assert abs(fix["time"] - time.time()) < 3600
        assert 0 < fix["acc_mm"] < 100_000
    assert ttff_s < 20  # 35 s without


def test_gnss_without_a_fix(tmp_path):
    with sara(tmp_path, "--fault", "no_fix") as modem:
        assert run(modem, "no_fix")["fix"] is None


def test_a_receiver_that_takes_no_assistance(tmp_path):
    """Busy whenever it is asked: nothing is known of it, and the refusal is told; positions come all the same."""
    blob = tmp_path / "blob"
    blob.write_bytes(assistance(time.time()))
    with sara(tmp_path, "--fault", "gnss_busy") as modem:
        found = run(modem, "gnss", blob)
    assert found["refused"] == "AT+UGUBX"
    assert found["need"] and found["second_need"]
    assert found["fix"]["lat"] and found["second_fix"]["lat"]


def test_garbage_per_datagram(tmp_path):
    with udp_peer() as port, sara(tmp_path, *resolve(port)) as modem:
        spent = run(modem, "heap", PEER, 5683)["per_exchange"]
    print("bytes of garbage per datagram there and back:", spent)
    assert spent < 10000
