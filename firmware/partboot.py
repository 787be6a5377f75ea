"""Start of a board with app partitions: which image runs, on trial or for good, and what to do about the wrong one.

There is no slot to choose: Espressif's bootloader has chosen when this code runs, which is frozen into each image, as
the whole application is. It joins the bootloader's choice with the selector's state record, in the same two files,
and leaves the same `info` for bootsel.start(), so main.py and the application see no difference. The board's boot.py
calls select() instead of bootsel.select(). Starts that end badly are bootsafe.py's, but for taking turns: the other
partition may be half a download. facts/fota.md 2.2; lib/fota/partitions.py is the other half.

An image is known by `<root>/a/MANIFEST` (ota_0) or `b/MANIFEST` (ota_1): it is the one in the partition when the hash
of its last block matches, because it ends in the SHA-256 of all the rest, which the bootloader has checked. At least 16
bytes of that are in the last block: an image is rows of 16 bytes, and that SHA-256.

`tries` of the state record counts half tries here: even, the old image has asked the bootloader for the new one; odd,
the new one has started. Whichever image notices that the other half is missing counts it too, so that three starts
are three starts also where the bootloader does not go back by itself. RAM: `info`; a manifest at the start.
"""

import sys
from hashlib import sha256
from io import BytesIO

from micropython import const

import bootsafe
import bootsel
from fota import FotaError
from fota.image import parse_header
from fota.manifest import files, parse
from fota.partition import head_of, other_of, slot_of, text

_BLOCK_SIZE = const(4096)
_HEADER_SIZE = const(64)
_LAST_TRY = const(5)
_UNKNOWN_S = const(600)  # for start(), should this not come to its end
_DAMAGED = const(3)  # index into bootsel.REASONS
_SWITCHES = const(3)  # how often an image that is not the active one gives way to it before it runs itself


def select(root, part, reset):
    """Return `info`, as bootsel.select() does, of the image that runs, and leave it to bootsel.start(); or restart
    into the other one with `reset()`, a hard reset that does not return. `part`: esp32.Partition of what runs."""
    sys.path[:] = [".frozen"]
    bootsel.wait_s = _UNKNOWN_S
    state = bootsel.read(root)
    hung = bootsafe.ended()[1]
    slot = slot_of(part)
    found = _found(root, slot, part)
    tried = state["pending"] is not None
    try:
        other = other_of(part)
    except FotaError:
        other = None  # one partition only: it runs
    if other:
        if tried and state["tries"]:
            if hung:
                state["cause"] = bootsel.REASONS.index("hung")
            if state["alone"]:
                state["tries"] += 2  # the record that is gone may have had the last one
        if state["pending"] == slot:
            _new(root, state, found, other, reset)
        elif tried:
            _old(root, state, other, reset)
        if not state["pending"]:
            _settled(root, state, slot, found, other, reset)
    trial = state["pending"] == slot
    if state["n"] and not trial:  # without a record we do not know what this is: it may be an image that cannot read it
        _mark(part)
    bootsel.wait_s, _, facts = bootsafe.count(root, state, trial, tried)
    bootsel.info = {
        "root": root, "slot": slot, "path": "%s/%s" % (root, slot), "version": found["version"],
        "sequence": found["sequence"], "digest": found["digest"], "pending": trial,
        "tries": (state["tries"] + 1) // 2 if trial else 0,
        "rolled_back": bootsel.REASONS[state["result"]] if 1 < state["result"] < len(bootsel.REASONS) else None,
        "fault": None if trial or slot == state["active"] or not state["n"] else "it did not start",
        "selector": bootsel,
    }  # fmt: skip
    bootsel.info.update(facts)
    return bootsel.info


def _new(root, state, found, other, reset):
    """The image on trial runs: count the start on flash before anything of the application does, or give it up."""
    if any(found["digest"]) and found["digest"] != state["digest"]:
        state["pending"] = None  # another image came by cable: no trial. (One that is not known stays on it.)
        _write(root, state)
        return
    tries = state["tries"] + (1 if state["tries"] % 2 == 0 else 2)
    if tries > _LAST_TRY:
        _give_up(root, state, state["cause"] or bootsel.REASONS.index("tries"))
        _switch(other, reset)
        return  # the old one will not start: this one is better than none
    state["tries"] = tries
    if not _write(root, state):
        state["pending"] = None  # a trial that cannot be counted must not begin
        _switch(other, reset)


def _old(root, state, other, reset):
    """The old image runs although the new one was asked for: power failed before the bootloader heard of it, or the
    bootloader has gone back. Ask again, three times in all."""
    tries = state["tries"] + (1 if state["tries"] % 2 else 2)
    if tries > _LAST_TRY:
        _give_up(root, state, state["cause"] or bootsel.REASONS.index("tries"))
    elif _found(root, slot_of(other), other)["digest"] != state["digest"]:
        _give_up(root, state, _DAMAGED)
    else:
        state["tries"] = tries
        if _write(root, state) and not _switch(other, reset):
            _give_up(root, state, _DAMAGED)


def _settled(root, state, slot, found, other, reset):
    """Nothing is on trial. An image that is known, but not the active one, gives way to that: the bootloader did not
    go back from a trial that has failed, or has lost its record."""
    if slot == state["active"] or not state["n"] or not any(found["digest"]):
        if state["tries"]:
            state["tries"] = 0
            _write(root, state)
    elif state["tries"] < _SWITCHES:
        state["tries"] += 1
        if _write(root, state):
            _switch(other, reset)


def _switch(other, reset):
    """Restart into the other partition; False when the bootloader will not have what lies there."""
    try:
        other.set_boot()
    except OSError:
        return False
    reset()


def _mark(part):
    """What is not on trial must not be taken for it. No write when the bootloader's record says so already."""
    try:
        part.mark_app_valid_cancel_rollback()
    except OSError:
        pass  # no such feature, or no record: then nothing is rolled back either


def _give_up(root, state, reason):
    try:
        bootsel.roll_back(root, state, reason)
    except OSError:
        pass  # state is as it should be; the next start tries to write it again


def _write(root, state):
    """Make `state` durable; False when the flash does not take it."""
    try:
        bootsel.write(root, state)
        return True
    except OSError:
        return False


def _found(root, slot, part):
    """Return {"version", "sequence", "digest"} of the image in a partition; of one that its MANIFEST does not
    describe, which came by cable, the version that Espressif's description names, 0 and zeros."""
    try:
        with open("%s/%s/%s" % (root, slot, bootsel.MANIFEST), "rb") as f:
            header = parse_header(f.read(_HEADER_SIZE))
            body = f.read(header.manifest_size)
        digest = sha256(body).digest()
        manifest = parse(BytesIO(body), digest)
        size = next(files(BytesIO(body)))[1]  # update keys may lie behind the image
        if digest == header.digest and _is_there(manifest, size, part):
            return {"version": manifest.version, "sequence": manifest.sequence, "digest": digest[:16]}
    except (OSError, FotaError):
        pass
    try:
        version = text(head_of(part)[48:80])
    except OSError:
        version = ""
    return {"version": version, "sequence": 0, "digest": bytes(16)}


def _is_there(manifest, size, part):
    """True when the block in the partition in which the image of `size` bytes ends is that of `manifest`."""
    i = (size - 1) // _BLOCK_SIZE
    view = memoryview(bytearray(manifest.block_size_of(i)))
    part.readblocks(i, view, 0)
    return manifest.block_ok(i, view)
