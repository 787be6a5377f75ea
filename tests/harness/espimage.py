"""Images in Espressif's app image format: a maker of valid ones, and the check that the bootloader makes.

Layout, from "App Image Format" of ESP-IDF's API reference: 24 bytes of header (magic 0xE9, number of segments, entry
point, chip id at 12, 1 at 23 when a SHA-256 is appended), segments of load address, length and data, zeros up to the
last byte of a 16-byte row, which is 0xEF and all segment data XORed, SHA-256 of all that. The first segment begins
with the application description (magic 0xABCD5432, version at 16, project name at 48). Shares nothing with lib/fota
or tools/godwit; esptool agrees with what it makes (tests/integration/test_bundle_image.py).
"""

import struct
from hashlib import sha256

ESP32, ESP32S3 = 0, 9
_DROM, _IRAM = 0x3F400020, 0x40080000  # load addresses of the ESP32
_verdicts = {}  # SHA-256 of an image -> is its checksum right: the XOR is slow, and there are few images


def _field(text):
    return text.encode() + bytes(32 - len(text))


def description(version, project):
    """The 256 bytes of an application description."""
    head = struct.pack("<IIII", 0xABCD5432, 0, 0, 0) + _field(version) + _field(project)
    return head + bytes(256 - len(head))


def make(version, size, project="godwit", chip=ESP32, appended=1, entry=_IRAM):
    """A valid image of about `size` bytes (a multiple of 16, and 32 more), its content derived from `version`."""
    seed = sha256(version.encode()).digest()
    code = (seed * (size // 32 + 1))[: size - 336]
    rodata = description(version, project)
    out = struct.pack("<BBBBI", 0xE9, 2, 2, 0, entry) + struct.pack("<BBBBH", 0xEE, 0, 0, 0, chip)
    out += bytes(9) + bytes([appended])
    for address, data in ((_DROM, rodata), (_IRAM, code)):
        out += struct.pack("<II", address, len(data)) + data
    out += bytes(15 - len(out) % 16) + bytes([_checksum(rodata) ^ _checksum(code) ^ 0xEF])
    return out + sha256(out).digest() if appended else out


def _checksum(data):
    """All bytes XORed, by folding one long number."""
    n = int.from_bytes(data, "little")
    size = 1
    while size < len(data):
        size *= 2
    while size > 1:
        size //= 2
        n = (n >> 8 * size) ^ (n & ((1 << 8 * size) - 1))
    return n


def is_valid(read, limit):
    """What the bootloader checks: structure, checksum, SHA-256. `read(at, n)` -> bytes; `limit`: of the partition."""
    head = read(0, 24)
    if head[0] != 0xE9 or not 0 < head[1] <= 16 or head[23] != 1:
        return False
    at = 24
    segments = []
    for _ in range(head[1]):
        if at + 8 > limit:
            return False
        length = struct.unpack_from("<I", read(at, 8), 4)[0]
        at += 8
        if length > limit - at:
            return False
        segments.append((at, length))
        at += length
    end = at // 16 * 16 + 16  # the checksum is the last byte of its row
    if end + 32 > limit:
        return False
    digest = sha256(read(0, end)).digest()
    if digest != read(end, 32):
        return False
    if digest not in _verdicts:
        total = 0xEF
        for at, length in segments:
            total ^= _checksum(read(at, length))
        _verdicts[digest] = total == read(end - 1, 1)[0]
    return _verdicts[digest]
