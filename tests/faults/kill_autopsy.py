"""What a power cut left on the flash, and whether it is what may be left: judged on the host, from the bundles.

The phase of a kill is not what was aimed at but what lies there: which durable step of lib/fota/README.md was the
last. Called by kill_life.py after each kill.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

from godwit import bundle
from godwit.places import BUILD, REPO

_DEVICE = Path(__file__).with_name("kill_autopsy_device.py")
_BLOCK = 4096
PHASES = ("idle", "head", "download", "verify", "unpack", "sealed", "armed", "trial", "report")


class Image:
    """A release as the host made it: what a slot must hold, and the hashes of its blocks."""

    def __init__(self, raw):
        manifest, _, _, payload = bundle.parse_bundle(raw)
        self.sequence = manifest[2]
        self.size = len(payload)
        self.offset = len(raw) - len(payload)
        files = bundle.slot_files(raw)
        self.files = {name: [len(data), hashlib.sha256(data).hexdigest()] for name, data in files.items()}
        head = raw[: len(files["MANIFEST"])]
        self.head = [len(head), hashlib.sha256(head).hexdigest()]
        pieces = [payload[at : at + _BLOCK] for at in range(0, len(payload), _BLOCK)]
        self.blocks = [hashlib.sha256(piece).hexdigest() for piece in pieces]

    def verified(self, found):
        """-> payload bytes that lie on flash as they should, from the first one on."""
        count = 0
        for want, have in zip(self.blocks, found or (), strict=False):
            if want != have:
                break
            count += 1
        return min(count * _BLOCK, self.size)


class Corpse:
    """The flash of a node that was killed. `images`: {sequence: Image} of every release so far."""

    def __init__(self, flash, images, spare):
        copy = Path(spare) / "autopsy.img"  # a mount may write, and nobody may touch the scene
        shutil.copyfile(flash, copy)
        program = BUILD / "bin" / "micropython64"
        command = [program, "-X", "heapsize=4m", _DEVICE, REPO, copy]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise AssertionError(f"the flash cannot be read: {(done.stderr or done.stdout).strip()[-400:]}")
        self.facts = json.loads(done.stdout.splitlines()[-1])
        self.state = self.facts["state"]
        self.images = images
        self.slots = {slot: self._holds(files) for slot, files in self.facts["slots"].items()}

    def _holds(self, files):
        """-> sequence of the image that a slot holds, whole, with its MANIFEST and nothing else; None."""
        for sequence, image in self.images.items():
            if files and files == image.files:
                return sequence
        return None

    @property
    def other(self):
        return "b" if self.state["active"] == "a" else "a"

    @property
    def pending(self):
        return self.state["pending"]

    def phase(self, target):
        """-> which step of the update to `target` (a sequence, or None) the power cut interrupted."""
        image = self.images.get(target)
        if image is None:
            return "idle"
        if self.pending:
            return "trial" if self.state["tries"] else "armed"
        if self.slots[self.state["active"]] == target:
            return "report"
        if self.facts["head"] != image.head:
            return "head"
        if image.verified(self.facts["data"]) < image.size:
            return "download"
        if self.slots[self.other] == target:
            return "sealed"
        left = self.facts["slots"][self.other]
        return "verify" if left and "MANIFEST" in left else "unpack"

    def faults(self, target):
        """-> what may never lie on a flash but does: a list of texts."""
        found = []
        active, pending = self.slots[self.state["active"]], self.pending
        if active is None:
            found.append(f"the active slot {self.state['active']} is not whole")
        if pending and self.slots[pending] != target:
            found.append(f"slot {pending} is armed with {self.slots[pending]}, not a whole {target}")
        if pending == self.state["active"]:
            found.append("the active slot is on trial")
        if active is not None and self.state["floor"] > active:
            found.append(f"the floor {self.state['floor']} is above the image that runs, {active}")
        return found
