"""What the update tests share: a small disk that survives "reboots", and a bundle maker that can make bad ones.

The maker has its own CBOR and its own signing (with the throw-away key in tests/data/fota_rsa.json), so that it
shares nothing with lib/fota but the format. On MicroPython the disk is littlefs2 on a simulated chip, on CPython a
temporary folder. RAM: the chip, 4 KB a block; as much for a cut; used blocks again for each saved state.
"""

import asyncio
import gc
import json
import os
import struct
import sys
import unittest
from binascii import crc32
from hashlib import sha256

MICROPYTHON = sys.implementation.name == "micropython"
BLOCK = 4096
CLASS = "test-node"


def data_file(name):
    """Content of a file in tests/data."""
    folder = __file__.replace("\\", "/").rpartition("/")[0]
    with open((folder or ".") + "/../data/" + name, "rb") as f:
        return f.read()


class Disk:
    """A file system of `blocks` blocks at `root`; `chip` is its FlashSim (None on CPython)."""

    def __init__(self, blocks=40):
        self.chip = None
        self._temporary = None
        if MICROPYTHON:
            import vfs

            from harness.flashsim import FlashSim

            self._vfs = vfs
            self.root = "/disk"
            self.chip = FlashSim(blocks)
            vfs.VfsLfs2.mkfs(self.chip)
            self.mount()
        else:
            import tempfile

            self._temporary = tempfile.TemporaryDirectory()
            self.root = self._temporary.name

    def mount(self):
        self._vfs.mount(self._vfs.VfsLfs2(self.chip, mtime=False), self.root)

    def reboot(self):
        """Forget everything that is not on the chip."""
        if MICROPYTHON:
            self._vfs.umount(self.root)
            self.mount()

    def close(self):
        if MICROPYTHON:
            self._vfs.umount(self.root)
            self.chip = None
            gc.collect()
        else:
            self._temporary.cleanup()

    def put(self, path, content):
        """Write a file, making its folders."""
        parts = path.split("/")
        for i in range(1, len(parts)):
            try:
                os.mkdir(self.root + "/" + "/".join(parts[:i]))
            except OSError:
                pass
        with open(self.root + "/" + path, "wb") as f:
            f.write(content)

    def get(self, path):
        with open(self.root + "/" + path, "rb") as f:
            return f.read()

    def has(self, path):
        try:
            os.stat(self.root + "/" + path)
        except OSError:
            return False
        return True

    def flip(self, path, at, mask=1):
        """Flip bits of one byte of a file."""
        content = bytearray(self.get(path))
        content[at] ^= mask
        self.put(path, content)


