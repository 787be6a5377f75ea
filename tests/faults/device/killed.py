"""Row P3: a process that is killed (SIGKILL) before, in the middle of and after every change to a file, on the host's
file system; the journal's partition is a file of boards/unix/flashdev.

The update runs in a forked child that kills itself at change number n; the cloud's events go through a file, so that
what the child had done before is known. What follows runs in the parent, which starts from the files.
"""

import os

import ffi

import flashdev
from faults.device import node as node_module
from faults.device.node import Images, Node
from faults.device.tap import Tap
from journal import Journal

_WHEN = ("before", "half", "after")
_SIGKILL = 9
_libc = ffi.open(None)
_fork = _libc.func("i", "fork", "")
_kill = _libc.func("i", "kill", "ii")
_getpid = _libc.func("i", "getpid", "")
_wait = _libc.func("i", "waitpid", "ipi")
_exit = _libc.func("v", "_exit", "i")


class HostNode(Node):
    """A node whose file system is a folder of the host. `image` is what the factory has left there, as a folder."""

    def __init__(self, images, good, folder):
        self._folder = folder
        self.events_file = None
        os.system("rm -rf %s && mkdir -p %s/fs %s/factory" % (folder, folder, folder))
        self._make_journal()
        super().__init__(images, good)
        os.system("cp -r %s/fs %s/journal %s/factory" % (folder, folder, folder))
        happen = self.cloud._happen

        def witnessed(kind, *values):
            if self.events_file:
                self.events_file.write(repr((kind, values)) + "\n")
            happen(kind, *values)

        self.cloud._happen = witnessed

    def _make_journal(self):
        blank = b"\xff" * flashdev.BLOCK
        with open(self._folder + "/journal", "wb") as chip:
            for _ in range(3):
                chip.write(blank)

    def _mount(self, new=False):
        node_module.ROOT = self._folder + "/fs"  # not mounted: a VfsPosix with a root of its own cannot rename

    def _journal(self):
        return Journal(flashdev.FileBlockDevice(self._folder + "/journal", 0, 3))

    def begin(self):
        """The factory's files again, and a cloud that knows nothing."""
        folder = self._folder
        os.system("rm -rf %s/fs && cp -r %s/factory/fs %s/factory/journal %s" % (folder, folder, folder, folder))
        self.cloud.begin()

    def run_to(self, tap, at, when):
        """Live in a child until it kills itself at change `at`; True if it came to that."""
        path = self._folder + "/events"
        pid = _fork()
        if pid == 0:
            self._die(tap, at, when, path)
        status = bytearray(4)
        _wait(pid, status, 0)
        with open(path) as events:
            for line in events:
                kind, values = eval(line)
                self.cloud._apply(kind, *values)
        return status[0] & 0x7F == _SIGKILL

    def _die(self, tap, at, when, path):
        def act(what, change):
            if when == "after" or (when == "half" and what == "write"):
                change(when == "half")
            _kill(_getpid(), _SIGKILL)

        self.events_file = open(path, "w")
        tap.arm(at, act)
        try:
            self.finish()
        finally:
            _exit(1)


def _case(node, tap, tally, at, when):
    node.begin()
    tap.arm()
    if node.run_to(tap, at, when):
        tally.add("killed")
        tap.arm()
        tally.most("boots", node.finish())
        tally.most("again", node.judge(1))


def _node(good):
    folder = "%s/host%d" % (os.getenv("GODWIT_PAYLOADS"), _getpid())
    node = HostNode(Images("small"), good, folder)
    node.live()  # loads everything
    tap = Tap()
    tap.install()
    return node, tap


def killed(tally, part, share, seed, full):
    """P3, for an update that succeeds and one that is rolled back."""
    node, tap = _node(part == "update")
    node.begin()
    tap.arm()
    node.finish()
    node.judge(0)
    count = tap.count
    tally.most("ops", count)
    for at in range(count):
        if share.mine(at):
            for when in _WHEN:
                tally.case("%d.%s" % (at, when), _case, node, tap, tally, at, when)
    if tally.figures.get("killed") != tally.figures["cases"]:
        tally.fail("kills", "%s of %d were killed" % (tally.figures.get("killed"), tally.figures["cases"]), "other")


def again(tally, part, text):
    """--only of P3."""
    import log

    at, when = text.split(".")
    node, tap = _node(part == "update")
    log.level = log.INFO
    tally.case(text, _case, node, tap, tally, int(at), when)
