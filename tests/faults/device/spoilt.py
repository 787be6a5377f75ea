"""Images that a node must not take, and some that only look like it: row I1 of facts/fota.md 5.2, a function a family.

Each yields (name, make): `make()` gives a Fault when it is that case's turn, so that nothing is signed in vain. What is
only reached behind the signature is signed anew. The running image has sequence 2 and class CLASS.
"""

import struct
from hashlib import sha256

from faults import payloads
from harness import deflater
from harness.fota_kit import BLOCK, KEY, Key, bundle, cbor, fields, manifest_bytes, seal
from harness.rng import Rng

FILES = payloads.files("small", "new")
PLAIN = b"".join(content for _, content in FILES)
STREAM = deflater.stored(PLAIN[:4000], False) + deflater.stored(PLAIN[4000:8000], False) + deflater.stored(PLAIN[8000:])
GOOD = bundle(FILES, "1.3.0", 3)
DEFLATED = bundle(FILES, "1.3.0", 3, STREAM)
_HEAD = len(GOOD) - len(PLAIN)
_FINAL_HEAD = ("magic", "header", "length", "digest", "key", "signature", "fields", "field", "blocks", "files", "path",
               "size")  # fmt: skip


class Fault:
    """One image. `reasons`: what it may be refused with, () when it is as good as the good one; `size`: what the job
    says; `limit`: bytes of payload that may have been fetched; `detail`: of the refusal."""

    def __init__(self, image, reasons, size=None, limit=0, detail=None):
        self.image = image
        self.reasons = (reasons,) if isinstance(reasons, str) else reasons
        self.size = len(image) if size is None else size
        self.limit = limit
        self.detail = detail


def signed(values=None, payload=PLAIN, key=KEY, **changes):
    """A bundle around changed fields of the good one's manifest."""
    values = values or fields(FILES, "1.3.0", 3)
    for name, value in changes.items():
        values[int(name[1:])] = value
    raw = manifest_bytes(values)
    return seal(raw, payload, key.sign(raw))


def _change(image, at, new):
    return image[:at] + new + image[at + len(new) :]


def truncated(image, label):
    """Every 256 bytes; the job knows of it, or not."""
    for n in range(0, len(image), 256):
        limit = max(0, n - _HEAD)
        yield "%s-cut-%d" % (label, n), lambda n=n, limit=limit: Fault(image[:n], "short", len(image), limit)
        yield "%s-job-cut-%d" % (label, n), lambda n=n: Fault(image[:n], "short" if n < 64 else "size")


def flipped_head(image, label, step=1):
    """One bit of every byte of the header, and of every byte in `step` of manifest and signature; and of the padding,
    which nobody reads."""
    manifest = struct.unpack_from("<I", image, 8)[0]
    for at in range(_HEAD):
        if at < 64:
            reasons = ("magic", "header")
        elif at < 64 + manifest:
            reasons = "digest"
        else:
            reasons = "signature" if at < 64 + manifest + 384 else ()
        if at < 64 or not at % (step if reasons else 32):

            def make(at=at, reasons=reasons):
                return Fault(_change(image, at, bytes([image[at] ^ 1 << at * 5 % 8])), reasons, None, len(image))

            yield "%s-head-flip-%d" % (label, at), make


def header_fields():
    """Header fields that say something else, with a CRC that is right."""
    raw = manifest_bytes(fields(FILES, "1.3.0", 3))
    for name, value, reasons in (
        ("magic", b"GWB2", "magic"), ("size", 60, "header"), ("size", 0, "header"), ("sig", 256, "header"),
        ("msize", 0, "length"), ("msize", len(raw) - 1, ("digest", "length")), ("msize", len(raw) + 1,
        ("digest", "length")),
        ("msize", 8192, ("length", "size")), ("msize", 8193, "length"), ("msize", 0xFFFFFFFF, "length"),
        ("offset", 0, "length"), ("offset", 2048, "length"), ("offset", 0xFFFFFC00, "length"),
        ("psize", 0, "length"), ("psize", len(PLAIN) - 1, "size"), ("psize", len(PLAIN) + 1, "size"),
        ("psize", 0xFFFFFFFF, "size"), ("digest", bytes(32), "digest"), ("key", bytes(8), "key"),
        ("key", Key("next").id, "key"),
    ):  # fmt: skip

        def make(name=name, value=value, reasons=reasons):
            return Fault(seal(raw, PLAIN, None, **{name: value}), reasons)

        yield "header-%s-%s" % (name, value if isinstance(value, int) else value[:4]), make
        if name == "psize" and value:  # the job says the same
            total = _HEAD + value
            yield "job-psize-%d" % value, lambda value=value, total=total: Fault(
                seal(raw, PLAIN, None, psize=value), ("size", "length"), total
            )


