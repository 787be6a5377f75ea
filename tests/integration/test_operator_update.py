"""The operator's path: `godwit bundle`, `godwit cloud firmware upload`, `godwit cloud fota create --follow`, with a
whole node at the other end: .mpy files on a flash image, 32 bit, 160 KB, AT modem, DTLS. One life, three jobs."""

import json
import subprocess
import sys
import time

import pytest
from board_support import LIMIT_S, Firmware, make_flash, needs_32_bit
from day_support import day_environment
from modemsim_support import running_modem
from test_provisioning import FAST, SERVICE
from twin_support import API_KEY, DEVICE, running

_SETTINGS = {
    "device_id": DEVICE, "ack_timeout_ms": 500, "handshake_timeout_s": 5, "sample_interval_s": 3600,
    "uplink_interval_s": 7200, "locate_interval_s": 604800, "shadow_interval_s": 604800, "update_interval_s": 60,
}  # fmt: skip
_COAP_BLOCK = 1024
_BLOCK = 4096


class Desk:
    """What somebody types: each call is one `godwit ...` in a process of its own."""

    def __init__(self, url, folder):
        self._folder = folder
        self._environment = dict(day_environment(), GODWIT_CLOUD_URL=url, GODWIT_CLOUD_KEY=API_KEY, COLUMNS="120")

    def run(self, *words, status=0):
        """-> what it printed; its exit status must be `status`."""
        done = subprocess.run(
            [sys.executable, "-m", "godwit", *map(str, words)],
            env=self._environment,
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        print("$ godwit", *words)
        print(done.stdout)
        assert done.returncode == status, done.stdout
        return done.stdout

    def release(self, key, version, sequence):
        """Make a release and upload it; -> bundle id."""
        terms = ("--version", version, "--sequence", sequence, "--key", key, "--out", f"{version}.bin")
        self.run("bundle", *terms, "--zip", f"{version}.zip")
        return json.loads(self.run("cloud", "firmware", "upload", f"{version}.zip", "--json"))["bundleId"]

    def create(self, bundle):
        return json.loads(self.run("cloud", "fota", "create", bundle, "--device", DEVICE, "--json"))["jobId"]

    def follow(self, bundle, status=0):
        return self.run("cloud", "fota", "create", bundle, "--device", DEVICE, "--follow", status=status)


def loaded(twin):
    """-> (different bytes, bytes) that the proxy has served of all files."""
    found = twin.records()["devices"].get(DEVICE, {}).get("downloads", [])
    return sum(one["distinct"] for one in found), sum(one["served"] for one in found)


def histories(twin):
    """-> {job: its states, oldest first}."""
    device = twin.records()["devices"][DEVICE]
    return {row["job"]: [step["status"] for step in row["history"]] for row in device["executions"]}


@needs_32_bit
@pytest.mark.limit(170)
def test_an_operator_sees_updates_through(tmp_path, monkeypatch):
    world = tmp_path / "world"
    with running(tmp_path / "pki", "--world", str(world)) as twin:
        credentials = {"ca": twin.pki / "ca.pem", "device_hex": twin.pki / "device.hex"}
        places, _ = make_flash(tmp_path / "day", credentials, monkeypatch, _SETTINGS)
        resolve = ("--resolve", f"{SERVICE}=127.0.0.1:{twin.coap_port}")
        with running_modem(tmp_path, *FAST, "--world", world, *resolve) as modem:
            node = Firmware(places, modem.pty, world)
            try:
                operate(Desk(twin.url, tmp_path), twin, node, places.update_key)
            finally:
                node.stop()
                print("\n".join(node.said))
    text = "\n".join(node.said)
    assert "MemoryError" not in text and "died" not in text


def operate(desk, twin, node, key):
    """Three jobs, as an operator would see them through."""
    old, new = desk.release(key, "0.9.0", 1), desk.release(key, "1.1.0", 2)

    told = desk.follow(old, status=1)
    assert "REJECTED" in told and "Device rejected the update: sequence 1" in told and "0 of 1 succeeded" in told

    twin.faults(delay_ms=30)  # a slow network: there is time to change one's mind
    job = desk.create(new)
    end = time.monotonic() + LIMIT_S
    while loaded(twin)[0] < 5 * _BLOCK:
        assert time.monotonic() < end, "no download"
        time.sleep(0.05)
    desk.run("cloud", "fota", "cancel", job, "--reason", "on second thoughts")
    node.until("cancelled")
    twin.faults(delay_ms=0)
    assert histories(twin)[job] == ["QUEUED", "IN_PROGRESS", "CANCELLED"]
    before = loaded(twin)

    told = desk.follow(new)
    assert "SUCCEEDED" in told and "FOTA update completed successfully" in told and "1 of 1 succeeded" in told
    node.until("godwit 1.1.0 on unix, slot b")
    again = loaded(twin)[1] - before[1]
    print(f"before the job was cancelled {before[0]:,} B, again for the next {again:,} B")
    assert [steps for steps in histories(twin).values()][-1] == ["QUEUED", "IN_PROGRESS", "SUCCEEDED"]
