"""The contract of modem.base, the same cases over the four families: driver in MicroPython, modem simulated on a PTY.

Numbers are the acceptance list of modems.md 7.5. What is special about a family is in its own test file; 13 (assistance
byte for byte) is there, too, and 15 is the day. 8 and 14 are in test_campaign.py as well, over the whole firmware.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from modemsim_support import running_modem
from nrf91_support import device
from test_modem_nrf91 import PEER, resolve, udp_peer

REPO = Path(__file__).resolve().parents[2]
FAMILIES = ("nrf91", "sara_r5", "bg95", "sim7080")
pytestmark = pytest.mark.limit(90)
all_families = pytest.mark.parametrize("family", FAMILIES)

CAPS = {
    "nrf91": {"DTLS", "DTLS_CID", "NEIGHBOURS", "GCI", "TA", "GNSS", "AGNSS", "JWT", "KEYGEN", "PSM", "RAI"},
    "sara_r5": {"DTLS", "GNSS", "AGNSS", "TIMEHINT", "POSHINT", "PSM"},
    "bg95": {"DTLS", "NEIGHBOURS", "GNSS", "TIMEHINT", "XTRA", "PSM"},
    "sim7080": {"DTLS", "NEIGHBOURS", "GNSS", "GNSS_ALONE", "XTRA", "PSM"},
}
# modems.md 2A.5, vector A: the cell that every family's own words describe, and its neighbours.
CELL = {"mcc": 262, "mnc": 1, "tac": 0x5A10, "eci": 0x1A2B3C4, "rat": "ltem", "earfcn": 1300, "pci": 417,
        "rsrp_dbm": -92, "rsrq_db": -10}
NEIGHBOURS = [(1300, 251, -108, -18), (6300, 107, -115, -13)]
MTU = {"nrf91": 1200, "sara_r5": 1024, "bg95": 1200, "sim7080": 1200}
EALREADY, EINVAL, ECONNRESET, ETIMEDOUT, EHOSTUNREACH = 114, 22, 104, 110, 113


def simulated(folder, family, *args):
    return running_modem(folder, "--family", family, "--speed", "50", "--place", "harbour", *args, ready=False)


def contract(modem, scenario, family, *args, **how):
    return device(modem, scenario, family, *args, script="contract_device.py", **how)


def run(modem, scenario, family, *args):
    with contract(modem, scenario, family, *args) as made:
        found = made.finish(60)
    assert found["end"]
    return found


def burst(data):
    return [bytes((i,)) * 50 for i in range(20)] if data == b"burst" else [data]


@all_families
def test_life(tmp_path, family):
    """1, 2, 3, 5, 6, 11, 12: from a start to the end of a life in which nothing goes wrong."""
    with udp_peer(burst) as port, simulated(tmp_path, family, *resolve(port)) as modem:
        found = run(modem, "life", family, PEER, 5683)
        left = modem.ask(get="state")["sockets"]
    assert found["restarted"] and found["final"] and found["missing"] == []
    assert CAPS[family] <= set(found["caps"])
    assert found["attached"]["stat"] in (1, 5) and found["attached"]["tac"] == 0x5A10
    assert set(found["stats"]) <= {0, 1, 2, 5} and found["again"] == found["attached"] and found["kept"]
    assert found["identity"]["imei"] == "352656100000001" and found["identity"]["model"]
    assert abs(found["time"] - time.time()) < 3600
    assert found["signal"]["rsrp_dbm"] == CELL["rsrp_dbm"]
    _same_cell(found["cell"], found["serving"], "NEIGHBOURS" in found["caps"])
    assert found["mtu"] == MTU[family]
    assert found["echoed"] == [10, 0] and found["burst"] == 20 and found["second"] == "b'second'"
    assert (found["empty"], found["long"], found["silence"]) == (EINVAL, EINVAL, ETIMEDOUT)
    assert found["open"] == 2 and found["left"] == [0, 0] and found["closed"] == [ECONNRESET] * 2
    assert found["nowhere"] == EHOSTUNREACH
    assert left == []
    assert found.get("busy") == (EALREADY if family == "sim7080" else None)
    assert found["no_fix"] is None and found["need"]
    assert 5_000_000_00 < found["fix"]["lat"] < 6_500_000_00 and abs(found["fix"]["time"] - time.time()) < 7200
    assert found["fix"]["acc_mm"] > 0
    assert found["detached"]


def _same_cell(cell, serving, neighbours):
    """11: every family reads the same cell, and the same neighbours where it sees any."""
    assert {key: cell[key] for key in CELL} == CELL
    assert cell["snr_db"] in (15, 16, None)
    found = [(one["earfcn"], one["pci"], one["rsrp_dbm"], one["rsrq_db"]) for one in cell["neighbours"]]
    assert found == (NEIGHBOURS if neighbours else [])
    assert {key: serving[key] for key in CELL} == CELL


# --- in virtual time, by tests/campaign/contract.py -----------------------------------------------------------------

PROMPTS = {  # commands that leave a counted payload due (modems.md 1.5)
    "nrf91": ("AT#XSOCKET=1,2,0", "AT#XSEND=0,2,0,300"),
    "sara_r5": ('AT+USECMNG=0,0,"x",300',),
    "bg95": ('AT+QFUPL="x",300,60',),
    "sim7080": ("AT+CFSINIT", 'AT+CFSWFILE=3,"x",0,300,9000'),
}
ACCIDENTS = ("reboot", "pdn_deact", "crash", "remote_close")
PEER_ARGS = [PEER, 5683]


def job(name, args=(), before=(), actions=()):
    return {"name": name, "args": list(args), "before": list(before), "actions": list(actions)}


JOBS = {
    "half": job("denied", before=[("raw", "AT+CER", None)]),
    "quote": job("denied", before=[("raw", 'AT+COPS=1,2,"26', None)]),
    "muted": job("denied", before=[("line", "ATE0", None), ("line", "AT+CMEE=0", None)]),
    "denied 15": job("denied", before=[("fault", "denied", 15)]),
    "denied 8": job("denied", before=[("fault", "denied", 8)]),
    "pin": job("sim", ["1234"], [("fault", "sim_pin", "1234")]),
    "wrong pin": job("sim", ["9999"], [("fault", "sim_pin", "1234")]),
    "no sim": job("sim", ["-"], [("fault", "no_sim", None)]),
    "accidents": job("accidents", [*PEER_ARGS, len(ACCIDENTS)], actions=ACCIDENTS),
    "ladder": job("ladder", PEER_ARGS),
    "life, news glued": job("life", PEER_ARGS, [("fault", "urc_inside", "glued")]),
    "life, news before": job("life", PEER_ARGS, [("fault", "urc_inside", "before")]),
    "life, news lost": job("life", PEER_ARGS, [("fault", "urc_lost", 1.0)]),
    "life, byte by byte": job("life", PEER_ARGS, [("fault", "split", 3)]),
    "woken": job("woken", before=[("fault", "sleepy", 3)]),
}
JOBS.update({f"payload {family}": job("denied", before=[("line", line, None) for line in lines])
             for family, lines in PROMPTS.items()})  # fmt: skip


@pytest.fixture(scope="module")
def told():
    """(job, family) -> what the device told, all of them in one process."""
    done = subprocess.run(
        [sys.executable, REPO / "tests" / "campaign" / "contract.py"],
        input=json.dumps(list(JOBS.values())), capture_output=True, text=True, timeout=80,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    names = [name for name in JOBS for _ in FAMILIES]
    assert len(found) == len(names) == len(JOBS) * len(FAMILIES)
    return {(name, one["family"]): one["told"] for name, one in zip(names, found)}


def good(told, name, family):
    found = told[name, family]
    assert "failed" not in found and found["bugs"] == []
    return found


@all_families
def test_start_from_dirty_states(told, family):
    """1: half a command, an open quote, a payload that is due, echo and error codes off."""
    for name in ("half", "quote", "muted", f"payload {family}"):
        assert "denied" not in good(told, name, family), name  # nobody denies: it has started and attached


@all_families
def test_denied(told, family):
    """4: the cause is told."""
    assert good(told, "denied 15", family)["denied"] == [[15, False]]
    assert good(told, "denied 8", family)["denied"] == [[8, True]]


@all_families
def test_sim(told, family):
    """A PIN is tried once, or the third wrong one would lock the card."""
    for name, kind, wrong in (("pin", "in", 0), ("wrong pin", "pin", 1), ("no sim", "missing", 0)):
        found = good(told, name, family)
        assert (found["first"], found["second"], found["pin_wrong"]) == ([kind], [kind], wrong), name


@all_families
def test_accidents(told, family):
    """7, 9, 22: a restart, a lost bearer, a crash, and the peer's goodbye while a datagram is awaited."""
    found = good(told, "accidents", family)
    assert len(found["ended"]) == len(ACCIDENTS) and set(found["ended"]) <= {ECONNRESET, ETIMEDOUT}
    assert found["ended"][0] == ECONNRESET and found["send"][:2] == [ECONNRESET] * 2
    assert found["after"] == ["after"] and found["sockets"] == 0


