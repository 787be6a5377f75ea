"""A device provisions itself: the firmware's link under MicroPython, the simulated modem over AT, the twin over DTLS.

Claimed over REST with the modem's own attestation token; what happened is asked of the twin and of the modem's store.
"""

import hashlib
import json
import os
import shutil
import subprocess
import threading

import cbor2
import pytest
from modemsim_support import running_modem
from provisioning_support import TAG
from twin_support import ROOT, running

from godwit.places import BUILD

SERVICE = "coap.nrfcloud.com:5684"
CLAIMS = "/v1/claimed-devices"
FAST = ("--speed", "100", "--timing", "flash=0")


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    with running(tmp_path_factory.mktemp("twin")) as process:
        yield process
        assert process.records()["errors"] == []


class Node:
    """One modem, known to the twin's factory, and a flash folder; run() starts the device."""

    def __init__(self, folder, twin, modem, settings):
        self.folder, self.twin, self.modem = folder, twin, modem
        record = modem.ask(get="identity")
        self.uuid = record.pop("uuid")
        twin.rest.put(f"/twin/identities/{self.uuid}", json=record).raise_for_status()
        (folder / "data").mkdir()
        shutil.copyfile(twin.pki / "ca.pem", folder / "data" / "ca.pem")
        self.settings(**settings)

    def settings(self, **values):
        (self.folder / "data" / "config.json").write_text(json.dumps(values))

    def stored(self):
        """The settings that are on flash."""
        return json.loads((self.folder / "data" / "config.json").read_text())

    def claim(self, *tags):
        """Claim it with AT%ATTESTTOKEN."""
        (line,) = self.modem.terminal.ok("AT%ATTESTTOKEN")
        body = {"claimToken": line.split('"')[1], "tags": list(tags)}
        self.twin.rest.delete(f"{CLAIMS}/{self.uuid}")
        answer = self.twin.rest.post(CLAIMS, json=body)
        assert answer.status_code == 201, answer.text

    def queue(self, *requests):
        """Queue commands -> their ids."""
        path = f"{CLAIMS}/{self.uuid}/provisioning"
        return [self.twin.rest.post(path, json={"request": one}).raise_for_status().json()["id"] for one in requests]

    def commands(self, ids):
        return [self.twin.rest.get(f"{CLAIMS}/{self.uuid}/provisioning/{one}").json() for one in ids]

    def run(self, rounds=3, bits="32"):
        """The device until it is up, or refused so often -> {name: [what it told]}, all its lines."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MICROPY"))}
        env["MICROPYPATH"] = ":".join([*(str(ROOT / name) for name in ("lib", "firmware", "boards/unix")), ".frozen"])
        script = ROOT / "tests" / "device" / "provision_device.py"
        heap = {"64": "1m", "32": "512k"}[bits]  # the source is compiled in it
        program = [str(BUILD / "bin" / f"micropython{bits}"), "-X", "heapsize=" + heap, str(script)]
        process = subprocess.Popen(
            [*program, self.modem.pty, str(self.folder), str(rounds)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env,
        )  # fmt: skip
        timer = threading.Timer(60, process.kill)
        timer.start()
        try:
            lines = process.communicate()[0].splitlines()
        finally:
            timer.cancel()
        found = {}
        for line in lines:
            if line.startswith("["):
                name, value = json.loads(line)
                found.setdefault(name, []).append(value)
        assert process.returncode == 0, "\n".join(lines)
        self.lines = lines
        return found

    def auth(self):
        """(path, code) of the authentications as this modem, oldest first."""
        rows = self.twin.records()["auth"]
        return [(row["path"], row["code"]) for row in rows if row["device"] == self.uuid]

    def requests(self, path):
        """Rows of the twin's records of one path, as this modem."""
        rows = self.twin.records()["requests"]
        return [row for row in rows if row["device"] == self.uuid and row["path"] == path]


