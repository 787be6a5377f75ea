"""Whole images for boards with ESP32 app partitions: what `godwit bundle --image` accepts. Called by release.py.

Format: "App Image Format" of ESP-IDF's API reference. The same is asked here as the node and its bootloader will ask
(lib/fota/partition.py shares no code with this), so that a release is refused at the desk and not in the field.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import operator
import struct
from pathlib import Path

from .bundle import BundleError
from .places import REPO

NAME = "image.bin"  # of the one row in the manifest's file table
COMPONENT = "image"
FEATURE = "partitions"  # of a board that takes one
CHIPS = {0: "esp32", 2: "esp32s2", 5: "esp32c3", 9: "esp32s3", 12: "esp32c2", 13: "esp32c6", 16: "esp32h2"}
_HEADER = struct.Struct("<BBBBIB3xHBHH4xB")
_SEGMENT = struct.Struct("<II")
_DESCRIPTION = struct.Struct("<I12x32s32s")  # magic, version, project name; at the start of the first segment
_DESCRIBED = 0xABCD5432
_SEGMENTS_MAX = 16
_SEED = 0xEF
_DIGEST = 32
_SIZE_MAX = (8192 - 256) // 16 * 4096  # its block hashes must fit the manifest


@dataclasses.dataclass(frozen=True)
class AppImage:
    """What an image says about itself."""

    chip: str
    project: str
    version: str
    segments: int


def parse(image: bytes) -> AppImage:
    """-> what the image says; BundleError when the bootloader or a node would not take it."""
    if len(image) < _HEADER.size or image[0] != 0xE9:
        raise BundleError("not an ESP32 app image (it does not begin with E9)")
    _, count, _, _, _, _, chip, _, _, _, appended = _HEADER.unpack_from(image)
    if not appended:
        raise BundleError("the image has no SHA-256 at its end: build it with one, the node knows it by that")
    at, checksum = _segments(image, count)
    end = at // 16 * 16 + 16
    if len(image) != end + _DIGEST:
        raise BundleError(f"the image is {len(image)} bytes, its header says {end + _DIGEST}")
    if image[end - 1] != checksum:
        raise BundleError("the image's checksum is wrong")
    if hashlib.sha256(image[:end]).digest() != image[end:]:
        raise BundleError("the image's SHA-256 is wrong")
    magic, version, project = _DESCRIPTION.unpack_from(image, _HEADER.size + _SEGMENT.size)
    if magic != _DESCRIBED:
        raise BundleError("the image has no application description (a bootloader?)")
    if len(image) > _SIZE_MAX:
        raise BundleError(f"the image is {len(image)} bytes, a manifest has room for {_SIZE_MAX}")
    return AppImage(CHIPS.get(chip, f"chip {chip}"), _text(project), _text(version), count)


def _segments(image: bytes, count: int) -> tuple[int, int]:
    """-> (where the last segment ends, checksum over all of them)."""
    if not 0 < count <= _SEGMENTS_MAX:
        raise BundleError(f"an image of {count} segments: 1 to {_SEGMENTS_MAX}")
    at, checksum = _HEADER.size, _SEED
    for _ in range(count):
        if at + _SEGMENT.size > len(image):
            raise BundleError("the image is cut short")
        _, size = _SEGMENT.unpack_from(image, at)
        at += _SEGMENT.size
        if size > len(image) - at:
            raise BundleError("the image is cut short")
        checksum = functools.reduce(operator.xor, image[at : at + size], checksum)
        at += size
    return at, checksum


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode("ascii", "replace")


def files(path: Path, board: str, repo: Path = REPO) -> tuple[dict[str, bytes], AppImage]:
    """-> ({name: content} for build_bundle, what the image says) of an image for `board`; BundleError, OSError."""
    about = json.loads((repo / "boards" / board / "board.json").read_text(encoding="utf-8"))
    if FEATURE not in about.get("features", ()):
        raise BundleError(f"board {board} takes no whole images: no feature {FEATURE!r} in its board.json")
    content = path.read_bytes()
    found = parse(content)
    if found.chip != about.get("mcu"):
        raise BundleError(f"the image is for {found.chip}, board {board} is {about.get('mcu')}")
    return {NAME: content}, found
