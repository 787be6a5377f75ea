"""Whole days through `godwit run`: every layer, real MicroPython, twin and modem simulator in processes of their own.

Exit status and report are not taken on trust: the key facts are derived here again from the twin's database.
"""

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from day_support import REPO, day_command, day_environment, run_day

DEVICE = "nrf-359746166000016"
HEAP_184K = 184 * 1024
QUICK = ("--speed", 60)  # the radio's waits are not what is tried here


class Database:
    """The twin's own database, read after the day is over."""

    def __init__(self, workdir):
        self._db = sqlite3.connect(f"file:{workdir / 'day' / 'twin.db'}?mode=ro", uri=True)

    def rows(self, sql, *args):
        return self._db.execute(sql, args).fetchall()

    def value(self, sql, *args):
        return self._db.execute(sql, args).fetchone()[0]

    def close(self):
        self._db.close()


@pytest.fixture
def database(tmp_path):
    opened = []

    def open_it():
        opened.append(Database(tmp_path))
        return opened[0]

    yield open_it
    for db in opened:
        db.close()


def assert_whole_day(status, output, report, db, spare=()):
    """What every successful day must show, straight from the tables. `spare`: checks that may fail."""
    assert report, output
    missing = [(check["name"], check["found"]) for check in report["checks"] if not check["ok"]]
    assert {name for name, _ in missing} <= set(spare), f"exit {status}: {missing}\n{output[-6000:]}"
    assert (status, report["ok"]) == ((1, False) if missing else (0, True))
    apps = dict(db.rows("SELECT app_id, COUNT(*) FROM message WHERE device = ? GROUP BY app_id", DEVICE))
    assert apps["TEMP"] >= 80 and apps["GNSS"] >= 3 and apps["HEAP"] >= 1
    bodies = db.rows("SELECT body FROM message WHERE app_id = 'TEMP'")
    times = [json.loads(body)["ts"] for (body,) in bodies]
    assert max(times) - min(times) >= 23 * 3600 * 1000
    services = {service for (service,) in db.rows("SELECT DISTINCT service FROM location WHERE device = ?", DEVICE)}
    assert "GNSS" in services and services & {"SCELL", "MCELL"}
    assert db.value("SELECT COUNT(*) FROM auth WHERE reason IS NULL AND device = ?", DEVICE) >= 4
    reported = json.loads(db.value("SELECT reported FROM device WHERE id = ?", DEVICE))
    assert reported["config"]["sample_interval_s"] == 900
    assert reported["device"]["deviceInfo"]["appVersion"] == "1.1.0"
    assert db.value("SELECT COUNT(*) FROM error") == 0
    assert_update(db)


def assert_update(db):
    history = [status for (status,) in db.rows("SELECT status FROM execution_history ORDER BY n")]
    assert history[0] == "QUEUED" and history[-1] == "SUCCEEDED" and "IN_PROGRESS" in history
    size = db.value("SELECT length(data) FROM file")
    blocks = db.rows("SELECT offset, size FROM proxy_block ORDER BY n")
    have = bytearray(size)
    for offset, length in blocks:
        have[offset : offset + length] = b"\1" * length
    assert all(have), "the twin has not served every byte"
    # Not fetched twice: the head (header, manifest) and one flash block at most, not half an image.
    assert sum(length for _, length in blocks) <= size + 24 * 1024
    done = db.value("SELECT t FROM execution_history WHERE status = 'SUCCEEDED'")
    last_block = db.value("SELECT MAX(t) FROM proxy_block")
    between = db.value("SELECT COUNT(*) FROM auth WHERE reason IS NULL AND t > ? AND t <= ?", last_block, done)
    assert between >= 1, "SUCCEEDED without an authentication after the restart"


@pytest.mark.limit(150)
def test_day_on_64_bit(tmp_path, database):
    status, output, report = run_day(tmp_path, *QUICK)
    assert_whole_day(status, output, report, database())
    assert report["facts"]["fota"]["before_cut"] > 0
    lines = [line for line in output.splitlines() if line.strip()]
    assert len(lines) <= 220, "the page of a day is too long to read"
    for words in ("POWER CUT", "attached", "onboarded", "ground-fix", "confirmed", "SUCCEEDED", "A whole day"):
        assert words in output, f"{words} is not on the page"


@pytest.mark.limit(150)
def test_day_on_32_bit_in_184k_with_loss(tmp_path, database):
    status, output, report = run_day(tmp_path, *QUICK, "--bits", 32, "--heap", "184k", "--drop", "0.05", "--seed", 7)
    # MicroPython's collector is conservative: once in many days it takes a number for a reference, and keeps what is
    # gone. An errand that then finds no room is visited again, and everything else has to be as on any day.
    assert_whole_day(status, output, report, database(), spare=("alerts",))
    heap = [json.loads(body)["data"] for (body,) in database().rows("SELECT body FROM message WHERE app_id = 'HEAP'")]
    assert 0 < max(int(float(value)) for value in heap) <= HEAP_184K
    assert report["facts"]["repeats"] > 0, "5 % loss and nothing was ever sent twice"


