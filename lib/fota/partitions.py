"""The two app partitions of an ESP32: put a downloaded image on trial, confirm it or give it up (facts/fota.md 2.2).

The same as fota.slots, but for where the image lies and who chooses what runs: Espressif's bootloader, from its
`otadata` record. What we know about it is the selector's state record, and beside it `<root>/a/MANIFEST` and
`<root>/b/MANIFEST`: head and signature of the image in ota_0 and in ota_1. firmware/partboot.py joins the two at each
start. Called by firmware/tasks/update.py. RAM: 4 KB during install().
"""

import os
from hashlib import sha256
from io import BytesIO

from micropython import const

import store
from fota import InstallError, ManifestError
from fota.image import HEADER_SIZE
from fota.partition import check_head, fits, head_of, other_of, slot_of
from fota.partition import room as room_for
from fota.slots import Slots
from fota.space import folder

_BLOCK_SIZE = const(4096)
_ENOSPC = const(28)
_INVALID = const(-5379)  # ESP_ERR_OTA_VALIDATE_FAILED
_NO_ROLLBACK = const(-261)  # ESP_ERR_NOT_FOUND: without roll-back there is nothing to mark
_HEAD_MAX = const(16384)
_KEYS_MAX = const(1152)
_NAMES = ("image.bin", "update.pub")  # in this order, one behind the other; the second if the image brings keys
_LAST_TRY = const(5)  # partboot.py counts in half tries: 1, 3 and 5 are the starts of the new image


class Partitions(Slots):
    """`root`: mount point of the flash; `running`: what partboot.select() gave, with "selector", the module bootsel;
    `part`: esp32.Partition of the running image. Raises InstallError "partition" when there is no other."""

    component = "image"

    def __init__(self, root, running, part):
        self._root = root
        self._running = running
        self._selector = running["selector"]
        self._own = part
        self._part = other_of(part)
        self._armed = None
        self.other = slot_of(self._part)

    def room(self, manifest):
        """Raise InstallError unless the image fits; may raise OSError."""
        room_for(self._root, self._own, manifest)

    def install(self, manifest, tick=None):
        """Check the image once more where it lies, and keep its MANIFEST; call arm() to have it started.

        `manifest`: what Fetch.run() returned; `tick()` is called after each block (feed a watchdog). Raises
        InstallError; the running partition is never touched.
        """
        try:
            self._anchor()
            self._recheck(manifest, tick)
            self._seal(manifest)
        except ManifestError as e:
            raise InstallError(e.reason, e.detail, True) from None
        except OSError as e:
            raise InstallError("space" if e.args[0] == _ENOSPC else "flash", e.args[0]) from None
        self._armed = manifest.digest[:16]

    def _anchor(self):
        """Make sure that the state record names the running image before the other one is on trial."""
        if self._running["pending"]:
            raise InstallError("trial")
        state = self._selector.read(self._root)
        if state["n"] == 0 or state["active"] != self._running["slot"] or state["pending"]:
            state["active"] = self._running["slot"]
            state["pending"] = None
            self._selector.write(self._root, state)

    def _recheck(self, manifest, tick):
        """Is it still what was downloaded, and an image for this board? (Blocks that lay there already were never
        written, so their head has not been looked at yet.)"""
        fits(self._part, manifest)
        check_head(head_of(self._part), head_of(self._own))
        whole = sha256()
        buf = memoryview(bytearray(_BLOCK_SIZE))
        for i in range(manifest.count):
            view = buf[: manifest.block_size_of(i)]
            self._part.readblocks(i, view, 0)
            whole.update(view)
            if tick:
                tick()
        if whole.digest() != manifest.sha256:
            raise InstallError("changed")

    def _seal(self, manifest):
        """Keep head and signature as the MANIFEST of the other partition: partboot knows an image by it. Before it, the
        update keys that lie behind the image, if it brings some."""
        from fota.manifest import files

        head = store.read_bytes(folder(self._root) + "/head", b"", _HEAD_MAX)
        signed = head[HEADER_SIZE : HEADER_SIZE + int.from_bytes(head[8:12], "little")]
        if sha256(signed).digest() != manifest.digest:
            raise InstallError("changed")
        target = self._root + "/" + self.other
        if not store.exists(target):
            os.mkdir(target)
        keys = None
        at = 0
        for path, size, _ in files(BytesIO(signed)):
            if path != (_NAMES[1] if at else _NAMES[0]) or at and size > _KEYS_MAX:
                raise ManifestError("files", path)
            if at:
                keys = bytearray(size)
                self._part.readblocks(at // _BLOCK_SIZE, keys, at % _BLOCK_SIZE)
            at += size
        if keys:
            store.write_bytes(target + "/" + _NAMES[1], keys)
        else:
            store.remove(target + "/" + _NAMES[1])
        store.write_bytes(target + "/" + self._selector.MANIFEST, head)

    def arm(self):
        """Let the next start try the image that install() has checked. Durable on return; then restart by a hard
        reset, never by deep sleep, whose wake does not ask the bootloader's record.

        The state record comes first: whoever starts next knows what is meant. Raises InstallError: "image" when
        the bootloader refuses it, "flash".
        """
        Slots.arm(self)
        try:
            self._part.set_boot()
        except OSError as e:
            state = self._selector.read(self._root)
            if e.args[0] == _INVALID:
                self._give_up(state, "damaged")
                raise InstallError("image", _INVALID, True) from None
            state["pending"] = None
            self._write(state)
            raise InstallError("flash", e.args[0]) from None

    def confirm(self):
        """The running image has proved itself: it stays. True if it was on trial. Raises InstallError "flash".

        The bootloader hears of it first. Its record is erased for that: a cut within loses it, the old image starts
        and tries the new one again. A cut between the two records starts the new one again as if on trial, which
        must not be one try too many, so the last try is made the one before last.
        """
        state = self._selector.read(self._root)
        if state["pending"] != self._running["slot"]:
            return False
        if state["tries"] >= _LAST_TRY:
            state["tries"] = _LAST_TRY - 1
            self._write(state)
        try:
            self._own.mark_app_valid_cancel_rollback()
        except OSError as e:
            if e.args[0] != _NO_ROLLBACK:
                raise InstallError("flash", e.args[0]) from None
        return Slots.confirm(self)
