"""Firmware packages: the zip file that the service takes, checked before it is sent (nrfcloud.md 14.2).

Rules of manifest.json: fwversion `[a-zA-Z0-9._-]{1,60}`, format-version 1, files that end in .bin, all of one type
(an init_packet beside them for Bluetooth LE), sizes that are true. Zephyr's dfu_application.zip lacks fwversion:
`with_version` puts it in.
"""

import io
import json
import re
import urllib.parse
import zipfile
import zlib
from pathlib import Path

from .errors import CloudError

_VERSION = re.compile(r"[a-zA-Z0-9._-]{1,60}")
_TYPES = ("application", "mcuboot", "bootloader", "softdevice", "init_packet")
_MAX_MANIFEST = 65536
_BAD = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError, ValueError)


def read(path, version=None, name=None):
    """(zip bytes, manifest) of a package file; `version` and `name` replace those of its manifest. CloudError."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CloudError(f"{path}: {error.strerror}") from error
    if data[:4] == b"GWB1":
        raise CloudError(f"{path}: a bare bundle; the service takes what `godwit bundle --zip` makes of it")
    if not data.startswith(b"PK"):
        raise CloudError(f"{path}: not a zip file")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            manifest = _manifest(archive, path)
            given = {"fwversion": version, "name": name}
            changes = {key: value for key, value in given.items() if value is not None}
            manifest.update(changes)
            _check(archive, manifest, path)
            return (_rewritten(archive, manifest) if changes else data), manifest
    except _BAD as error:
        raise CloudError(f"{path}: a damaged zip file: {error}") from error


def bundle_id(uris):
    """The bundleId in the answer of an upload: the `TYPE*hash*version` segment, or the uuid that comes first."""
    uri = uris[0] if isinstance(uris, list) and uris else ""
    parts = [urllib.parse.unquote(one) for one in urllib.parse.urlsplit(str(uri)).path.split("/") if one]
    for one in parts:
        if "*" in one:
            return one
    if not parts:
        raise CloudError("the service answered the upload without a place of the files")
    return parts[0]


def _manifest(archive, path):
    try:
        info = archive.getinfo("manifest.json")
    except KeyError as error:
        raise CloudError(f"{path}: no manifest.json in it") from error
    if info.file_size > _MAX_MANIFEST:
        raise CloudError(f"{path}: manifest.json of {info.file_size} bytes")
    try:
        manifest = json.loads(archive.read(info))
    except (ValueError, RecursionError) as error:
        raise CloudError(f"{path}: manifest.json is no JSON: {error}") from error
    if not isinstance(manifest, dict):
        raise CloudError(f"{path}: manifest.json is no object")
    return manifest


def _check(archive, manifest, path):
    version = manifest.get("fwversion")
    if version is None:
        raise CloudError(f"{path}: manifest.json has no fwversion (Zephyr leaves it out): give --version")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise CloudError(f"{path}: fwversion {version!r}: 1 to 60 of a-z A-Z 0-9 . _ -")
    files = manifest.get("files")
    if not isinstance(files, list) or not files or not all(isinstance(entry, dict) for entry in files):
        raise CloudError(f"{path}: manifest.json has no files")
    for entry in files:
        _check_file(archive, entry, path)
    kinds = {entry.get("type") for entry in files} - {"init_packet"}
    if len(kinds) != 1:
        raise CloudError(f"{path}: files of different types: {', '.join(sorted(map(str, kinds)))}")


def _check_file(archive, entry, path):
    name = entry.get("file")
    if not isinstance(name, str) or not name.endswith(".bin"):
        raise CloudError(f"{path}: {name!r}: the service takes files that end in .bin")
    if entry.get("type") not in _TYPES:
        raise CloudError(f"{path}: {name}: type {entry.get('type')!r} is not one of {', '.join(_TYPES)}")
    if name not in archive.namelist():
        raise CloudError(f"{path}: {name} is in the manifest, not in the zip")
    size = archive.getinfo(name).file_size
    if entry.get("size") != size:
        raise CloudError(f"{path}: {name} has {size} bytes, {entry.get('size')} by the manifest")


def _rewritten(archive, manifest):
    """The same zip with another manifest; dates stay, so that the same input gives the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as copy:
        for info in archive.infolist():
            text = json.dumps(manifest, indent=2).encode() if info.filename == "manifest.json" else archive.read(info)
            copy.writestr(zipfile.ZipInfo(info.filename, info.date_time), text, zipfile.ZIP_DEFLATED)
    return out.getvalue()
