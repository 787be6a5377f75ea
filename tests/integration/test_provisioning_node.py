"""The whole product, as a board would have it: .mpy files on a flash image, a 32-bit heap of 160 KB, provisioned from
nothing (no name, no key) by the service, then at work as the modem's UUID."""

import os
import select
import subprocess
import time

import pytest
from modemsim_support import running_modem
from provisioning_support import TAG
from test_provisioning import CLAIMS, FAST, SERVICE, onboarding
from twin_support import running

from godwit.day import factory, options
from godwit.places import BUILD, REPO

HEAP = 160 << 10
_RESET = 3  # exit status of machine.reset() on the desk
_LIMIT_S = 90
_CONFIG = {
    "provisioning": True, "jwt": "modem", "sec_tag": TAG, "ack_timeout_ms": 500, "handshake_timeout_s": 5,
    "sample_interval_s": 600, "uplink_interval_s": 1800, "locate_interval_s": 10800, "shadow_interval_s": 3600,
}  # fmt: skip

# The size of the Amazon root that the service's rule has beside its own CA; what is in it nobody looks at.
AMAZON = "-----BEGIN CERTIFICATE-----\n" + ("A" * 64 + "\n") * 18 + "AAAA\n-----END CERTIFICATE-----\n"

needs_32_bit = pytest.mark.skipif(
    not (BUILD / "bin" / "micropython32").exists(), reason="no 32-bit MicroPython on this machine"
)


def make_flash(folder, ca, monkeypatch):
    """A flash image of a node that knows nothing but the CA."""
    monkeypatch.setattr(factory, "node_config", lambda chosen: _CONFIG)
    places = options.make_workspace(folder)
    chosen = options.Options(bits=32, heap=HEAP, jwt="modem", workdir=folder)
    made = factory.Factory(chosen, places, {"ca": ca})
    made.make_flash()
    return places


class Firmware:
    """The node's process; lines() gives what it says until it is stopped or the time is over."""

    def __init__(self, places, pty, world):
        program = [str(BUILD / "bin" / "micropython32"), "-X", f"heapsize={HEAP}", str(REPO / "boards/unix/_boot.py")]
        env = {
            "PATH": os.environ.get("PATH", ""),
            "GODWIT_UART": pty,
            "GODWIT_FLASH": str(places.flash),
            "GODWIT_WORLD": str(world),
            "GODWIT_WARP": "1",
        }
        self.said = []
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self._start = lambda: subprocess.Popen(program, env=env, cwd=places.root, **pipes)
        self._process = self._start()

    def until(self, wanted):
        """Read until a line with `wanted`; -> that line."""
        end, rest = time.monotonic() + _LIMIT_S, b""
        while time.monotonic() < end:
            if not select.select([self._process.stdout], [], [], 1)[0]:
                continue
            data = os.read(self._process.stdout.fileno(), 65536)
            if not data and self._process.wait() == _RESET:
                self._process = self._start()
                continue
            assert data, "\n".join(self.said)
            *lines, rest = (rest + data).split(b"\n")
            self.said += [line.decode(errors="replace") for line in lines]
            found = [line for line in self.said if wanted in line]
            if found:
                return found[0]
        raise AssertionError(f"no {wanted!r}:\n" + "\n".join(self.said))

    def stop(self):
        self._process.kill()
        self._process.communicate()


@needs_32_bit
@pytest.mark.limit(150)
def test_a_board_from_nothing_to_its_first_messages(tmp_path, monkeypatch):
    world = tmp_path / "world"
    with running(tmp_path / "pki", "--world", str(world)) as twin:
        places = make_flash(tmp_path / "day", twin.pki / "ca.pem", monkeypatch)
        options_ = (*FAST, "--world", world, "--resolve", f"{SERVICE}=127.0.0.1:{twin.coap_port}")
        with running_modem(tmp_path, *options_) as modem:
            record = modem.ask(get="identity")
            uuid = record.pop("uuid")
            twin.rest.put(f"/twin/identities/{uuid}", json=record).raise_for_status()
            token = modem.terminal.ok("AT%ATTESTTOKEN")[0].split('"')[1]
            onboarding(twin, "board", AMAZON)
            twin.rest.post(CLAIMS, json={"claimToken": token, "tags": ["board"]}).raise_for_status()
            node = Firmware(places, modem.pty, world)
            try:
                modem.event("keygen", timeout_s=_LIMIT_S)
            finally:
                node.stop()  # the power goes in the middle of it: what was made is on no record but the modem's
            first = "\n".join(node.said)
            node = Firmware(places, modem.pty, world)
            try:
                node.until(f"authenticated as {uuid}")
                node.until("reported version")
                end = time.monotonic() + _LIMIT_S
                while not twin.rest.get("/v1/messages", params={"deviceId": uuid}).json()["items"]:
                    assert time.monotonic() < end, "\n".join(node.said)
                    time.sleep(0.2)
            finally:
                node.stop()
            made = [row["tag"] for row in modem.events("keygen")]
            kept = [(row["tag"], row["kind"], row["size"]) for row in modem.events("credential")]
        document = twin.rest.get(f"/v1/devices/{uuid}").json()
        done = twin.rest.get(f"{CLAIMS}/{uuid}/provisioning").json()["items"]
    text = "\n".join([first, *node.said])
    print(text)
    assert "MemoryError" not in text and "died" not in text
    assert set(made) == {TAG} and len(made) >= 2
    assert kept[-1] == (TAG, 0, len((tmp_path / "pki" / "ca.pem").read_text() + AMAZON))
    assert [row["status"] for row in done] == ["SUCCEEDED"] * 4
    assert document["state"]["reported"]["device"]["deviceInfo"]["imei"] == record["imei"]
