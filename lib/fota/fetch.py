"""Resumable download of a bundle: no byte before the signed manifest is accepted, no block before its hash matches.

There is no stored offset that could lie: after a reboot the blocks on flash are hashed again, and the first that
does not match is where the download goes on (facts/fota.md 2.2). Works over any `read(offset, view)`; the caller
retries link errors. Called by firmware/tasks/update.py. RAM: one 4096-byte buffer and 16 bytes per 4 KB of image; at
the start also the manifest (70 bytes a file) and 12 KB of garbage while its signature is checked.
"""

import os
from hashlib import sha256

from micropython import const

import store
from fota import FetchError, ManifestError
from fota import manifest as mf
from fota.space import discard, folder

_ENOSPC = const(28)
_KEY_SIZE = const(384)
_MAX_IMAGES = const(2)  # how often the image may change under us in one run


class Fetch:
    """One download into `<root>/dl`: files `head` (header, manifest, signature), `job` and `data` (the payload).

    `root`: mount point of the flash ("" on a board); `job`: str that names the cloud's job; `size`: bytes of the
    bundle as the job promises; `read(offset, view)`: coroutine that fills the memoryview from that offset of the
    bundle and returns how many bytes it put there; `keys`: RSA-3072 moduli one after the other, 384 bytes each;
    `device_class`, `floor`, `bad`: see Manifest.check; `progress(done, total)`: called per block, bytes of payload;
    `room(manifest)`: raises a FotaError when the image will not fit (Slots.room), before anything is deleted.

    `buf`: 4096 bytes or more to work in, made anew when None; large enough for the header, manifest and signature it
    saves a second piece of heap. `settle()` is called before the signature is checked, which takes much heap for a
    moment: what the application can free, it should free then.

    Attributes for the report: `resumed_at` (payload bytes that were already on flash), `fetched` (bytes read).
    """

    def __init__(self, root, job, size, read, keys, device_class, floor, progress=None, bad=(), room=None, buf=None,
                 settle=None):  # fmt: skip
        self._dir = folder(root)
        self._root = root
        self._job = job.encode()
        self._size = size
        self._read = read
        self._keys = [keys[i : i + _KEY_SIZE] for i in range(0, len(keys), _KEY_SIZE)]
        self._terms = (device_class, floor, bad)
        self._progress = progress
        self._room = room
        self._settle = settle
        self._buf = memoryview(bytearray(mf.BLOCK_SIZE) if buf is None else buf)
        self._view = self._buf[: mf.BLOCK_SIZE]
        self.resumed_at = 0
        self.fetched = 0

    async def run(self):
        """Download what is missing; returns the Manifest when `<root>/dl` is complete and verified.

        Raises FetchError (refused, damaged, flash failed), or whatever `read` raises for the link: then call run()
        again later, on this or a new object. Cancelling is a link error too.
        """
        try:
            for _ in range(_MAX_IMAGES):
                header, manifest = await self._begin()
                if await self._payload(header, manifest):
                    return manifest
            raise FetchError("unstable")
        except ManifestError as e:
            _flash(discard, self._root)
            raise FetchError(e.reason, e.detail, True) from None

    async def _begin(self):
        """Return (Header, Manifest) of the image to fetch: from flash when it is the same job's, else anew."""
        stored = self._stored()
        if stored and self._stored_job() == self._job and stored[0].total == self._size:
            return stored
        header = await self._fetch_header()
        if stored and header.raw == stored[0].raw:
            _flash(store.write_bytes, self._dir + "/job", self._job)  # a new job for the same image: keep the blocks
            return stored
        return header, await self._fetch_manifest(header)

    def _stored(self):
        """Return (Header, Manifest) kept on flash, or None; what is unusable or no longer acceptable is removed."""
        try:
            raw = self._read_head()
            if raw is None:
                return None
            header = mf.parse_header(raw)
            return header, self._accept(header, raw[mf.HEADER_SIZE :])
        except (OSError, store.StoreError, ManifestError):
            _flash(discard, self._root)
        return None

    def _read_head(self):
        """Return what `head` holds as a memoryview, in our buffer when it fits; None when there is none."""
        try:
            f = open(self._dir + "/head", "rb")
        except OSError:
            return None
        try:
            n = f.readinto(self._buf)
            more = f.read(mf.MANIFEST_MAX) if n == len(self._buf) else b""
        finally:
            f.close()
        return memoryview(bytes(self._buf) + more) if more else self._buf[:n]

    def _stored_job(self):
        try:
            return store.read_bytes(self._dir + "/job")
        except (OSError, store.StoreError):
            return None

    def _accept(self, header, body):
        """Return the Manifest when signature and terms allow it; ManifestError otherwise."""
        if self._settle:
            self._settle()
        manifest = mf.load(header, body, self._keys)
        manifest.check(*self._terms)
        return manifest

    async def _fill(self, offset, view):
        """Fill the whole view from the bundle; FetchError "short" when the source ends too early."""
        at = 0
        while at < len(view):
            n = await self._read(offset + at, view[at:])
            if not n:
                raise FetchError("short", offset + at)
            at += n
            self.fetched += n

    async def _fetch_header(self):
        view = self._view[: mf.HEADER_SIZE]
        await self._fill(0, view)
        header = mf.parse_header(view)
        if header.total != self._size:
            raise ManifestError("size", header.total)
        return header

    async def _fetch_manifest(self, header):
        """Fetch and judge the manifest, make room, and keep it: from here on the image is the one to have."""
        size = header.head_size
        head = self._buf[:size] if size <= len(self._buf) else memoryview(bytearray(size))
        head[: mf.HEADER_SIZE] = header.raw
        body = head[mf.HEADER_SIZE :]
        await self._fill(mf.HEADER_SIZE, body)
        manifest = self._accept(header, body)
        if self._room:
            _flash(self._room, manifest)
        _flash(discard, self._root)
        _flash(os.mkdir, self._dir)
        _flash(store.write_bytes, self._dir + "/head", head)
        _flash(store.write_bytes, self._dir + "/job", self._job)
        return manifest

    async def _payload(self, header, manifest):
        """Complete `data` block by block; True when whole, False when the source now holds another image."""
        path = self._dir + "/data"
        done = self.resumed_at = self._rehash(path, manifest)
        self._tell(done, manifest)
        if done < manifest.size:
            f = _flash(open, path, "r+b" if store.exists(path) else "wb")
            try:
                _flash(f.seek, done)
                while done < manifest.size:
                    i = done // mf.BLOCK_SIZE
                    view = self._view[: manifest.block_size_of(i)]
                    await self._fill(header.offset + done, view)
                    if not manifest.block_ok(i, view):
                        return await self._other_image(header, i)
                    _flash(self._keep, f, view)
                    done += len(view)
                    self._tell(done, manifest)
            finally:
                _flash(f.close)  # only whole, verified blocks were ever written
        self._check_whole(path, manifest)
        return True

    def _keep(self, f, view):
        """Write one verified block, durably: after a power cut at most the next one is fetched again."""
        f.write(view)
        f.flush()

    async def _other_image(self, header, i):
        """A block does not match: is it another image by now (False, and the old one is gone), or a bad block?"""
        now = await self._fetch_header()
        if now.raw == header.raw:
            raise FetchError("block", i)
        _flash(discard, self._root)
        return False

    def _rehash(self, path, manifest):
        """Return how many bytes of `data` are verified blocks, from the start."""
        try:
            f = open(path, "rb")
        except OSError:
            return 0
        done = 0
        try:
            for i in range(manifest.count):
                view = self._view[: manifest.block_size_of(i)]
                if f.readinto(view) != len(view) or not manifest.block_ok(i, view):
                    break
                done += len(view)
        except OSError:
            pass  # an unreadable block counts as missing
        finally:
            f.close()
        return done

    def _check_whole(self, path, manifest):
        """The last word: the full SHA-256 of what is on flash. A mismatch throws the download away."""
        whole = sha256()
        left = manifest.size
        f = _flash(open, path, "rb")
        try:
            while left > 0:
                n = _flash(f.readinto, self._view[: min(left, mf.BLOCK_SIZE)])
                if not n:
                    break
                whole.update(self._view[:n])
                left -= n
        finally:
            f.close()
        if left or whole.digest() != manifest.sha256:
            _flash(discard, self._root)
            raise FetchError("payload", None, True)  # each block is right, so whoever signed it made a mistake

    def _tell(self, done, manifest):
        if self._progress:
            self._progress(done, manifest.size)


def _flash(operation, *args):
    """Run a flash operation; its OSError becomes FetchError, because the caller takes OSError for the link's."""
    try:
        return operation(*args)
    except OSError as e:
        raise FetchError("space" if e.errno == _ENOSPC else "flash", e.errno) from None
