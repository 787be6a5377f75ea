"""How a download begins: the head of the bundle, from flash when it is the same job's, else from the cloud, judged
before anything else of the image is fetched. fetch.py loads it for that and goes on without it.

A head of any size passes through the fetch's buffer into a file beside the download, and is read from there: what is
on flash of an earlier image goes only when the new manifest was accepted. RAM: garbage in small pieces while the
signature is opened; nothing that grows with the number of files.
"""

import os

from micropython import const

import store
from fota import FetchError, FotaError, ManifestError
from fota.image import BLOCK_SIZE, HEADER_SIZE, flash, parse_header
from fota.space import discard

_KEY_SIZE = const(384)
_TORN = ("length", "digest")  # what the pieces of two images give, too


async def begin(fetch):
    """Return (Header, Manifest) of the image that `fetch` (fetch.Fetch) is to complete."""
    stored = await _stored(fetch)
    if stored and _stored_job(fetch) == fetch.job and stored[0].total == fetch.size:
        return stored
    await fetch.settled()
    header = await fetch_header(fetch)
    if stored and header.raw == stored[0].raw:
        flash(store.write_bytes, fetch.folder + "/job", fetch.job)  # a new job for the same image: keep the blocks
        return stored
    return header, await _fetch_manifest(fetch, header)


async def _stored(fetch):
    """Return (Header, Manifest) kept on flash, or None; what is unusable or no longer acceptable is removed."""
    try:
        return await _judged(fetch, fetch.folder + "/head")
    except OSError:
        return None  # there is none
    except ManifestError:
        flash(discard, fetch.root)
    return None


async def _judged(fetch, path):
    """Return (Header, Manifest) of a head in a file, when signature and terms allow it; ManifestError, OSError. What
    has brought it in is forgotten before the code that judges it is loaded."""
    f = open(path, "rb")
    try:
        header = parse_header(f.read(HEADER_SIZE))
        fetch.settle()
        from fota import manifest as mf

        work = fetch.buf[: mf.WORK]
        keys = memoryview(fetch.keys)
        mf.unseal(header, f, [keys[i : i + _KEY_SIZE] for i in range(0, len(keys), _KEY_SIZE)], work)
        await fetch.settled()
        manifest = mf.load(header, f, work)
        mf.check(manifest, *fetch.terms)
        return header, manifest
    finally:
        f.close()


def _stored_job(fetch):
    try:
        return store.read_bytes(fetch.folder + "/job")
    except (OSError, store.StoreError):
        return None


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
    path = fetch.folder + ".new"
    f = flash(open, path, "wb")
    try:
        at = 0
        while at < header.head_size:
            view = fetch.buf[: min(header.head_size - at, BLOCK_SIZE)]
            await fetch.fill(at, view)
            flash(f.write, view)
            at += len(view)
    finally:
        flash(f.close)
    await fetch.settled()
    try:
        try:
            found, manifest = await _judged(fetch, path)
        except OSError as e:
            raise FetchError("flash", e.args[0]) from None
        if found.raw != header.raw:
            raise FetchError("unstable")  # replaced at the source between two requests: begin again
        if fetch.room:
            flash(fetch.room, manifest)
    except FotaError as e:
        flash(os.remove, path)
        if e.reason in _TORN and (await fetch_header(fetch)).raw != header.raw:
            raise FetchError("unstable") from None
        raise
    flash(discard, fetch.root)
    flash(os.mkdir, fetch.folder)
    flash(os.rename, path, fetch.folder + "/head")
    flash(store.write_bytes, fetch.folder + "/job", fetch.job)
    return manifest
