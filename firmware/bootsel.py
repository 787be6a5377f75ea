"""Boot selector: decides which slot runs, counts the tries of a new image, and rolls back. A factory file.

Lives at the root of the flash (frozen on boards), outside both slots, is never updated over the air, and therefore
imports nothing of ours but bootsafe.py, a factory file as well: its CBOR reader knows just the manifest. Model and
order of steps: facts/fota.md 2.3 and lib/fota/README.md. boot.py calls select(), main.py calls start(),
lib/fota/slots.py uses the rest through `running["selector"]`, at the tightest moment of all: what is only needed at a
start is in bootsafe.py. RAM: the state and `info`, 400 bytes; 1 KB while a slot is checked, which reads row by row.
"""

import os
import struct
import sys
from binascii import crc32
from hashlib import sha256

from micropython import const

SLOTS = ("a", "b")
MANIFEST = "MANIFEST"
# state["result"]: how the last trial ended; state["cause"]: how the last start did that ended badly. Only ever longer.
REASONS = (
    None, "confirmed", "tries", "damaged", "refused", "hung", "crashed", "unreached", "unauthorised", "memory", "queue",
)  # fmt: skip
_TRIES = const(3)
_BAD_MAX = const(3)
_MANIFEST_MAX = const(8192)
_CHUNK = const(512)
_HEADER = const(64)
_DIR = const(0x4000)
# magic, version, active, pending (slot + 1, 0 none), tries, n, floor, result, count of bad, digest, bad digests;
# since version 2: fails, cause, CRC32 of the text in boot.why. Then a CRC32 of all.
_RECORD = "<2sBBBBIIBB16s48sBBI"
_RECORD_SIZE = const(86)
_RECORD_1 = const(80)
_VERSION = const(2)

_HUNG = const(5)  # index into REASONS
_CRASHED = const(6)
_UNKNOWN_S = const(600)  # select() did not come to its end

info = None  # what select() started; None: no slot is fit to run
wait_s = 0  # seconds that start() waits
_faults = {}  # slot -> why it is not fit, for the message of start()


def _record(root, side):
    """Return one of the two state records, None when it is not there or not whole."""
    try:
        with open(root + "/boot." + side, "rb") as f:
            raw = f.read(_RECORD_SIZE + 5)
    except OSError:
        return None
    n = len(raw) - 4
    if n not in (_RECORD_1, _RECORD_SIZE) or raw[-4:] != struct.pack("<I", crc32(raw[:-4])):
        return None
    raw = raw[:-4] + bytes(_RECORD_SIZE - n)  # version 1 has none of the last three
    magic, version, active, pending, tries, n, floor, result, count, digest, bad, fails, cause, why = struct.unpack(
        _RECORD, raw
    )
    if magic != b"GB" or not 0 < version <= _VERSION or not 0 < active < 3 or pending > 2:
        return None
    return {
        "n": n, "active": SLOTS[active - 1], "pending": SLOTS[pending - 1] if pending else None,
        "tries": tries, "floor": floor, "digest": digest, "result": result,
        "bad": [bad[i * 16 : i * 16 + 16] for i in range(min(count, _BAD_MAX))],
        "fails": fails, "cause": cause, "why": why,
    }  # fmt: skip


def read(root):
    """Return the state: {"n", "active", "pending": slot or None, "tries", "floor", "digest", "bad", "result", "fails":
    starts in a row without proof, "cause": how the last of them ended, "why": CRC32 of the text in boot.why or 0,
    "alone": one of the two records is missing}.

    Two files written in turn, each with a sequence number and a CRC; the newest whole one counts. With none, the
    factory's state: slot a is active and nothing is pending.
    """
    state = {
        "n": 0, "active": "a", "pending": None, "tries": 0, "floor": 0, "digest": bytes(16), "bad": [], "result": 0,
        "fails": 0, "cause": 0, "why": 0,
    }  # fmt: skip
    whole = 0
    for side in "01":
        found = _record(root, side)
        if found:
            whole += 1
            if found["n"] > state["n"]:
                state = found
    state["alone"] = whole < 2
    return state


