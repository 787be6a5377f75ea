"""Device side of test_bundle.py, run by MicroPython: takes a bundle made on the host, installs it on littlefs2 in RAM,
and imports a module from the slot that the boot selector has chosen.

Arguments: repository, bundle, modulus file, device class. Prints one JSON line.
"""

import json
import sys

_REPO, _BUNDLE, _KEY, _CLASS = sys.argv[1:5]
sys.path[:] = [_REPO + "/lib", _REPO + "/firmware", _REPO + "/tests", ".frozen"]

import asyncio  # noqa: E402
import gc  # noqa: E402
import os  # noqa: E402

import vfs  # noqa: E402

import bootsel  # noqa: E402
from fota import FotaError  # noqa: E402
from fota.fetch import Fetch  # noqa: E402
from fota.slots import Slots  # noqa: E402
from harness.flashsim import FlashSim  # noqa: E402


def _read(path):
    with open(path, "rb") as file:
        return file.read()


async def _take(image, key):
    async def read(offset, view):
        view[:] = image[offset : offset + len(view)]
        return len(view)

    slots = Slots("/flash", {"slot": "b", "pending": False, "sequence": 0, "selector": bootsel})
    fetch = Fetch(
        "/flash", "job", len(image), read, key, _CLASS, slots.floor, None, slots.bad, slots.room
    )
    manifest = await fetch.run()
    slots.install(manifest)
    slots.arm()


def main():
    chip = FlashSim(256)
    vfs.VfsLfs2.mkfs(chip)
    vfs.mount(chip, "/flash")
    try:
        asyncio.run(_take(_read(_BUNDLE), _read(_KEY)))
    except FotaError as e:
        print(json.dumps({"refused": e.reason, "kept": "dl" in os.listdir("/flash")}))
        return
    info = bootsel.select("/flash")
    before = set(sys.modules)
    for name in list(before):
        if name.split(".")[0] in ("fota", "store", "cbor"):
            sys.modules.pop(name)
    gc.collect()
    import fota
    from fota.manifest import BLOCK_SIZE
    from retry import Backoff

    print(json.dumps({
        "slot": info["slot"], "version": info["version"], "sequence": info["sequence"], "path": sys.path,
        "from": [getattr(fota, "__file__", ""), sys.modules["retry"].__file__], "block": BLOCK_SIZE,
        "backoff": Backoff(1, 2).next() > 0, "new": len(set(sys.modules) - before), "erases": chip.erases,
        "free": os.statvfs("/flash")[3],
    }))  # fmt: skip


main()
