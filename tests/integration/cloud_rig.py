"""A twin, a modem simulator and a MicroPython process with lib/cloud/nrfcloud, for tests that ask the device to do
one thing after the other and look at what the twin saw of it. Used by test_nrfcloud_*.py."""

import contextlib
import json
import os
import queue
import subprocess
import threading

import pytest
from modemsim_support import ModemProcess
from twin_support import ROOT, running

from godwit.places import BUILD

TAG = 16842753
SERVICE = "coap.nrfcloud.com:5684"


class DeviceError(AssertionError):
    """The device raised: `name` of the class, `code` ("4.04") or None."""

    def __init__(self, said):
        super().__init__(f"{said['error']}: {said['text']}")
        self.name, self.text, self.code = said["error"], said["text"], said["code"]


class Device:
    """A MicroPython process with a script of tests/device. `do("cloud.report({...})")` -> the value, DeviceError when
    the device raised."""

    def __init__(self, script, arguments, bits, heap):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MICROPY"))}
        env["MICROPYPATH"] = f"{ROOT / 'lib'}:.frozen"
        program = [str(BUILD / "bin" / f"micropython{bits}"), "-X", f"heapsize={heap}"]
        self.process = subprocess.Popen(
            [*program, str(ROOT / "tests" / "device" / script), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env,
        )
        self._lines = queue.Queue()
        self.said = []
        threading.Thread(target=self._read, daemon=True).start()
        assert self._answer(60) == "ready"

    def do(self, expression, timeout_s=45):
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()
        return self._answer(timeout_s)

    def keep(self, name, expression):
        """Evaluate an expression on the device and call the result `name` there."""
        return self.do(f"={name} {expression}")

    def stop(self):
        self.process.kill()
        self.process.communicate()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _answer(self, timeout_s):
        while True:
            line = self._lines.get(timeout=timeout_s)
            assert line, f"the device ended: {self.said[-20:]}"
            self.said.append(line.rstrip())
            if line.startswith("{"):
                said = json.loads(line)
                if "error" in said:
                    raise DeviceError(said)
                return said["value"]


class Rig:
    """`device`, `twin` (twin_support.Process), `modem` (ModemProcess)."""

    def __init__(self, twin, modem, device):
        self.twin, self.modem, self.device = twin, modem, device
        self.do = device.do
        self.keep = device.keep

    def requests(self):
        """Rows of the twin's request records, oldest first."""
        return self.twin.records()["requests"]

    def since(self, expression):
        """-> (value, the requests that the twin saw because of `expression`)."""
        before = len(self.requests())
        value = self.do(expression)
        return value, self.requests()[before:]


@contextlib.contextmanager
def cloud_rig(folder, dtls="host", bits="32", heap="1m", open_session=True):
    """A Rig whose device has an open, authenticated session as `cloud`."""
    pki = folder / "pki"
    with running(pki, "--seed", "1") as twin:
        (pki / "device.hex").write_text("%064x" % twin.key.private_numbers().private_value)
        options = [
            *("--speed", "50", "--resolve", f"{SERVICE}=127.0.0.1:{twin.coap_port}"),
            *("--credential", f"{TAG}:0={pki / 'ca.pem'}", "--credential", f"{TAG}:2={pki / 'device.key'}"),
        ]
        modem = ModemProcess(folder, *options)
        try:
            device = Device("cloud_device.py", (modem.pty, dtls, pki / "ca.pem", pki / "device.hex"), bits, heap)
            try:
                if open_session:
                    device.do("cloud.open()")
                yield Rig(twin, modem, device)
            finally:
                device.stop()
        finally:
            modem.close()


def one(rig, expression, method, path, code, **fields):
    """Do it, and check that the twin saw exactly one such request; -> the value."""
    value, seen = rig.since(expression)
    assert [(row["method"], row["path"], row["code"]) for row in seen] == [(method, path, code)]
    assert {name: seen[0][name] for name in fields} == fields
    return value


def refused(rig, expression, code, name="Refused"):
    with pytest.raises(DeviceError) as caught:
        rig.do(expression)
    assert (caught.value.name, caught.value.code) == (name, code), caught.value
    return caught.value.text


def newest(rig, **query):
    return rig.twin.rest.get("/v1/messages", params=query).raise_for_status().json()["items"]


def shadow(rig):
    return rig.twin.rest.get(f"/v1/devices/{rig.twin.device}").raise_for_status().json()["state"]


def wish(rig, **desired):
    rig.twin.rest.patch(f"/v1/devices/{rig.twin.device}/state", json={"desired": desired}).raise_for_status()