def write(root, state):
    """Make `state` durable over the older of the two records (90 bytes: lfs2 keeps them inline). Raises OSError.

    When one of them was missing both are written: else somebody who destroys the same one at each start, an image gone
    wild or a bad block, would take every count back.
    """
    _put(root, state)
    if state.pop("alone", False):
        _put(root, state)


def _put(root, state):
    n = state["n"] + 1
    pending = state["pending"]
    bad = state["bad"][-_BAD_MAX:]
    raw = struct.pack(
        _RECORD, b"GB", _VERSION, 1 + SLOTS.index(state["active"]), 1 + SLOTS.index(pending) if pending else 0,
        state["tries"], n, state["floor"], state["result"], len(bad), state["digest"], b"".join(bad),
        state["fails"], state["cause"], state["why"],
    )  # fmt: skip
    f = open(root + "/boot." + "01"[n & 1], "wb")
    try:
        f.write(raw + struct.pack("<I", crc32(raw)))
        f.flush()
    finally:
        f.close()
    state["n"] = n


def _item(f):
    """Read one CBOR item from a file: a number, bytes or str; of an array or map the count of its items."""
    head = f.read(1)[0]
    major, n = head >> 5, head & 31
    if n > 27 or major == 1 or major > 5:
        raise ValueError("item")
    if n > 23:
        n = int.from_bytes(f.read(1 << (n - 24)), "big")
    if major != 2 and major != 3:
        return n
    if n > _MANIFEST_MAX:
        raise ValueError("length")
    value = f.read(n)
    return value if major == 2 else value.decode()


def _open_manifest(root, slot):
    """Open a slot's MANIFEST and check its digest: (file at the file table, facts of manifest()).

    Raises OSError, ValueError or IndexError for anything that is not as the update engine wrote it.
    """
    f = open("%s/%s/%s" % (root, slot, MANIFEST), "rb")
    try:
        head = f.read(_HEADER)
        left = struct.unpack_from("<I", head, 8)[0] if head[:4] == b"GWB1" and len(head) == _HEADER else 0
        if not 0 < left <= _MANIFEST_MAX:
            raise ValueError("header")
        digest = sha256()
        while left:
            part = f.read(min(left, _CHUNK))
            digest.update(part)
            left -= len(part) or left  # a manifest cut short fails the comparison
        digest = digest.digest()
        if digest != head[20:52]:
            raise ValueError("digest")
        f.seek(_HEADER)
        _item(f)
        fields = []  # values of the keys 1 to 11, whose order is fixed
        while len(fields) < 11:
            if _item(f) != len(fields) + 1:
                raise ValueError("key")
            fields.append(_item(f))
        return f, {"version": fields[2], "sequence": fields[1], "digest": digest[:16], "files": fields[10]}
    except (OSError, ValueError, IndexError):
        f.close()
        raise ValueError("damaged manifest")


def manifest(root, slot):
    """Return {"version", "sequence", "digest", "files": their count} of a slot, None without a whole MANIFEST."""
    try:
        f, found = _open_manifest(root, slot)
    except (OSError, ValueError):
        return None
    f.close()
    return found


def _hash_file(path, buf):
    """Return (size, first 16 bytes of the SHA-256) of a file; raises OSError."""
    digest = sha256()
    size = 0
    with open(path, "rb") as f:
        while True:
            n = f.readinto(buf)
            if not n:
                return size, digest.digest()[:16]
            digest.update(memoryview(buf)[:n])
            size += n


def _count(path):
    """Number of files below a folder; raises OSError."""
    total = 0
    for name in os.listdir(path):
        child = path + "/" + name
        total += _count(child) if os.stat(child)[0] & _DIR else 1
    return total


def check(root, slot):
    """Return manifest(root, slot) when the slot holds exactly the files it names, each with its hash; else None.

    The VM runs a damaged .mpy without noticing, and an extra .py would be imported instead of its .mpy.
    """
    found = None
    try:
        f, found = _open_manifest(root, slot)
        try:
            fault = _fault("%s/%s" % (root, slot), f, found["files"])
        finally:
            f.close()
    except OSError:
        fault = "a file is missing or unreadable" if found else "no manifest"
    except (ValueError, IndexError, TypeError):
        fault = "damaged manifest"
    _faults[slot] = fault
    return None if fault else found


