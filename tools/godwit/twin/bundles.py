"""Firmware bundles: a zip with manifest.json in, files under firmware.nrfcloud.com out (facts 14.2).

The manifest's rules are the service's own: fwversion, format-version 1, files ending in .bin, all of one
type, sizes that are true. The bundle id has the form TYPE*random*version.
Called by rest_fota.py (upload, list, delete), fota.py (what a job points at) and proxy.py (bytes).
"""

import base64
import binascii
import io
import os
import re
import zipfile
import zlib

from . import payload
from .errors import NOT_FOUND, ApiError, invalid, not_found
from .store import dumps, iso, loads

HOST = "firmware.nrfcloud.com"
MAX_ZIP = 16 << 20
MAX_TEXT = 1333333  # characters of base64
_MAX_FILE = 16 << 20
_MAX_FILES = 8
_VERSION = re.compile(r"[a-zA-Z0-9._-]{1,60}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}\.bin")
# manifest type: type of the job; init_packet and softdevice are for Bluetooth LE devices
_TYPES = {"application": "APP", "mcuboot": "BOOT", "bootloader": "BOOTLOADER", "softdevice": "SOFTDEVICE"}


class Bundles:
    """The bundle and file tables."""

    def __init__(self, store):
        self._store = store

    def upload(self, body):
        """Store a bundle (zip bytes, or their base64 text); returns its URIs. Raises ApiError 400/413/422."""
        archive = _open_zip(body)
        manifest = _manifest(archive)
        kind = _TYPES[manifest["files"][0]["type"]]
        version = manifest["fwversion"]
        bundle = f"{kind}*{os.urandom(4).hex()}*{version}"
        paths, total = [], 0
        with self._store.transaction():
            for entry in manifest["files"]:
                data = _read(archive, entry["file"], entry["size"])
                path = f"{self._store.tenant}/{bundle}/{entry['file']}"
                self._store.insert("file", host=HOST, path=path, bundle=bundle, data=data)
                paths.append(path)
                total += len(data)
            self._store.insert(
                "bundle", id=bundle, name=manifest.get("name", entry["file"]),
                description=manifest.get("description", ""), version=version, type=kind,
                filenames=dumps([entry["file"] for entry in manifest["files"]]), size=total,
                modified_at=self._store.now_ms(),
            )  # fmt: skip
        return [f"https://{HOST}/{path}" for path in paths]

    def get(self, bundle):
        """The row of a bundle. Raises ApiError 404."""
        row = self._store.one("SELECT * FROM bundle WHERE id = ?", bundle)
        if row is None:
            raise not_found(f"bundle {bundle} not found", NOT_FOUND)
        return row

    def delete(self, bundle):
        """Delete a bundle and its files. Raises ApiError 404."""
        self.get(bundle)
        self._store.run("DELETE FROM file WHERE bundle = ?", bundle)
        self._store.run("DELETE FROM bundle WHERE id = ?", bundle)

    def job_document(self, bundle):
        """What a device is told of a bundle: host, path (two files separated by a space), type, size, version."""
        row = self.get(bundle)
        paths = [f"{self._store.tenant}/{bundle}/{name}" for name in loads(row["filenames"])]
        return {
            "path": " ".join(paths),
            "host": HOST,
            "firmwareType": row["type"],
            "fileSize": row["size"],
            "version": row["version"],
        }

    def size(self, host, path):
        """Length of an origin file in bytes, or None."""
        return self._store.value("SELECT length(data) FROM file WHERE host = ? AND path = ?", host, path)

    def read(self, host, path, offset, size):
        """Part of an origin file."""
        sql = "SELECT substr(data, ?, ?) FROM file WHERE host = ? AND path = ?"
        return self._store.value(sql, offset + 1, size, host, path)


def bundle_document(row):
    """The REST view of a bundle row."""
    return {
        "name": row["name"],
        "description": row["description"],
        "version": row["version"],
        "type": row["type"],
        "bundleId": row["id"],
        "filenames": loads(row["filenames"]),
        "size": row["size"],
        "lastModified": iso(row["modified_at"]),
    }


def _open_zip(body):
    if not body.startswith(b"PK"):
        try:
            body = base64.b64decode(b"".join(body.split()), validate=True)
        except (binascii.Error, ValueError) as exc:
            raise ApiError(400, 40000, "neither a zip file nor base64 of one") from exc
    try:
        return zipfile.ZipFile(io.BytesIO(body))
    except (zipfile.BadZipFile, ValueError, EOFError, OSError) as exc:
        raise ApiError(400, 40000, f"bad zip file: {exc}") from exc


def _read(archive, name, size):
    """One member of exactly `size` bytes; a claim is checked before anything is unpacked."""
    try:
        info = archive.getinfo(name)
        if info.file_size != size or size > _MAX_FILE:
            raise invalid(f"{name}: {info.file_size} bytes in the zip, {size} in the manifest")
        with archive.open(info) as file:
            data = file.read(size + 1)
    except KeyError as exc:
        raise invalid(f"{name} is not in the zip") from exc
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError) as exc:
        raise ApiError(400, 40000, f"bad zip file: {exc}") from exc
    if len(data) != size:
        raise invalid(f"{name} is not {size} bytes")
    return data


def _manifest(archive):
    try:
        size = archive.getinfo("manifest.json").file_size
    except KeyError as exc:
        raise invalid("manifest.json is missing") from exc
    if size > 65536:
        raise invalid("manifest.json is too large")
    manifest = payload.load_json(_read(archive, "manifest.json", size))
    if not isinstance(manifest, dict):
        raise invalid("manifest.json is not an object")
    version = manifest.get("fwversion")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise invalid("manifest: fwversion is missing or not valid")
    if not payload.is_int(manifest.get("format-version")) or manifest["format-version"] != 1:
        raise invalid("manifest: format-version must be 1")
    if not all(isinstance(manifest.get(name, ""), str) for name in ("name", "description")):
        raise invalid("manifest: name and description are text")
    _check_files(manifest.get("files"))
    return manifest


def _check_files(files):
    if not isinstance(files, list) or not 1 <= len(files) <= _MAX_FILES:
        raise invalid("manifest: files is an array of 1..8 objects")
    for entry in files:
        if not isinstance(entry, dict) or not isinstance(entry.get("file"), str) or not _FILE.fullmatch(entry["file"]):
            raise invalid("manifest: file must be a name that ends in .bin")
        if not isinstance(entry.get("type"), str) or entry["type"] not in _TYPES:
            raise invalid("manifest: type not valid")
        if not payload.is_int(entry.get("size")) or entry["size"] < 1:
            raise invalid("manifest: size is missing")
    if len({entry["type"] for entry in files}) > 1 or len({entry["file"] for entry in files}) < len(files):
        raise invalid("manifest: files must be of one type and have different names")