@pytest.fixture
def make(tmp_path, twin):
    """make(*modem options, **settings) -> Node with an attached modem; its IMEI is the test's own."""
    stack = []

    def start(*options, **settings):
        imei = "35265610" + str(int(hashlib.sha256(str(tmp_path).encode()).hexdigest(), 16))[:7]
        resolve = ("--resolve", f"{SERVICE}=127.0.0.1:{twin.coap_port}")
        context = running_modem(tmp_path, *FAST, *resolve, "--imei", imei, *options)
        modem = context.__enter__()
        stack.append(context)
        modem.terminal.ok("AT+CMEE=1")
        return Node(tmp_path, twin, modem, settings)

    yield start
    for context in stack:
        context.__exit__(None, None, None)


def onboarding(twin, tag, more=""):
    """The rule `nRF Cloud onboarding` (facts 13.3), with the twin's own CA, and `more` PEM behind it."""
    content = (twin.pki / "ca.pem").read_text() + more
    commands = [
        {"request": {"clientPrivateKeyGeneration": {"secTag": TAG}}},
        {"request": {"cloudAccessKeyGeneration": {"secTag": TAG}}},
        {"request": {"serverCertificate": {"secTag": TAG, "content": content}}},
    ]
    rule = {"name": "nRF Cloud Onboarding", "description": "", "active": True, "commands": commands, "tags": [tag]}
    twin.rest.post("/v1/provisioning-rules", json=rule).raise_for_status()


@pytest.mark.parametrize(("dtls", "bits"), [("host", "32"), ("modem", "64")])
def test_from_the_factory_to_the_first_message(make, twin, dtls, bits):
    """Claimed, refused by core, provisioned by the rule, accepted as its UUID, and a message is in the cloud."""
    options = ("--credential", f"{TAG}:0={twin.pki / 'ca.pem'}") if dtls == "modem" else ()
    node = make(*options, provisioning=True, jwt="modem", dtls=dtls)
    tag = f"onboarding-{dtls}"
    onboarding(twin, tag)
    node.claim(tag)
    found = node.run(bits=bits)
    assert [text.split(":")[0] for text in found["refused"]] == ["AuthError"]  # it had no key
    assert (found["up"], found["published"]) == ([node.uuid], [1])
    assert found["settings"][0]["device_id"] == "{uuid}"
    assert node.stored() == {"device_id": "{uuid}", "provisioning": True, "jwt": "modem", **(
        {"dtls": "modem"} if dtls == "modem" else {})}  # fmt: skip
    assert node.auth()[-1] == ("auth/jwt", "2.01") and set(node.auth()[:-1]) == {("p/auth-jwt", "2.01")}
    (message,) = twin.rest.get("/v1/messages", params={"deviceId": node.uuid}).json()["items"]
    assert message["message"]["appId"] == "TEMP"
    done = twin.rest.get(f"{CLAIMS}/{node.uuid}/provisioning").json()["items"]
    assert [row["status"] for row in done] == ["SUCCEEDED"] * 4
    kept = node.modem.terminal.ok(f"AT%CMNG=1,{TAG}")
    assert [line.split(",")[1] for line in kept] == ["0", "2"]
    asked = node.requests("p/cmd")
    assert "rxMaxSize=2560&txMaxSize=2048&limit=5" in asked[0]["query"]
    assert {row["code"] for row in asked} == {"2.05"} and asked[0]["query"].startswith("after=&")
    assert {(row["code"], row["format"]) for row in node.requests("p/rsp")} == {("2.04", 60), ("2.31", 60)} - (
        set() if any(row["code"] == "2.31" for row in node.requests("p/rsp")) else {("2.31", 60)})  # fmt: skip
    assert not (node.folder / "data" / "provision.json").exists()
    again = node.run(bits=bits)  # after a restart it is who it was
    assert again["up"] == [node.uuid] and "refused" not in again


