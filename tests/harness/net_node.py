"""A node of memory that can be updated (campaign_node.py), with the boot selector and two slots in a folder.

What the update engine writes, installs and confirms is overheard at its own verbs. For tests/faults/net_rig.py.
"""

import json
import sys

import bootsel
from campaign.vtime import now_s
from coap import messages
from fota.blocks import FileBlocks
from fota.slots import Slots
from harness import campaign_node as nodes
from harness.fota_kit import CLASS, KEY, bundle, code, install_by_cable


def files(name, size):
    """Files of an image, `size` bytes together."""
    third = size // 3
    return [("app.mpy", code(name + " app", third)), ("lib/one.mpy", code(name + " one", third)),
            ("lib/two.mpy", code(name + " two", size - 2 * third))]  # fmt: skip


OLD = files("old", 1500)
OLD_IMAGE = bundle(OLD, "1.0.0", 1)


class Disk:
    """What install_by_cable wants, over a folder."""

    def __init__(self, root):
        self.root = root

    def put(self, path, content):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


class Node(nodes.Node):
    """A node that left the factory with OLD_IMAGE in slot a; each start is the boot selector's choice."""

    def __init__(self, rig, folder, server, settings):
        super().__init__("nrf91", rig, folder, server)
        path = self.root / "data" / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))
        (self.root / "data" / "update.pub").write_bytes(KEY.modulus)
        install_by_cable(Disk(self.root), "a", OLD_IMAGE, OLD)
        self.starts = []  # (virtual s, version, on trial)

    def started(self):
        path = list(sys.path)
        try:
            info = bootsel.select(str(self.root))
        finally:
            sys.path[:] = path
        if info is None:
            raise AssertionError("bricked: no slot is fit to run")
        self.starts.append((now_s(), info["version"], info["pending"]))
        return info


class Seen:
    """What the update engine did in a run, heard at its own verbs."""

    def __init__(self):
        self.clear()

    def clear(self):
        self.written = []  # (virtual s, block number, bytes)
        self.installed = self.confirmed = 0


SEEN = Seen()


def patch_node():
    """Once per process: the update engine is overheard."""
    nodes.BOARD.DEVICE_CLASS = CLASS
    messages._TICK_MS = 500  # instead of 100: four fifths of the time of a run; so late may a retransmission be
    write, install, confirm = FileBlocks.write, Slots.install, Slots.confirm

    def written(self, i, view):
        write(self, i, view)
        SEEN.written.append((now_s(), i, bytes(view)))

    def installed(self, *args, **how):
        install(self, *args, **how)
        SEEN.installed += 1

    def confirmed(self):
        done = confirm(self)
        SEEN.confirmed += bool(done)
        return done

    FileBlocks.write, Slots.install, Slots.confirm = written, installed, confirmed
