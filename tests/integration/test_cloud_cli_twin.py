"""`godwit cloud` end to end: the real command line, a real twin, and a device that talks CoAP over DTLS to it."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
import zipfile

import cbor2
import pytest
from click.testing import CliRunner
from cloud_support import Outcome
from cryptography.hazmat.primitives import serialization
from provisioning_support import SoftModem
from twin_support import API_KEY, GET, PATCH, POST, Client, make_bundle, make_jwt

from godwit import pki
from godwit.cli import godwit
from godwit.cloud.errors import CloudError
from harness.run_unit import REPO, build_dir

NODE = "node-7"


@pytest.fixture(scope="module")
def operate(twin):
    """operate("devices", "list") -> Outcome, in this process; a refusal is the test's failure unless expected."""
    environment = {"GODWIT_CLOUD_URL": twin.url, "GODWIT_CLOUD_KEY": API_KEY}

    def run(*args, status=0):
        command = ["cloud", *map(str, args)]
        done = CliRunner(env=environment).invoke(godwit, command, standalone_mode=False)
        assert done.exception is None, repr(done.exception)
        code = done.return_value if isinstance(done.return_value, int) else 0
        assert code == status, done.output
        return Outcome(code, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="module")
def node(operate, twin, tmp_path_factory):
    """NODE, onboarded with a key that the operator made, in an authenticated session."""
    folder = tmp_path_factory.mktemp("keys")
    operate("onboard", NODE, "--generate", "--directory", folder, "--tag", "pond")
    key = serialization.load_pem_private_key((folder / f"{NODE}.key").read_bytes(), None)
    with Client(twin.coap_port, twin.pki / "ca.pem") as client:
        assert client.authenticate(make_jwt(key, sub=NODE, exp=int(time.time()) + 3600)).dotted == "2.01"
        yield client


@contextlib.contextmanager
def process(twin, *args):
    """The command as a process; killed at the end if it is still there."""
    environment = {**os.environ, "GODWIT_CLOUD_URL": twin.url, "GODWIT_CLOUD_KEY": API_KEY, "GODWIT_BUILD": build_dir()}
    command = [build_dir() / "bin/godwit", "cloud", *args]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, cwd=REPO, text=True, **pipes) as child:
        try:
            yield child
        finally:
            child.kill()


def _post(node, body, path="msg/d2c"):
    answer = node.request(POST, path, payload=json.dumps(body).encode(), cf=50)
    assert answer.dotted == "2.01"


def test_a_device_is_onboarded_shown_named_and_tagged(operate, node):
    operate("devices", "rename", NODE, "Pond-7")
    operate("devices", "tag", NODE, "east", "--add")
    document = operate("devices", "show", NODE, "--json").json
    assert document["name"] == "Pond-7" and document["tags"] == ["pond", "east"]
    assert NODE in operate("devices", "list", "--tag", "east").out
    assert operate("account", "--json").json["team"]["tenantId"] == document["tenantId"]


def test_messages_are_watched_until_ctrl_c(operate, node, twin):
    _post(node, {"appId": "OLD", "data": "1"})
    with process(twin, "messages", "watch", NODE, "--last", "1", "--interval", "0.2", "--json") as child:
        assert json.loads(child.stdout.readline())["message"]["appId"] == "OLD"
        _post(node, {"appId": "TEMP", "data": "21.5"})
        _post(node, [{"appId": "BULK", "data": 1}, {"appId": "BULK", "data": 1}], "msg/d2c/bulk")
        seen = [json.loads(child.stdout.readline())["message"] for _ in range(3)]
        child.send_signal(signal.SIGINT)
        rest, errors = child.communicate(timeout=20)
    assert [one["appId"] for one in seen] == ["TEMP", "BULK", "BULK"]
    assert child.returncode == 130 and rest == "" and errors.strip() == ""


def test_a_message_is_sent(operate, node):
    operate("messages", "send", NODE, '{"hello": "node"}')
    operate("messages", "send", NODE, "--app-id", "HUMID", "--data", "55", "--as", "d2c")
    found = operate("messages", "list", NODE, "--app-id", "HUMID", "--json").json
    assert [one["message"]["data"] for one in found] == [55]


def test_the_shadow_is_patched_taken_over_and_cleaned(operate, node):
    operate("shadow", "patch", NODE, "config.interval=60", "config.name=hut")
    delta = cbor2.loads(node.request(GET, "state", accept=60).payload)
    assert delta["config"] == {"interval": 60, "name": "hut"}
    reported = json.dumps({"config": delta["config"]}).encode()
    assert node.request(PATCH, "state/reported", payload=reported, cf=50).dotted == "2.04"
    shown = operate("shadow", "show", NODE, "--path", "config", "--json").json
    assert shown["desired"] == shown["reported"] == {"interval": 60, "name": "hut"} and "delta" not in shown
    operate("shadow", "delete", NODE, "config.name")
    shown = operate("shadow", "show", NODE, "--path", "config", "--json").json
    assert shown["desired"] == shown["reported"] == {"interval": 60}


