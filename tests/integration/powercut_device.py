"""Device side of test_powercut.py, run by MicroPython: a node on a flash image in a file, killed at any moment.

`powercut_device.py REPO IMAGE queue`: append records for ever; prints "kept SEQ VALUE" when append() has returned and
"got SEQ VALUE" for what it delivers, before acknowledging it. With `queue-read` it delivers what is left, and ends.
`powercut_device.py REPO IMAGE update BUNDLE MODULUS CLASS`: one life of a node that updates: boots, confirms or fetches
and installs. Prints "boot VERSION SLOT PENDING", "read N" per block of payload, "armed", "confirmed".
"""

import sys

_REPO, _IMAGE, _MODE = sys.argv[1:4]
sys.path[:] = [_REPO + "/lib", _REPO + "/firmware", _REPO + "/boards/unix", _REPO + "/tests", ".frozen"]

import asyncio  # noqa: E402
import os  # noqa: E402

import vfs  # noqa: E402

import bootsel  # noqa: E402
import flashdev  # noqa: E402
from fota.fetch import Fetch  # noqa: E402
from fota.slots import Slots  # noqa: E402
from journal import Journal  # noqa: E402


def _deliver(journal):
    batch = journal.peek(8)
    for seq, payload in batch:
        print("got", seq, payload.decode())
    if batch:
        journal.ack(batch[-1][0])


def _queue(read_only):
    journal = Journal(flashdev.journal(_IMAGE))
    if read_only:
        while journal.pending:
            _deliver(journal)
        print("end", journal.dropped)
        return
    while True:
        for _ in range(8):
            value = int.from_bytes(os.urandom(6), "big")
            print("try", value)
            print("kept", journal.append(str(value).encode()), value)
        _deliver(journal)


def _read(path):
    with open(path, "rb") as file:
        return file.read()


async def _update(info, image, key, device_class):
    offset = int.from_bytes(image[12:16], "little")

    async def read(at, view):
        view[:] = image[at : at + len(view)]
        if at >= offset:
            print("read", len(view))
        await asyncio.sleep_ms(1)
        return len(view)

    slots = Slots("/flash", info)
    if info["pending"]:
        slots.confirm()
        print("confirmed")
        return
    fetch = Fetch(
        "/flash", "job", len(image), read, key, device_class, slots.floor, None, slots.bad, slots.room
    )
    slots.install(await fetch.run())
    slots.arm()
    print("armed")


def main():
    if _MODE != "update":
        _queue(_MODE == "queue-read")
        return
    vfs.mount(vfs.VfsLfs2(flashdev.filesystem(_IMAGE)), "/flash")
    info = bootsel.select("/flash")
    sys.path[:] = [_REPO + "/lib", ".frozen"]
    if info is None:
        print("boot none")
        return
    print("boot", info["version"], info["slot"], int(info["pending"]))
    if info["sequence"] == 1 or info["pending"]:
        asyncio.run(_update(info, _read(sys.argv[4]), _read(sys.argv[5]), sys.argv[6]))


main()
