"""How a download begins: the head of the bundle, from flash when it is the same job's, else from the cloud, judged
before anything else of the image is fetched. fetch.py loads it for that and goes on without it.

RAM: the manifest (50 bytes a file), and 12 KB of garbage while its signature is checked.
"""

import os

from micropython import const

import store
from fota import ManifestError
from fota.image import HEADER_SIZE, MANIFEST_MAX, flash, parse_header
from fota.space import discard

_KEY_SIZE = const(384)


async def begin(fetch):
    """Return (Header, Manifest) of the image that `fetch` (fetch.Fetch) is to complete."""
    stored = _stored(fetch)
    if stored and _stored_job(fetch) == fetch.job and stored[0].total == fetch.size:
        return stored
    await fetch.settled()
    header = await fetch_header(fetch)
    if stored and header.raw == stored[0].raw:
        flash(store.write_bytes, fetch.folder + "/job", fetch.job)  # a new job for the same image: keep the blocks
        return stored
    return header, await _fetch_manifest(fetch, header)


def _stored(fetch):
    """Return (Header, Manifest) kept on flash, or None; what is unusable or no longer acceptable is removed."""
    try:
        raw = _read_head(fetch)
        if raw is None:
            return None
        header = parse_header(raw)
        return header, _accept(fetch, header, raw[HEADER_SIZE :])
    except (OSError, store.StoreError, ManifestError):
        flash(discard, fetch.root)
    return None


def _read_head(fetch):
    """Return what `head` holds as a memoryview, in the buffer when it fits; None when there is none."""
    try:
        f = open(fetch.folder + "/head", "rb")
    except OSError:
        return None
    buf = fetch.buf
    try:
        n = f.readinto(buf)
        more = f.read(MANIFEST_MAX) if n == len(buf) else b""
    finally:
        f.close()
    return memoryview(bytes(buf) + more) if more else buf[:n]


def _stored_job(fetch):
    try:
        return store.read_bytes(fetch.folder + "/job")
    except (OSError, store.StoreError):
        return None


def _accept(fetch, header, body):
    """Return the Manifest when signature and terms allow it; ManifestError otherwise. What has brought it in is
    forgotten before the code that judges it is loaded."""
    fetch.settle()
    from fota import manifest as mf

    keys = fetch.keys
    manifest = mf.load(header, body, [keys[i : i + _KEY_SIZE] for i in range(0, len(keys), _KEY_SIZE)])
    mf.check(manifest, *fetch.terms)
    return manifest


async def fetch_header(fetch):
    """Return the Header that the source holds now; ManifestError "size" when it is not what the job says."""
    view = fetch.buf[: HEADER_SIZE]
    await fetch.fill(0, view)
    header = parse_header(view)
    if header.total != fetch.size:
        raise ManifestError("size", header.total)
    return header


async def _fetch_manifest(fetch, header):
    """Fetch and judge the manifest, make room, and keep it: from here on the image is the one to have."""
    size = header.head_size
    head = fetch.buf[:size] if size <= len(fetch.buf) else memoryview(bytearray(size))
    head[: HEADER_SIZE] = header.raw
    body = head[HEADER_SIZE :]
    await fetch.fill(HEADER_SIZE, body)
    manifest = _accept(fetch, header, body)
    if fetch.room:
        flash(fetch.room, manifest)
    flash(discard, fetch.root)
    flash(os.mkdir, fetch.folder)
    flash(store.write_bytes, fetch.folder + "/head", head)
    flash(store.write_bytes, fetch.folder + "/job", fetch.job)
    return manifest