def _take(node, body):
    """The device's side of an update: ask, load in blocks of 1024, report; returns the loaded bytes."""
    job = node.request(GET, "fota/exec/current", accept=50).json()
    document, loaded, number = job["jobDocument"], b"", 0

    def report(**fields):
        answer = node.request(PATCH, f"fota/exec/{job['jobId']}", payload=json.dumps(fields).encode(), cf=50)
        assert answer.dotted == "2.04"

    report(status="IN_PROGRESS")
    uri = f"https://{document['host']}/{document['path']}".encode()
    while len(loaded) < document["fileSize"]:
        loaded += node.request(GET, "proxy", options=[(23, number << 4 | 6), (35, uri)]).payload
        number += 1
    report(**body)
    return loaded


def test_an_update_is_uploaded_created_and_followed_to_its_end(operate, node, twin, tmp_path):
    image, archive = os.urandom(5000), tmp_path / "app.zip"
    archive.write_bytes(make_bundle({"app.bin": image}, "1.2.0"))
    bundle = operate("firmware", "upload", archive, "--json").json["bundleId"]
    assert bundle in operate("firmware", "list").out
    with process(twin, "fota", "create", bundle, "--tag", "pond", "--name", "Spring", "--follow", "--json") as child:
        job = json.loads(child.stdout.readline())["jobId"]
        assert json.loads(child.stdout.readline())["status"] == "QUEUED"
        assert _take(node, {"status": "SUCCEEDED", "details": "validated"}) == image
        lines = [json.loads(line) for line in child.stdout]
        assert child.wait(timeout=20) == 0
    assert (lines[-2]["status"], lines[-2]["statusDetail"]) == ("SUCCEEDED", "validated")
    assert lines[-1] == {"jobId": job, "status": "COMPLETED", "devices": 1, "succeeded": 1}
    assert operate("fota", "show", job, "--json").json["status"] == "COMPLETED"
    failing = operate("fota", "create", bundle, "--device", NODE, "--json").lines[0]["jobId"]
    _take(node, {"status": "REJECTED", "details": "Device rejected the update"})
    assert "Device rejected the update" in operate("fota", "follow", failing, status=1).out


def test_an_update_is_cancelled(operate, node, tmp_path):
    archive = tmp_path / "app.zip"
    archive.write_bytes(make_bundle({"app.bin": b"x" * 100}, "1.3.0"))
    bundle = operate("firmware", "upload", archive, "--json").json["bundleId"]
    job = operate("fota", "create", bundle, "--device", NODE, "--no-apply", "--json").lines[0]["jobId"]
    assert node.request(GET, "fota/exec/current", accept=50).dotted == "4.04"
    operate("fota", "apply", job)
    assert node.request(GET, "fota/exec/current", accept=50).json()["jobId"] == job
    operate("fota", "cancel", job, "--reason", "wrong board")
    assert node.request(GET, "fota/exec/current", accept=50).dotted == "4.04"
    assert "CANCELLED" in operate("fota", "follow", job, status=1).out
    operate("fota", "delete", job, "--yes")
    operate("firmware", "delete", bundle, "--yes")


def test_positions(operate, node, tmp_path):
    _post(node, {"appId": "GNSS", "data": {"lat": 54.47, "lng": 9.04, "acc": 4}})
    file = tmp_path / "track.json"
    operate("history", NODE, "--geojson", file)
    assert json.loads(file.read_text())["features"][0]["geometry"]["coordinates"] == [9.04, 54.47]
    cell = ["--mcc", 262, "--mnc", 1, "--tac", 0x5A10, "--eci", 0x01A2B3C4]
    assert operate("locate", *cell, "--json").json["fulfilledWith"] == "SCELL"
    assert operate("locate", *cell, "--start-evaluation", "--json").json["fulfilledWith"] == "SCELL_EVAL"


def test_refusals_of_the_service_in_one_line(operate, node, twin, tmp_path):
    def refused(*args):
        environment = {"GODWIT_CLOUD_URL": twin.url, "GODWIT_CLOUD_KEY": API_KEY}
        done = CliRunner(env=environment).invoke(godwit, ["cloud", *args], standalone_mode=False)
        assert isinstance(done.exception, CloudError)
        return done.exception

    twin.faults(rest_quota=1)
    quota = refused("messages", "send", NODE, "{}")
    assert quota.code == 40005 and "usage limit of the plan" in quota.message
    assert refused("--key", "wrong", "account").status == 401
    assert refused("devices", "show", "nobody").code == 40410
    assert refused("fota", "create", "APP*1*1", "--device", NODE).status == 404
    assert refused("fota", "show", "no-job").status == 422
    csv = tmp_path / "bad.csv"
    csv.write_text('a-1,,,,"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"\n')
    told = operate("onboard", "--csv", csv, "--json", status=1).json
    assert told["status"] == "FAILED" and told["rows"][0]["deviceId"] == "a-1" and told["rows"][0]["error"]


