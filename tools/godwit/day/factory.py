"""The factory: what happens to a node before it meets the world.

Makes the credentials, builds version 1.0.0 of the firmware, puts it with its configuration into a flash image (made
by MicroPython itself, boards/unix/mkflash.py), and later builds the update that the operator uploads.
Called by day.py in a worker thread; every failure is a DayError of one line.
"""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
from pathlib import Path

from .. import bundle, keys, pki
from ..places import REPO
from .options import COAP_PORT, FIRST_VERSION, HOST_NAME, NEXT_VERSION, SEC_TAG, SETTINGS, Options, Places
from .processes import DayError

BOARD = "unix"
_MKFLASH_TIMEOUT_S = 60
# What is served instead of the good certificate, by the name of the sabotage.
_BAD_CERTIFICATE = {"ca": "wrong-ca", "name": "wrong-host", "expired": "expired", "future": "not-yet-valid"}


def make_credentials(options: Options, places: Places, now_ms: int) -> dict[str, Path]:
    """CA, server certificate and device key; -> paths by role (ca, cert, cert_key, device_key, registered)."""
    variant = _BAD_CERTIFICATE.get(options.sabotage or "")
    now = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC)
    pki.make_pki(places.pki, host=HOST_NAME, variants=(variant,) if variant else (), now=now)
    registered = "device"
    if options.sabotage == "key":
        pki.make_device(places.pki, "stranger")  # the cloud knows another key than the node signs with
        registered = "stranger"
    return {
        "ca": places.pki / "ca.pem",
        "cert": places.pki / f"{variant or 'server'}.pem",
        "cert_key": places.pki / f"{variant or 'server'}.key",
        "device_key": places.pki / "device.key",
        "device_hex": places.pki / "device.hex",
        "registered": places.pki / f"{registered}.pub",
    }


def node_config(options: Options) -> dict:
    """config.json of the node (keys: firmware/config.py)."""
    return {
        "device_id": options.device_id,
        "backend": "nrfcloud",
        "host": HOST_NAME,
        "port": COAP_PORT,
        "modem": options.modem,
        "dtls": options.dtls,
        "jwt": options.jwt,
        "sec_tag": SEC_TAG,
        **SETTINGS,
    }


class Factory:
    """Builds images of one firmware tree: same code, two versions, one signing key."""

    def __init__(self, options: Options, places: Places, credentials: dict[str, Path]):
        self._options = options
        self._places = places
        self._credentials = credentials
        self._key = keys.make_key(places.update_key)
        self._files = bundle.firmware_files(BOARD, modem=options.modem)

    def bundle(self, version: str, sequence: int) -> bytes:
        """A signed image of the tree under this version."""
        kind = bundle.device_class(BOARD)
        terms = {"version": version, "sequence": sequence, "device_class": kind, "key": self._key}
        return bundle.build_bundle(self._files, deflate=True, **terms)

    def make_flash(self) -> str:
        """Write the node's flash image; -> what was written, in words."""
        stage = self._places.stage
        for name in ("a", "b", "data"):
            (stage / name).mkdir(parents=True)
        self._stage_factory_files(stage)
        self._stage_slot(stage / "a")
        self._stage_data(stage / "data")
        told = self._run_mkflash(stage)
        if not self._options.keep:
            shutil.rmtree(stage)
        return told

    def update_archive(self) -> tuple[bytes, int]:
        """-> (zip for the cloud, size of the bundle in it)."""
        image = self.bundle(NEXT_VERSION, 2)
        return bundle.nrfcloud_zip(image, f"godwit-{BOARD}", NEXT_VERSION), len(image)

    def _stage_factory_files(self, stage: Path) -> None:
        for name, content in bundle.factory_files(BOARD).items():
            (stage / name).write_bytes(content)

    def _stage_slot(self, slot: Path) -> None:
        for name, content in bundle.slot_files(self.bundle(FIRST_VERSION, 1)).items():
            path = slot / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def _stage_data(self, data: Path) -> None:
        (data / "config.json").write_text(json.dumps(node_config(self._options)))
        # With --jwt modem the private key never leaves the modem: the node has no secret at all.
        secret = {} if self._options.jwt == "modem" else {"key": self._credentials["device_hex"].read_text().strip()}
        (data / "secrets.json").write_text(json.dumps(secret))
        shutil.copyfile(self._credentials["ca"], data / "ca.pem")
        (data / "update.pub").write_bytes(keys.modulus(self._key))

    def _run_mkflash(self, stage: Path) -> str:
        script = REPO / "boards" / "unix" / "mkflash.py"
        argv = [str(self._options.micropython), str(script), str(self._places.flash), str(stage)]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=_MKFLASH_TIMEOUT_S, check=False)
        except OSError as error:
            raise DayError(f"MicroPython cannot be started: {argv[0]}: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise DayError(f"flash image not made within {_MKFLASH_TIMEOUT_S} s") from error
        if done.returncode:
            words = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
            raise DayError(f"flash image not made: {words[-1]}")
        return done.stdout.strip()