def flipped_payload(image, label):
    """One bit in every 64 bytes of every block: refused in that block, and nothing behind it is fetched."""
    for at in range(_HEAD, len(image), 64):
        block = (at - _HEAD) // BLOCK

        def make(at=at, block=block):
            bad = _change(image, at, bytes([image[at] ^ 1 << at // 64 % 8]))
            return Fault(bad, "block", None, min(len(image) - _HEAD, (block + 1) * BLOCK), block)

        yield "%s-flip-%d" % (label, at), make


def moved(image, label):
    """More behind the end, blocks in another order, one block twice, everything a byte further."""
    for n in (1, 2, 255, 256, 1024, 4096, 10000):
        yield "%s-append-%d" % (label, n), lambda n=n: Fault(image + bytes(n), "size")
        yield "%s-append-unseen-%d" % (label, n), lambda n=n: Fault(image + bytes(n), (), len(image), len(image))
    whole = (len(image) - _HEAD) // BLOCK
    for i in range(whole):
        for j in range(whole):
            if i != j:

                def make(i=i, j=j, both=True):
                    a, b = _HEAD + i * BLOCK, _HEAD + j * BLOCK
                    bad = _change(image, a, image[b : b + BLOCK])
                    first = i
                    if both:
                        bad = _change(bad, b, image[a : a + BLOCK])
                        first = min(i, j)
                    return Fault(bad, "block", None, (first + 1) * BLOCK, first)

                yield "%s-block-%d-for-%d" % (label, j, i), lambda make=make: make(both=False)
                if i < j:
                    yield "%s-swap-%d-%d" % (label, i, j), make
    for n in (1, 16, 1024, -1, -16):
        payload = bytes(n) + image[_HEAD:-n] if n > 0 else image[_HEAD - n :] + bytes(-n)
        bad = image[:_HEAD] + payload
        yield "%s-shift-%d" % (label, n), lambda bad=bad: Fault(bad, "block", None, BLOCK, 0)


def policy():
    """Genuine, but not for this node, or not now."""
    for name, changes, reasons in (
        ("class", {"k4": "other-node"}, "class"), ("class-prefix", {"k4": "test-nod"}, "class"),
        ("class-longer", {"k4": "test-node2"}, "class"), ("component", {"k6": "modem"}, "component"),
        ("component-image", {"k6": "image"}, "component"), ("sequence-1", {"k2": 1}, "sequence"),
        ("sequence-2", {"k2": 2}, "sequence"), ("precursor", {"k2": 9, "k5": 3}, "precursor"),
        ("precursor-itself", {"k2": 9, "k5": 9}, "precursor"),
    ):  # fmt: skip
        yield "policy-" + name, lambda changes=changes, reasons=reasons: Fault(signed(None, **changes), reasons)
    old = payloads.files("small", "old")
    yield "replay-running", lambda: Fault(bundle(old, "1.2.0", 2), "sequence")
    yield "replay-older", lambda: Fault(bundle(old, "1.1.0", 1), "sequence")
    yield "same-version-new-digest", lambda: Fault(bundle(FILES, "1.2.0", 2), "sequence")
    yield "same-version-next-sequence", lambda: Fault(bundle(FILES, "1.2.0", 3), (), None, len(GOOD))
    yield "blacklisted", lambda: Fault(bundle(FILES, "6.6.6", 66), "blacklisted")
    yield "much-later", lambda: Fault(bundle(FILES, "9.9.9", 0xFFFFFFFF), (), None, len(GOOD))


def mixed():
    """Parts of several good bundles, and of a stranger's."""
    other = Key("next")
    raw = manifest_bytes(fields(FILES, "1.3.0", 3))
    size = len(raw)
    later = bundle(FILES, "1.4.0", 4)
    elsewhere = bundle(payloads.files("small", "old"), "1.4.0", 4)
    yield "signed-by-stranger", lambda: Fault(seal(raw, PLAIN, other.sign(raw)), "signature")
    yield "stranger-says-so", lambda: Fault(seal(raw, PLAIN, other.sign(raw), key=other.id), "key")

    def stranger():
        values = fields(FILES, "1.3.0", 3)
        values[13] = other.id
        strange = manifest_bytes(values)
        return Fault(seal(strange, PLAIN, other.sign(strange), key=other.id), "key")

    yield "all-of-a-stranger", stranger
    yield "key-of-manifest", lambda: Fault(signed(None, k13=other.id), "key")
    yield "other-signature", lambda: Fault(_change(GOOD, 64 + size, later[64 + size : 64 + size + 384]), "signature")
    yield "other-header", lambda: Fault(later[:64] + GOOD[64:], "digest")
    yield "other-manifest", lambda: Fault(GOOD[:64] + later[64 : 64 + size] + GOOD[64 + size :], "digest")
    yield "other-payload", lambda: Fault(GOOD[:_HEAD] + elsewhere[_HEAD:], "block", None, BLOCK, 0)
    yield "no-signature", lambda: Fault(seal(raw, PLAIN, bytes(384)), "signature")
    yield "signature-one", lambda: Fault(seal(raw, PLAIN, bytes(383) + b"\1"), "signature")
    yield "signature-n", lambda: Fault(seal(raw, PLAIN, KEY.modulus), "signature")
    yield "signature-ff", lambda: Fault(seal(raw, PLAIN, b"\xff" * 384), "signature")
    yield "salt-20", lambda: Fault(seal(raw, PLAIN, KEY.power(int.from_bytes(sha256(raw).digest(), "big"))),
    "signature")


def sizes():
    """Sizes that do not agree with each other, each signed."""
    blocks = fields(FILES)[10]
    for name, changes, reasons in (
        ("payload-0", {"k7": 0}, "field"), ("payload-less", {"k7": len(PLAIN) - 1}, ("files", "size")),
        ("payload-more", {"k7": len(PLAIN) + 1}, ("files", "size")), ("payload-huge", {"k7": 16777217}, "field"),
        ("sha-short", {"k8": bytes(31)}, "field"), ("block-size", {"k9": 2048}, "field"),
        ("block-size-0", {"k9": 0}, "field"), ("blocks-less", {"k10": blocks[:-16]}, "blocks"),
        ("blocks-more", {"k10": blocks + bytes(16)}, "blocks"), ("blocks-odd", {"k10": blocks + b"x"}, "blocks"),
        ("blocks-none", {"k10": b""}, "field"), ("no-files", {"k11": []}, "field"),
        ("too-many-files", {"k11": [["f%03d" % i, 1, bytes(16)] for i in range(193)]}, "field"),
        ("flags-4", {"k12": 4}, "field"), ("flags-huge", {"k12": 1 << 40}, "field"), ("format-2", {"k1": 2}, "field"),
        ("format-0", {"k1": 0}, "field"), ("sequence-0", {"k2": 0}, "field"), ("sequence-64", {"k2": 1 << 33}, "field"),
        ("version-empty", {"k3": ""}, "field"), ("version-path", {"k3": "../1"}, "field"),
        ("version-long", {"k3": "1" * 33}, "field"), ("key-short", {"k13": bytes(7)}, "field"),
    ):  # fmt: skip
        yield "size-" + name, lambda changes=changes, reasons=reasons: Fault(signed(None, **changes), reasons)
    for i in range(len(FILES)):
        for n in (-1, 1, None, 1 << 24, 1 << 31, 1 << 63):

            def make(i=i, n=n):
                values = fields(FILES, "1.3.0", 3)
                values[11][i][1] = 0 if n is None else values[11][i][1] + n
                return Fault(signed(values), "files")

            yield "file-%d-size-%s" % (i, n), make

        def lie(i=i):
            values = fields(FILES, "1.3.0", 3)
            values[11][i][2] = bytes(16)
            return Fault(signed(values), "payload", None, len(PLAIN))

        yield "file-%d-hash" % i, lie
    yield "sha-lies", lambda: Fault(signed(None, k8=bytes(32)), "payload", None, len(PLAIN))

    def last_block():
        return Fault(signed(None, k10=blocks[:-16] + bytes(16)), "block", None, len(PLAIN), len(blocks) // 16 - 1)

    yield "block-hash-lies", last_block


def paths():
    """Names that lead elsewhere, hide, or are there twice."""
    for i, path in enumerate((
        "../app.mpy", "a/../b", "..", ".", "/app.mpy", "a//b", "a/", "", ".hidden", "a/.b", "a/b/c/d",
        "App.mpy", "MANIFEST",
        "a b", "a\\b", "a\0b", "a\nb", "\u00e4", "-x", "x" * 49, "c:x", "f.tmp", "a/f.tmp", "boot.0\0", "~", "a/./b",
    )):  # fmt: skip
        yield "path-%d" % i, lambda path=path: Fault(signed(None, k11=[[path, len(PLAIN), bytes(16)]]), "path")
    n = len(PLAIN)
    for name, table in (
        ("twice", (("a", 1), ("a", n - 1))), ("unsorted", (("b", 1), ("a", n - 1))),
        ("file-and-folder", (("a", 1), ("a/b", n - 1))), ("hidden-between", (("a", 1), ("a-b", 1), ("a.b", 1),
        ("a/b", n - 3))),
        ("folder-and-file", (("a/b", 1), ("a/b/c", n - 1))),
    ):  # fmt: skip
        rows = [[path, size, bytes(16)] for path, size in table]
        yield "path-" + name, lambda rows=rows: Fault(signed(None, k11=rows), "path")
    for name, row, reason in (
        ("bytes", [b"a", n, bytes(16)], "path"), ("number", [5, n, bytes(16)], "path"), ("short", ["a", n], "files"),
        ("long", ["a", n, bytes(16), 0], "files"), ("hash-15", ["a", n, bytes(15)], "files"),
        ("hash-17", ["a", n, bytes(17)], "files"), ("text", ["a", "%d" % n, bytes(16)], "files"), ("none", [], "files"),
    ):  # fmt: skip
        yield "row-" + name, lambda row=row, reason=reason: Fault(signed(None, k11=[row]), reason)
    yield "row-is-none", lambda: Fault(signed(None, k11=[7]), "files")


def codes():
    """Files that this interpreter must not run."""
    for name, start, flags, reason in (
        ("mpy-5", b"M\x05\x00\x1f", 0, "mpy"), ("mpy-7", b"M\x07\x00\x1f", 0, "mpy"), ("no-mpy", b"\x7fELF", 0, "mpy"),
        ("text", b"import os", 0, "mpy"), ("short", b"M\x06\x00", 0, "mpy"), ("native", b"M\x06\x2c\x1f", 0, "native"),
        ("native-xtensa", b"M\x06\x28\x1f", 0, "native"), ("native-announced", b"M\x06\x2c\x1f", 1, ()),
    ):  # fmt: skip

        def make(start=start, flags=flags, reason=reason):
            files = [("app.mpy", FILES[0][1]), ("lib/x.mpy", start)]
            return Fault(bundle(files, "1.3.0", 3, k12=flags), reason, None, len(GOOD))

        yield "code-" + name, make


def streams():
    """Deflate streams that are none, too long, too short, or want more window than there is."""
    stored, stream, whole = deflater.stored, deflater.stream, [PLAIN]
    far = PLAIN[:32] + bytes(2017) + PLAIN[:32]
    far_stream = stream([PLAIN[:32], b"\0", (258, 1)] + [(254, 1)] * 6 + [(234, 1), (32, 2049)])
    for name, payload, files in (
        ("bomb", stream([b"M\x06\x00\x1f"] + [(258, 1)] * 2000), FILES),
        ("bomb-behind", stream(whole + [(258, 1)] * 500), FILES),
        ("endless-blocks", stored(PLAIN, False) + stored(b"", False) * 400, FILES),
        ("one-more", stream(whole + [b"x"]), FILES),
        ("window", far_stream, [("app.mpy", far)]), ("cut", STREAM[:-1], FILES), ("half", STREAM[:4200], FILES),
        ("no-end", stream(whole, end=False), FILES), ("garbage-behind", STREAM + b"garbage", FILES),
        ("second-stream", STREAM + STREAM, FILES), ("no-stream", PLAIN, FILES), ("reserved", b"\x07" * 100, FILES),
        ("empty", stored(b""), FILES), ("zlib", b"\x78\x9c" + STREAM, FILES), ("gzip",
        b"\x1f\x8b\x08\0" + STREAM, FILES),
        ("before-the-start", stream([PLAIN[:4], (258, 2000)] + whole), FILES),
        ("other-files", stored(bytes(reversed(PLAIN))), FILES), ("good", STREAM, FILES),
        ("literals", stream(whole), FILES),
    ):  # fmt: skip

        def make(name=name, payload=payload, files=files):
            reasons = () if name in ("good", "literals") else ("payload", "mpy")
            return Fault(bundle(files, "1.3.0", 3, payload), reasons, None, len(payload))

        yield "deflate-" + name, make
    yield "deflate-unannounced", lambda: Fault(signed(fields(FILES, "1.3.0", 3, STREAM), STREAM, k12=0),
    ("files", "size"))
    yield "deflate-flag-only", lambda: Fault(signed(None, k12=2), "payload", None, len(PLAIN))
    yield "deflate-image", lambda: Fault(signed(fields(FILES, "1.3.0", 3, STREAM), STREAM, k6="image"), "field")


def _odd_item(rng):
    """A CBOR item that has no business in a manifest, or too much of one."""
    return rng.choice((
        b"\xf6", b"\xf5", b"\x20", b"\xfb" + bytes(8), b"\xf9\x7e\x00", b"\x9f\xff", b"\x5f\x41a\xff",
        b"\x7f\xff", b"\xbf\xff",
        b"\x5b" + b"\xff" * 8, b"\x7b" + b"\xff" * 8, b"\x9b" + b"\xff" * 8, b"\x1b" + b"\xff" * 8, b"\x1f",
        b"\x1c", b"\xff",
        b"\xc2\x41\x01", b"\x81" * 200, b"\xa1" * 200, b"\x62\xff\xfe",
        b"\x5a\x00\x10\x00\x00", cbor(rng.bits(32)), b"", b"\x40", b"\x60",
    ))  # fmt: skip


def fuzzed(seed, count):
    """Manifests with random edits, signed anew, so that they are read; some edits are harmless."""
    parts = [cbor(key) for key in range(1, 14)]
    values = fields(FILES, "1.3.0", 3)
    parts = [(part, cbor(values[i + 1])) for i, part in enumerate(parts)]

    def make(n):
        rng = Rng(seed * 100003 + n)
        mine = list(parts)
        raw = None
        for _ in range(1 + rng.below(2)):
            kind = rng.below(6)
            i = rng.below(13)
            if kind == 0:
                mine[i] = (mine[i][0], _odd_item(rng))
            elif kind == 1:
                del mine[i % len(mine)]
            elif kind == 2:
                mine.insert(i % len(mine), mine[rng.below(len(mine))])
            elif kind == 3:
                mine[i % len(mine)] = (_odd_item(rng), mine[i % len(mine)][1])
            elif kind == 4:
                rng.shuffle(mine)
        raw = bytearray(b"\xad" + b"".join(key + value for key, value in mine))
        for _ in range(rng.below(4)):
            at = rng.below(len(raw))
            if rng.chance(50):
                raw[at] = rng.bits(8)
            else:
                raw = raw[:at] + rng.bytes(rng.below(5)) + raw[at + rng.below(5) :]
        return Fault(seal(bytes(raw), PLAIN, KEY.sign(bytes(raw))), None, None, len(GOOD))

    for n in range(count):
        yield "fuzz-%d-%d" % (seed, n), lambda n=n: make(n)


def cases(seed, fuzz, step=1):
    """Every (name, make). `step`: of the bytes of manifest and signature that are flipped."""
    for image, label in ((GOOD, "plain"), (DEFLATED, "deflated")):
        yield from flipped_head(image, label, step if image is GOOD else 5 * step)
        for family in (truncated, flipped_payload, moved):
            yield from family(image, label)
    for family in (header_fields, policy, mixed, sizes, paths, codes, streams):
        yield from family()
    yield from fuzzed(seed, fuzz)