@all_families
def test_ladder(told, family):
    """Rungs 0 to 4: what must survive does, what must not says so, and afterwards all works again."""
    rungs = good(told, "ladder", family)["rungs"][0]
    assert [level for level, _, _ in rungs] == [0, 1, 2, 3, 4]
    assert [ended for _, ended, _ in rungs] == [None, *[ECONNRESET] * 4]
    assert [n for _, _, n in rungs] == [4] * 5


@all_families
def test_woken(told, family):
    """14: the first bytes after a pause are lost."""
    assert good(told, "woken", family)["answers"] == [[True] * 3]


@all_families
@pytest.mark.parametrize("fault", ["news glued", "news before", "news lost", "byte by byte"])
def test_life_on_a_bad_line(told, family, fault):
    """3, 5: what is lost is asked for, what comes in between is no answer."""
    if (family, fault) == ("nrf91", "news lost"):
        pytest.skip("its datagrams are news")
    found = good(told, f"life, {fault}", family)
    assert found["attached"][0]["stat"] in (1, 5) and found["missing"] == [[]]
    assert found["detached"] == [True] and found["left"] == [[0, 0]] and found["sockets"] == 0
    assert found["echoed"][0][0] >= (8 if fault == "news lost" else 10)
    assert found["burst"] == [20] or fault == "news lost"
    assert found["cell"][0]["eci"] == CELL["eci"] and found["fix"][0]