@pytest.mark.limit(150)
def test_day_with_dtls_and_jwt_in_the_modem_and_an_outage_of_the_cloud(tmp_path, database):
    status, output, report = run_day(tmp_path, *QUICK, "--dtls", "modem", "--jwt", "modem", "--outage")
    assert_whole_day(status, output, report, database())
    assert "the cloud is GONE" in output and "the cloud is back" in output
    node = (tmp_path / "day" / "logs" / "node.log").read_text()
    assert "W link lost: " in node, "the node never noticed that the cloud was gone"
    modem = (tmp_path / "day" / "logs" / "modem.log").read_text()
    assert '"dtls_open"' in modem and '"jwt"' in modem


@pytest.mark.limit(100)
def test_a_bearer_that_is_lost_costs_no_handshake_where_the_modem_has_a_connection_id(tmp_path, database):
    options = ("--dtls", "modem", "--jwt", "modem", "--pdn-loss", "--hours", 8)
    status, output, report = run_day(tmp_path, *QUICK, *options)
    assert (status, report["ok"]) == (0, True), output[-4000:]
    assert "the bearer is LOST" in output
    node = (tmp_path / "day" / "logs" / "node.log").read_text()
    lost, again = node.index("W link lost: "), node.index("authenticated as", node.index("W link lost: "))
    assert lost < again and "dtls     connected" not in node[lost:again]
    assert "W modem restarted" not in node
    assert report["facts"]["sessions"]["handshakes"] == 3  # power on, power back, new version


FAMILIES = {  # family -> (more options, what the modem did, what it did not)
    "sara_r5": (("--bits", 32, "--heap", "184k"), ('"dtls_open"', '"agnss"'), ()),
    "bg95": (("--drop", "0.03"), ('"gnss_fix"', '"pdn_up"'), ('"agnss"', '"dtls_open"')),
    "sim7080": ((), ('"gnss_fix"', '"pdn_up"'), ('"agnss"', '"dtls_open"')),
}


@pytest.mark.limit(150)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_day_with_another_modem(tmp_path, family):
    more, did, did_not = FAMILIES[family]
    status, output, report = run_day(tmp_path, *QUICK, "--modem", family, "--hours", 8, *more)
    assert (status, report["ok"]) == (0, True), output[-4000:]
    modem = (tmp_path / "day" / "logs" / "modem.log").read_text()
    assert all(event in modem for event in did) and not any(event in modem for event in did_not)
    # A receiver that works without LTE only costs sessions, which is its way of life and no failure.
    node = (tmp_path / "day" / "logs" / "node.log").read_text()
    assert "recovery level" not in node
    handshakes = report["facts"]["sessions"]["handshakes"]
    assert handshakes > 3 if family == "sim7080" else handshakes == 3


@pytest.mark.limit(60)
@pytest.mark.parametrize(
    ("sabotage", "words"),
    [
        ("ca", ("not trusted", "untrusted", "trust")),
        ("name", ("host name", "hostname")),
        ("expired", ("expired",)),
        ("future", ("not yet valid", "not valid yet", "future")),
        ("key", ("4.03", "not accepted")),
        ("onboarding", ("4.03", "not accepted")),
    ],
)
def test_sabotaged_day(tmp_path, database, sabotage, words):
    status, output, report = run_day(
        tmp_path, "--hours", 0.1, "--speed", 200, "--sabotage", sabotage, limit_s=30
    )
    assert status == 1, output[-3000:]
    node = (tmp_path / "day" / "logs" / "node.log").read_text()
    assert any(word in node for word in words), f"the node never said why\n{node[-3000:]}"
    assert "next try in" in node, "no back-off"
    assert node.count("Traceback") == 0
    assert {check["name"] for check in report["checks"] if not check["ok"]} >= {"auth", "config", "sensors", "job"}
    db = database()
    assert db.value("SELECT COUNT(*) FROM message") == 0
    if sabotage in ("key", "onboarding"):
        refused = db.value("SELECT COUNT(*) FROM auth WHERE reason IS NOT NULL")
        assert 1 <= refused <= 6, "refused, and hammering on"
    else:
        assert db.value("SELECT COUNT(*) FROM auth") == 0, "a token went to a server that proved nothing"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_mid_day_leaves_nothing_running(tmp_path, number):
    process = subprocess.Popen(
        day_command("--workdir", tmp_path / "day"), env=day_environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        for line in process.stdout:
            if "power on" in line:
                break
        time.sleep(0.5)
        process.send_signal(number)
        process.stdout.read()
        assert process.wait(20) == 128 + number
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert [line for line in lines if str(tmp_path).encode() in line] == []


def test_taken_port_is_one_line(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        status, output, _ = run_day(tmp_path, "--coap-port", port, limit_s=20)
    assert status == 1
    assert output.strip().splitlines()[-1].startswith("Error: twin") and str(port) in output
    assert "Traceback" not in output


def test_missing_micropython_is_one_line(tmp_path):
    code = (
        "import sys; from godwit.day import options; from pathlib import Path\n"
        "options.Options.micropython = property(lambda self: Path('/nowhere/micropython64'))\n"
        f"from godwit.day.command import run; run(['--workdir', {str(tmp_path / 'day')!r}])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=day_environment(), cwd=REPO, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 1
    assert done.stderr.strip().startswith("Error: no 64-bit MicroPython") and len(done.stderr.splitlines()) == 1


@pytest.mark.limit(60)
def test_heap_that_is_too_small_is_one_line(tmp_path):
    status, output, _ = run_day(tmp_path, "--bits", 32, "--heap", "48k", limit_s=40)
    assert status == 1
    assert "restarted itself 25 times" in output.splitlines()[-1] and "MemoryError" in output.splitlines()[-1]