def test_a_command_that_fails(make, twin):
    """The modem refuses one: told to the service, the rest is dropped, and the node stays who it is."""
    node = make(device_id=twin.device, sample_interval_s=600)
    key = "%064x" % twin.key.private_numbers().private_value
    (node.folder / "data" / "secrets.json").write_text(json.dumps({"key": key}))
    node.claim()
    ids = node.queue(
        {"config": {"uplink_interval_s": "1234"}},
        {"serverCertificate": {"secTag": 5, "content": (twin.pki / "ca.pem").read_text()}},
        {"certificateSigningRequest": {"secTag": 6, "attributes": "no attribute"}},
        {"serverCertificate": {"secTag": 7, "content": (twin.pki / "ca.pem").read_text()}},
        {"finished": {}},
    )
    found = node.run()
    assert (found["up"], found["settings"][0]["uplink_interval_s"]) == ([twin.device], 1234)
    rows = node.commands(ids)
    assert [row["status"] for row in rows] == ["SUCCEEDED", "SUCCEEDED", "FAILED", "DISCARDED", "DISCARDED"]
    assert rows[2]["response"]["error"]["code"] == 50
    assert [line.split(",")[0] for line in node.modem.terminal.ok("AT%CMNG=1")] == ["%CMNG: 5"]
    assert any("provisioning stopped: %KEYGEN: AT%KEYGEN: 50" in line for line in node.lines)
    assert node.stored() == {"device_id": twin.device, "sample_interval_s": 600, "uplink_interval_s": 1234}


def test_not_claimed(make):
    """Refused by both services; the core service is asked again, provisioning is not."""
    node = make(provisioning=True, jwt="modem")
    found = node.run(rounds=3)
    assert len(found["refused"]) == 3 and "up" not in found
    assert node.auth() == [("p/auth-jwt", "4.03")]
    assert any("not claimed: 4.03" in line for line in node.lines)
    (told,) = [line.split()[-1] for line in node.lines if "its owner claims it with" in line]
    dry = node.twin.rest.post(CLAIMS, params={"dryrun": "true"}, json={"claimToken": told})
    assert dry.status_code == 202  # what the console says is good for a claim


def test_identity_token_opens_the_core_session(make, twin):
    """auth/jwt-id: onboarded by provisioning, the node goes on with the key of the factory."""
    node = make(provisioning=True, jwt="modem")
    node.claim()
    node.queue({"cloudAccessKeyGeneration": {"secTag": TAG}})  # without "finished": the end of the queue will do
    assert node.run()["up"] == [node.uuid]
    node.settings(device_id="{uuid}", auth="jwt-id")
    found = node.run()
    assert (found["up"], found["published"]) == ([node.uuid], [1])
    assert node.auth()[-1] == ("auth/jwt-id", "2.01")
    node.twin.rest.delete(f"/v1/devices/{node.uuid}").raise_for_status()
    assert len(node.run(rounds=1)["refused"]) == 1
    assert node.auth()[-1] == ("auth/jwt-id", "4.03")


def test_more_than_a_page(make, twin):
    """Seven credentials in pages of five and what fits 2560 bytes, answered page by page."""
    node = make(device_id=twin.device, sample_interval_s=600)
    (node.folder / "data" / "secrets.json").write_text(
        json.dumps({"key": "%064x" % twin.key.private_numbers().private_value})
    )
    node.claim()
    ca = (twin.pki / "ca.pem").read_text()
    node.queue(*[{"serverCertificate": {"secTag": 20 + n, "content": ca}} for n in range(7)], {"finished": {}})
    assert node.run()["up"] == [twin.device]
    assert len(node.modem.terminal.ok("AT%CMNG=1")) == 7
    answered = [row for row in node.requests("p/rsp") if row["code"] == "2.04"]
    first = [row for row in node.requests("p/cmd") if row["code"] == "2.05"]
    afters = list(dict.fromkeys(row["query"].split("&")[0] for row in first))
    size = len(cbor2.dumps(["c" * 36, 0, "%CMNG", '0,20,0,"' + ca + '"', []]))
    pages = -(-7 // min(5, 2559 // size)) if size < 2560 else None
    assert pages and len(answered) in (pages, pages + 1) and len(afters) == len(answered)
    assert max(row["bytes_out"] for row in first) <= 2560
