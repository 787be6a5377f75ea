"""The two application slots: install a downloaded image, put it on trial, confirm it or give it up.

Every step is durable before the next begins, so that a power cut anywhere leaves the old image or the new one
(facts/fota.md 2.3): free the other slot, MANIFEST first - unpack - MANIFEST last - hash everything again - point the
boot selector at it. Called by firmware/tasks/update.py. RAM: 1 KB during install().
"""

import os
from hashlib import sha256

from micropython import const

import store
from fota import InstallError, ManifestError
from fota.image import HEADER_SIZE, parse_header
from fota.space import discard, folder, room

_ENOSPC = const(28)
_CHUNK = const(1024)


class Slots:
    """Slots below `root` (mount point, "" on a board). `running`: what the boot selector started, bootsel.info;
    its "selector" is the selector module itself, which owns the state record. `lend(True)` is called where the place
    of a buffer of 4 KB is worth more than the buffer, `lend(False)` when install() has failed and lends no longer."""

    component = "app"

    def __init__(self, root, running, lend=None):
        self._root = root
        self._running = running
        self._lend = lend
        self._selector = running["selector"]
        self._armed = None  # digest of the image that install() has put into the other slot
        self.other = "b" if running["slot"] == "a" else "a"

    @property
    def floor(self):
        """Highest sequence confirmed here; only a higher one may come in."""
        return max(self._selector.read(self._root)["floor"], self._running["sequence"])

    @property
    def bad(self):
        """Digests (16 bytes each) of the last images that failed their trial."""
        return self._selector.read(self._root)["bad"]

    def room(self, manifest):
        """Raise InstallError "space" unless download and unpacked image fit; may raise OSError."""
        room(self._root, self.other, manifest)

    def install(self, manifest, tick=None):
        """Unpack the verified download into the other slot and check it there; call arm() to have it started.

        `manifest`: what Fetch.run() returned; `tick()` is called after each file (feed a watchdog).
        Raises InstallError; the running slot is never touched.
        """
        self._armed = None
        try:
            self._anchor()
            target = self._root + "/" + self.other
            self._clear(target)
            self._unpack(manifest, target, tick)
            self._seal(manifest, target)
            self._recheck(manifest)
            self._armed = manifest.digest[:16]
        except ManifestError as e:
            # Only what the image itself is cannot change; a damaged copy of the manifest can be fetched again.
            raise InstallError(e.reason, e.detail, e.reason in ("mpy", "native")) from None
        except OSError as e:
            raise InstallError("space" if e.errno == _ENOSPC else "flash", e.errno) from None
        finally:
            if self._lend and self._armed is None:
                self._lend(False)

    def _anchor(self):
        """Make sure that the state record names the running slot before the other one changes."""
        state = self._selector.read(self._root)
        if state["n"] == 0 or state["active"] != self._running["slot"] or state["pending"]:
            if self._running["pending"]:
                raise InstallError("trial")  # the slot to be replaced is what we would go back to
            state["active"] = self._running["slot"]
            state["pending"] = None
            self._selector.write(self._root, state)

    def _clear(self, target):
        store.remove_tree(target, self._selector.MANIFEST)
        os.mkdir(target)

    def _unpack(self, manifest, target, tick):
        from fota.unpack import unpack

        unpack(self._root, manifest, target, tick, self._lend)

    def _seal(self, manifest, target):
        """The MANIFEST comes last: a slot without one does not exist for the boot selector.

        Its signed bytes must be those that were verified when they came in, whatever happened on flash since.
        """
        view = memoryview(bytearray(_CHUNK))
        name = target + "/" + self._selector.MANIFEST
        digest = sha256()
        with open(folder(self._root) + "/head", "rb") as head:
            first = head.read(HEADER_SIZE)
            signed = parse_header(first).manifest_size
            out = open(name + ".tmp", "wb")
            try:
                out.write(first)
                n = head.readinto(view)
                while n:
                    digest.update(view[: min(n, signed)])
                    signed -= min(n, signed)
                    out.write(view[:n])
                    n = head.readinto(view)
            finally:
                out.close()
        if digest.digest() != manifest.digest:
            raise InstallError("changed")
        os.rename(name + ".tmp", name)

    def _recheck(self, manifest):
        found = self._selector.check(self._root, self.other)
        if found is None or found["digest"] != manifest.digest[:16]:
            raise InstallError("reread")

    def arm(self):
        """Let the next start try the image that install() has put in place. Durable on return; then restart."""
        if self._armed is None:
            raise InstallError("nothing")
        state = self._selector.read(self._root)
        state["pending"] = self.other
        state["digest"] = self._armed
        state["tries"] = 0
        state["result"] = state["cause"] = state["why"] = 0
        self._write(state)

    def confirm(self):
        """The running image has proved itself: make it the active one and raise the floor. True if it was on trial.

        Call it only after an authenticated round trip that carried the new version, and before any sleep that ends
        in a reset. Raises InstallError "flash" when the state cannot be written.
        """
        state = self._selector.read(self._root)
        if state["pending"] != self._running["slot"]:
            return False
        state["active"] = self._running["slot"]
        state["pending"] = None
        state["tries"] = 0
        state["floor"] = max(state["floor"], self._running["sequence"])
        state["result"] = 1
        state["fails"] = state["cause"] = state["why"] = 0
        self._write(state)
        from fota.trust import adopt

        try:
            adopt(self._root, self._root + "/" + self._running["slot"])
            discard(self._root)
        except OSError:
            pass  # done again before the next download; the confirmation stands
        return True

    def roll_back(self, reason="refused"):
        """Give up the running image if it is on trial; the caller restarts into the old one. True if it was.

        `reason`: one of the selector's REASONS; an older selector does not know all of them. Raises InstallError.
        """
        state = self._selector.read(self._root)
        if state["pending"] != self._running["slot"]:
            return False
        self._give_up(state, reason)
        return True

    def _give_up(self, state, reason):
        known = self._selector.REASONS
        try:
            self._selector.roll_back(self._root, state, known.index(reason if reason in known else "refused"))
        except OSError as e:
            raise InstallError("flash", e.args[0]) from None

    def _write(self, state):
        try:
            self._selector.write(self._root, state)
        except OSError as e:
            raise InstallError("flash", e.errno) from None
