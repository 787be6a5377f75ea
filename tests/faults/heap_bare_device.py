"""An update in a process that has nothing but the boot selector, lib/fota and the desk's flash: how much heap is that?

Arguments: flash image, bundle, file of moduli, device class. Prints "armed", then in the next start "confirmed"; ends
with MemoryError when the heap is too small. Runs from .mpy files, as a board without frozen code does (heap.py).
"""

import asyncio
import gc
import sys

import vfs

import bootsel
import cold
import flashdev

_IMAGE, _BUNDLE, _KEYS, _CLASS = sys.argv[1:5]
_path = list(sys.path)


def _settle():
    cold.forget()
    gc.collect()


def _limits(info):
    from fota.slots import Slots

    slots = Slots("/flash", info)
    return slots.floor, slots.bad


async def _fetch(info):
    floor, bad = _limits(info)
    _settle()
    from fota.fetch import Fetch

    with open(_KEYS, "rb") as file:
        keys = file.read()
    source = open(_BUNDLE, "rb")

    async def read(offset, view):
        source.seek(offset)
        return source.readinto(view)

    size = source.seek(0, 2)
    return await Fetch("/flash", "job", size, read, keys, _CLASS, floor, None, bad, None, None, _settle).run()


def main():
    gc.threshold(4096)
    vfs.mount(vfs.VfsLfs2(flashdev.filesystem(_IMAGE)), "/flash")
    info = bootsel.select("/flash")
    sys.path[:] = _path
    if not info["pending"]:
        manifest = asyncio.run(_fetch(info))
        _settle()
    from fota.slots import Slots

    info["selector"] = bootsel
    slots = Slots("/flash", info)
    if info["pending"]:
        slots.confirm()
        print("confirmed")
        return
    slots.install(manifest)
    slots.arm()
    print("armed")


main()