def test_a_conflict_of_the_shadow_is_noticed(operate, node, twin):
    operate("shadow", "patch", NODE, "config.a=1")
    version = operate("shadow", "show", NODE, "--json").json["version"]
    stale = {"If-Match": str(version - 1)}
    answer = twin.rest.patch(f"/v1/devices/{NODE}/state", json={"desired": {"config": {"a": 2}}}, headers=stale)
    assert answer.status_code == 409  # what `shadow patch` relies on


def test_alerts_and_logs(operate, node, tmp_path):
    _post(node, {"appId": "ALERT", "type": 7, "value": 3300, "desc": "low"})
    _post(node, [{"appId": "LOG", "lvl": 1, "msg": "no sensor"}], "msg/d2c/bulk")
    (alert,) = operate("alerts", "list", NODE, "--json").json
    operate("alerts", "archive", alert["id"])
    assert operate("alerts", "list", NODE, "--status", "active", "--json").json == []
    assert "ERR no sensor" in operate("logs", NODE, "--level", "err").out
    (tmp_path / "log").write_bytes(b"nRFC\1\0\0\0\x1d\xda\xa0\xa4\x90\1\0\0\1\0\0\0hello")
    operate("messages", "send", NODE, "--binary", tmp_path / "log")
    operate("logs", NODE, "--binary", tmp_path / "logs.zip")
    with zipfile.ZipFile(tmp_path / "logs.zip") as archive:
        assert [archive.read(name) for name in archive.namelist()] == [b"hello"]


def test_a_claimed_device_provisions_itself_while_the_operator_follows(operate, twin, tmp_path):
    modem = SoftModem().register(twin)
    operate("claim", modem.claim_token(), "--tag", "field")
    assert modem.uuid in operate("claimed").out
    authority = tmp_path / "ca.pem"
    authority.write_bytes(pki.make_ca()[0].public_bytes(serialization.Encoding.PEM))
    device = threading.Thread(target=_provision_itself, args=(twin, modem), daemon=True)
    with process(twin, "provision", modem.uuid, "--ca", authority, "--interval", "0.2", "--json") as child:
        device.start()
        lines = [json.loads(line) for line in child.stdout]
        assert child.wait(timeout=20) == 0
    device.join(60)
    assert not device.is_alive()
    ended = [one["command"] for one in lines if one.get("status") == "SUCCEEDED"]
    assert ended == ["cloudAccessKeyGeneration", "serverCertificate", "finished"]
    assert lines[-1] == {"deviceId": modem.uuid, "provisioned": True}
    assert operate("devices", "show", modem.uuid, "--json").json["id"] == modem.uuid
    operate("unclaim", modem.uuid, "--yes")


def _provision_itself(twin, modem):
    """A device on the provisioning service: asks, runs, answers, until FINISHED."""
    with Client(twin.coap_port, twin.pki / "ca.pem") as client:
        assert client.request(POST, "p/auth-jwt", payload=modem.identity_token(), cf=0).dotted == "2.01"
        for _ in range(600):
            payload = client.request(GET, "p/cmd", ("limit=5",)).payload
            commands = cbor2.loads(payload) if payload else []
            answers = []
            for one in commands:
                text = modem.keygen() if one[1] == 0 and "KEYGEN" in one[2] else "OK\r\n"
                answers.append([one[0], 102] if one[1] == 2 else [one[0], 100, text])
            if answers:
                assert client.request(POST, "p/rsp", payload=cbor2.dumps(answers), cf=60).dotted == "2.04"
            if any(one[1] == 2 for one in commands):
                return
            time.sleep(0.1)


def test_the_terminal_shows_the_live_table(operate, node, twin, tmp_path):
    """With a terminal as output: drawn over, fitted to its width, and no key in it."""
    import pty

    archive = tmp_path / "app.zip"
    archive.write_bytes(make_bundle({"app.bin": b"x" * 3000}, "1.4.0"))
    bundle = operate("firmware", "upload", archive, "--json").json["bundleId"]
    job = operate("fota", "create", bundle, "--device", NODE, "--name", "Live", "--json").lines[0]["jobId"]
    primary, secondary = pty.openpty()
    environment = {**os.environ, "GODWIT_CLOUD_URL": twin.url, "GODWIT_CLOUD_KEY": API_KEY, "COLUMNS": "80",
                   "LINES": "24", "TERM": "xterm", "GODWIT_BUILD": str(build_dir())}  # fmt: skip
    environment.pop("NO_COLOR", None)
    command = [build_dir() / "bin/godwit", "cloud", "fota", "follow", job, "--interval", "0.2"]
    child = subprocess.Popen(command, env=environment, cwd=REPO, stdin=secondary, stdout=secondary, stderr=secondary)
    os.close(secondary)
    text, taken = b"", False
    try:
        with contextlib.suppress(OSError):  # the terminal is gone when the process has ended
            while chunk := os.read(primary, 65536):
                text += chunk
                if not taken and b"QUEUED" in text:
                    taken = True
                    _take(node, {"status": "SUCCEEDED"})
        assert child.wait(timeout=20) == 0
    finally:
        child.kill()
        os.close(primary)
    shown = text.decode()
    assert "Live" in shown and "SUCCEEDED" in shown and "1 of 1 succeeded" in shown
    assert "\x1b[1A" in shown and API_KEY not in shown
