"""Power cuts at every flash operation of a whole update: download, install, trial, confirmation (facts/fota.md 5.2).

A Node lives on a simulated chip with littlefs2: each life is one start of the boot selector and what the application
would do then. One case is: cut at operation k in one mode, start again until the update is done, and hold the node
to its promises. The classes under test can be replaced, which is how the mutants prove that the campaign sees.
MicroPython only. RAM: two images of 40 blocks and the blocks in use of a third, 400 KB.
"""

import gc
import sys

import bootsel
from fota import FotaError
from fota.fetch import Fetch
from fota.slots import Slots
from harness.flashsim import MODES, NAMES, TORN
from harness.fota_kit import BLOCK, CLASS, KEY, Disk, Source, bundle, code, install_by_cable, run

OLD = [("app.mpy", code("old app", 3000)), ("lib/one.mpy", code("old one", 500))]
NEW = [("app.mpy", code("new app", 6000)), ("lib/one.mpy", code("new one", 500)), ("lib/two.mpy", code("two", 4000)),
       ("tasks/three.mpy", code("three", 83))]  # fmt: skip
_OLD_IMAGE = bundle(OLD, "1.0.0", 1)
_NEW_IMAGE = bundle(NEW, "1.1.0", 2)
_PAYLOAD = sum(len(content) for _, content in NEW)
_HEAD = len(_NEW_IMAGE) - _PAYLOAD
_MAX_LIVES = 4


class Broken(Exception):
    """A promise was broken; the text says which."""


class _Link(Source):
    """Serves the new image as long as the power is on; counts what of the payload is asked for."""

    def __init__(self, chip):
        super().__init__(_NEW_IMAGE)
        self.chip = chip
        self.payload = 0

    async def read(self, offset, view):
        if self.chip.is_cut:
            raise OSError(110)
        n = await Source.read(self, offset, view)
        self.payload += n if offset >= _HEAD else 0
        return n


class Node:
    """A node with the old image in slot a; `fetch`, `slots` are the classes under test."""

    def __init__(self, fetch=Fetch, slots=Slots):
        self._fetch = fetch
        self._slots = slots
        self.disk = Disk(40)
        self.chip = self.disk.chip
        install_by_cable(self.disk, "a", _OLD_IMAGE, OLD)
        self._image = self.chip.save()
        self._path = list(sys.path)

    def close(self):
        self.chip = self._image = self.link = None
        self.disk.close()

    def _begin(self):
        """Power on with the factory's flash."""
        self.chip.load(self._image)
        self.disk.reboot()
        self.chip.reset_counters()
        self.link = _Link(self.chip)
        self.confirmed = False

    def _start(self):
        """Boot; what is started must be one of the two images, whole. Checked without the code under test."""
        info = bootsel.select(self.disk.root)
        sys.path[:] = self._path
        if info is None:
            raise Broken("nothing starts")
        if self.chip.is_cut:
            return info
        files = {"1.0.0": OLD, "1.1.0": NEW}[info["version"]]
        for path, content in files:
            if self.disk.get(info["slot"] + "/" + path) != content:
                raise Broken("%s starts with a wrong %s" % (info["version"], path))
        if self.confirmed and (info["version"] != "1.1.0" or info["pending"]):
            raise Broken("confirmed image is not the one that starts")
        return info

    def live(self):
        """One life; True when the update is done and confirmed."""
        info = self._start()
        slots = self._slots(self.disk.root, info)
        if info["pending"]:
            slots.confirm()
            self.confirmed = not self.chip.is_cut
            return True
        if info["version"] == "1.1.0":
            return True
        run(self._update(slots))
        return False

    async def _update(self, slots):
        fetch = self._fetch(
            self.disk.root, "job", len(_NEW_IMAGE), self.link.read, KEY.modulus, CLASS, slots.floor, None,
            slots.bad, slots.room,
        )  # fmt: skip
        try:
            manifest = await fetch.run()
            slots.install(manifest)
            slots.arm()
        except OSError:
            if not self.chip.is_cut:
                raise

    def _finish(self):
        """Live until the update is done; FotaError and too many lives are broken promises too."""
        for lives in range(1, _MAX_LIVES + 1):
            try:
                done = self.live()
            except FotaError as e:
                raise Broken("update refused: %s" % e)
            if done:
                return lives
        raise Broken("not updated after %d lives" % _MAX_LIVES)

    def case(self, op, mode, kind=0):
        """Cut at `op`. Returns None, or what broke; False when the update ends before that operation."""
        self._begin()
        self.chip.cut(op, mode, kind)
        try:
            for _ in range(3):
                if self.live() or self.chip.is_cut:
                    break
        except (FotaError, OSError, Broken) as e:
            if not self.chip.is_cut:
                return "without a cut: %s" % e
        if not self.chip.after_cut():
            return False
        try:
            self.disk.reboot()
            self._finish()
            self._judge()
        except Broken as e:
            return str(e)
        except OSError as e:
            return "file system: %s" % e
        return None

    def _judge(self):
        state = bootsel.read(self.disk.root)
        info = self._start()
        if (info["version"], info["pending"], state["floor"], state["pending"]) != ("1.1.0", False, 2, None):
            raise Broken("not confirmed: %s" % state)
        again = self.link.payload - _PAYLOAD
        if again > BLOCK:
            raise Broken("%d bytes fetched again" % again)
        if self.chip.violations:
            raise Broken("%d bytes programmed twice" % self.chip.violations)

    def campaign(self, full=False, stop_at_first=False, kinds=1, step=1):
        """Cut at every operation: in one mode each, in turn, or with `full` in all. -> (ops, cases, failures)."""
        cases = op = 0
        failures = []
        while True:
            for mode in MODES if full else MODES[op // step % 3 :][:1]:
                for kind in range(kinds if mode == TORN else 1):
                    outcome = self.case(op, mode, kind)
                    if outcome is False:
                        return op, cases, failures
                    cases += 1
                    if outcome:
                        failures.append("%s op %d: %s" % (NAMES[mode], op, outcome))
                        if stop_at_first:
                            return op, cases, failures
            op += step
            if op % 50 < step:
                gc.collect()