def _fault(folder, f, count):
    """Return what is wrong with the files of a slot, or None; `f` is its MANIFEST at the file table."""
    buf = bytearray(_CHUNK)
    for _ in range(count):
        _item(f)
        path, size, digest = _item(f), _item(f), _item(f)
        if _hash_file(folder + "/" + path, buf) != (size, digest):
            return path + " is damaged"
    return None if _count(folder) == count + 1 else "a file too many"


def roll_back(root, state, result):
    """Give up the pending image: blacklist its digest, remember why (index into REASONS), make it durable."""
    state["bad"].append(state["digest"])
    state["pending"] = None
    state["tries"] = 0
    state["result"] = result
    state["cause"] = 0  # the image that runs now is another
    if result != _CRASHED:
        state["why"] = 0
    write(root, state)


def _trial(root, state, hung):
    """Return the manifest of the pending slot when it gets another try, counted on flash before it runs; else None.
    `hung`: the watchdog ended the start before this one."""
    tries = state["tries"]
    if tries and hung:
        state["cause"] = _HUNG
    if tries and state["alone"]:
        tries += 1  # the record that is gone may have had the last one
    if tries >= _TRIES:
        roll_back(root, state, state["cause"] or 2)
        return None
    found = check(root, state["pending"])
    if found is None or found["digest"] != state["digest"]:
        roll_back(root, state, 3)
        return None
    state["tries"] = tries + 1
    write(root, state)
    return found


def _settled(root, state, other_first):
    """Return (slot, manifest) to run when nothing is on trial: the active slot, or what else still works.

    The other slot is an older image that was confirmed once, or at worst one that failed its trial: for a node in
    the field any image that can fetch the next update is better than none. The same goes for an active one that does
    not prove itself however often it is started: then they take turns (`other_first`).
    """
    slots = (state["active"], "b" if state["active"] == "a" else "a")
    for slot in reversed(slots) if other_first else slots:
        found = check(root, slot)
        if found:
            return slot, found
    return None, None


def select(root):
    """Choose the slot, make it the only place besides frozen modules to import from, and return `info`.

    `root`: mount point of the flash ("" on a board). `info`: {"root", "slot", "path", "version", "sequence",
    "digest", "pending": on trial, "tries", "rolled_back": why the last trial failed or None, "fault": why the active
    slot is not the one that runs, or None, "selector": this module} and what bootsafe.count() returns ("safe", "why"
    ..); None when no slot is fit, then start() does not return.
    """
    global info, wait_s
    import bootsafe

    wait_s = _UNKNOWN_S
    state = read(root)
    hung = bootsafe.ended()[1]
    slot = state["pending"]
    found = None
    if slot:
        try:
            found = _trial(root, state, hung)
        except OSError:
            pass  # flash cannot be written: a trial that cannot be counted must not begin
    trial = found is not None
    pause_s, turn, facts = bootsafe.count(root, state, trial, slot is not None)
    if not trial:
        slot, found = _settled(root, state, turn)
    if found is None:
        info = None
        wait_s = max(pause_s, bootsafe.FIRST_S)
        return None
    wait_s = pause_s
    path = "%s/%s" % (root, slot)
    sys.path[:] = [path, ".frozen"]
    info = {
        "root": root, "slot": slot, "path": path, "version": found["version"], "sequence": found["sequence"],
        "digest": found["digest"], "pending": trial, "tries": state["tries"],
        "rolled_back": REASONS[state["result"]] if 1 < state["result"] < len(REASONS) else None,
        "fault": None if trial or slot == state["active"] else _faults.get(state["active"]) or facts["died"],
        "selector": sys.modules[__name__],
    }  # fmt: skip
    info.update(facts)
    return info


def start():
    """Return `info` of the chosen slot, after a pause if the starts before went badly (bootsafe.py), with the watchdog
    running. With no slot that is fit say why, pause, and reset: a read error may pass. Ctrl-C ends a pause, and with it
    main.py, in the prompt."""
    import bootsafe

    if info is None:
        print("godwit: no slot can start:", "; ".join("%s: %s" % (s, _faults.get(s)) for s in SLOTS))
    bootsafe.pause(wait_s)
    if info is None:
        bootsafe.reset()
    bootsafe.guard()
    return info