class Key:
    """A test key, "quick" or "next": RSA-3072 of twelve primes: MicroPython signs in 10 ms. The salt is fixed."""

    def __init__(self, name="quick"):
        numbers = json.loads(data_file("fota_rsa.json"))[name]
        self.modulus = bytes.fromhex(numbers["n"])
        self.id = sha256(self.modulus).digest()[:8]
        n = int(numbers["n"], 16)
        self._n = n
        self._parts = []  # Chinese remainder theorem: (prime, private exponent, what its residue is multiplied by)
        for text in numbers["primes"]:
            p = int(text, 16)
            # d = (1 + k (p - 1)) / e: k so that it divides; e = 65537 is a prime, so k = -1 / (p - 1) modulo e
            d = (1 + (p - 1) * (65537 - pow((p - 1) % 65537, 65535, 65537))) // 65537
            self._parts.append((p, d, n // p * pow(n // p % p, p - 2, p)))

    def power(self, m):
        """m ** d mod n, the private operation, as 384 bytes."""
        return (sum(pow(m % p, d, p) * one for p, d, one in self._parts) % self._n).to_bytes(384, "big")

    def sign(self, message, salt=b"\x55" * 32):
        size = 384 - 33
        h = sha256(bytes(8) + sha256(message).digest() + salt).digest()
        db = bytearray(size - 33) + b"\x01" + salt
        for i in range(size):
            if not i % 32:
                mask = sha256(h + struct.pack(">I", i // 32)).digest()
            db[i] ^= mask[i % 32]
        db[0] &= 0x7F
        return self.power(int.from_bytes(bytes(db) + h + b"\xbc", "big"))


KEY = Key()


def cbor(x):
    """Minimal CBOR of int >= 0, bytes, str, list and a dict given as a list of pairs in a tuple."""
    if isinstance(x, int):
        return _head(0, x)
    if isinstance(x, (bytes, bytearray)):
        return _head(2, len(x)) + bytes(x)
    if isinstance(x, str):
        return _head(3, len(x.encode())) + x.encode()
    if isinstance(x, list):
        return _head(4, len(x)) + b"".join(cbor(i) for i in x)
    return _head(5, len(x)) + b"".join(cbor(k) + cbor(v) for k, v in x)


def _head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    for info, form, limit in ((24, ">B", 1 << 8), (25, ">H", 1 << 16), (26, ">I", 1 << 32), (27, ">Q", 1 << 64)):
        if n < limit:
            return bytes([major << 5 | info]) + struct.pack(form, n)
    raise ValueError(n)


def fields(files, version="1.1.0", sequence=2, payload=None):
    """The manifest's fields for `files` ([(path, content)]) as {key: value}; `payload`: them, deflated."""
    flags = 0 if payload is None else 2
    payload = b"".join(content for _, content in files) if payload is None else payload
    blocks = [sha256(payload[i : i + BLOCK]).digest()[:16] for i in range(0, len(payload), BLOCK)]
    return {
        1: 1, 2: sequence, 3: version, 4: CLASS, 5: 0, 6: "app", 7: len(payload), 8: sha256(payload).digest(),
        9: BLOCK, 10: b"".join(blocks), 11: [[p, len(c), sha256(c).digest()[:16]] for p, c in files], 12: flags,
        13: KEY.id,
    }  # fmt: skip


def manifest_bytes(values):
    return cbor(tuple((k, values[k]) for k in sorted(values)))


def seal(manifest, payload, signature=None, **header):
    """A bundle around manifest bytes; `header` overrides magic, size, sig, msize, offset, psize, digest, key, crc."""
    if signature is None:
        signature = KEY.sign(manifest)
    offset = (64 + len(manifest) + 384 + 1023) // 1024 * 1024
    h = {
        "magic": b"GWB1", "size": 64, "sig": 384, "msize": len(manifest), "offset": offset, "psize": len(payload),
        "digest": sha256(manifest).digest(), "key": KEY.id,
    }  # fmt: skip
    h.update(header)
    order = ("magic", "size", "sig", "msize", "offset", "psize", "digest", "key")
    raw = struct.pack("<4sHHIII32s8s", *[h[k] for k in order])
    raw += struct.pack("<I", h.get("crc", crc32(raw) & 0xFFFFFFFF))
    head = raw + manifest + signature
    return head + bytes(max(0, offset - len(head))) + payload


def bundle(files, version="1.1.0", sequence=2, payload=None, **changes):
    """A good bundle, or one whose signed manifest has other `changes` (k7=0 sets field 7); `payload`: the files as one
    raw deflate stream, which is announced then."""
    values = fields(files, version, sequence, payload)
    for name, value in changes.items():
        values[int(name[1:])] = value
    return seal(manifest_bytes(values), b"".join(content for _, content in files) if payload is None else payload)


def install_by_cable(disk, slot, image, files):
    """What the factory does: files and MANIFEST into a slot."""
    for path, content in files:
        disk.put(slot + "/" + path, content)
    size = struct.unpack_from("<I", image, 8)[0]
    disk.put(slot + "/MANIFEST", image[: 64 + size + 384])


def code(name, size):
    """Something that looks like a .mpy file of bytecode, `size` bytes, different for each name."""
    seed = sha256(name.encode()).digest()
    return (b"M\x06\x00\x1f" + seed * (size // 32 + 1))[:size]


class Source:
    """Serves a bundle to Fetch: counts what is read, can break the link, and can change in between."""

    def __init__(self, image):
        self.image = image
        self.read_bytes = 0
        self.reads = []
        self.fail_at = None  # OSError when a read would pass this offset
        self.chunk = 0  # at most so many bytes at a time

    async def read(self, offset, view):
        n = min(len(view), self.chunk or len(view), max(0, len(self.image) - offset))
        if self.fail_at is not None and offset + n > self.fail_at:
            raise OSError(110)
        view[:n] = self.image[offset : offset + n]
        self.read_bytes += n
        if len(self.reads) < 200:  # a test that reads byte by byte does not look at them
            self.reads.append((offset, n))
        return n


def run(coro):
    """Run a coroutine on a fresh loop, without the time limit of harness.aio: thousands of runs in a campaign."""
    if MICROPYTHON:
        asyncio.new_event_loop()
    return asyncio.run(coro)


class NodeTest(unittest.TestCase):
    """A test on a disk that left the factory with `files` (of `image`) in slot a; sys.path is put back after it."""

    files = image = None

    def setUp(self):
        self.disk = Disk()
        self.root = self.disk.root
        self._path = list(sys.path)
        install_by_cable(self.disk, "a", self.image, self.files)

    def tearDown(self):
        sys.path[:] = self._path
        self.disk.close()
