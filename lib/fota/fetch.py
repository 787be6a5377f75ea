"""Resumable download of a bundle: no byte before the signed manifest is accepted, no block before its hash matches.

There is no stored offset that could lie: after a reboot the blocks on flash are hashed again, and the first that
does not match is where the download goes on (facts/fota.md 2.2). Works over any `read(offset, view)`; the caller
retries link errors. Called by firmware/tasks/update.py. RAM: one 4096-byte buffer and 16 bytes per 4 KB of image; at
the start also what head.py needs.
"""

import asyncio
from hashlib import sha256

from micropython import const

from fota import FetchError, ManifestError
from fota.image import BLOCK_SIZE, flash

_MAX_IMAGES = const(2)  # how often the image may change under us in one run


class Fetch:
    """One download into `<root>/dl`: files `head` (header, manifest, signature), `job` and `data` (the payload).

    `root`: mount point of the flash ("" on a board); `job`: str that names the cloud's job; `size`: bytes of the
    bundle as the job promises; `read(offset, view)`: coroutine that fills the memoryview from that offset of the
    bundle and returns how many bytes it put there; `keys`: RSA-3072 moduli one after the other, 384 bytes each;
    `device_class`, `floor`, `bad`: see manifest.check; `progress(done, total)`: called per block, bytes of payload;
    `room(manifest)`: raises a FotaError when the image will not fit (Slots.room), before anything is deleted.

    `blocks`: where the payload goes instead of `data`, a store as fota.blocks describes it; `component`: what the image
    must be for: "app" (files for a slot) or "image" (a whole app partition).

    `buf`: 4096 bytes or more to work in, made anew when None; large enough for the header, manifest and signature it
    saves a second piece of heap. `settle()` is called where one half of the code gives way to the other (download,
    signature): what the application can free, it should free then, and collect.

    Attributes for the report: `resumed_at` (payload bytes that were already on flash), `fetched` (bytes read).
    """

    def __init__(self, root, job, size, read, keys, device_class, floor, progress=None, bad=(), room=None, buf=None,
                 settle=None, blocks=None, component="app"):  # fmt: skip
        from fota.space import folder

        self.folder = folder(root)
        self.root = root
        self.job = job.encode()
        self.size = size
        self.keys = keys
        self.terms = (device_class, floor, bad, component)
        self.room = room
        self.buf = memoryview(bytearray(BLOCK_SIZE) if buf is None else buf)
        self._view = self.buf[:BLOCK_SIZE]
        self._read = read
        self._progress = progress
        self._settle = settle
        self._blocks = blocks
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
                await self.settled()  # what has begun it is not what completes it
                manifest = manifest.moved()
                if await self._payload(header, manifest):
                    return manifest
            raise FetchError("unstable")
        except ManifestError as e:  # what is on flash of another image stays: it may be wanted again
            raise FetchError(e.reason, e.detail, True) from None

    async def _begin(self):
        from fota.head import begin

        return await begin(self)

    async def settled(self):
        """settle() from a stack on which others have been: the collector takes what lies there for references."""
        await asyncio.sleep(0)
        self.settle()

    def settle(self):
        """Let the application free what it can."""
        if self._settle:
            self._settle()

    async def fill(self, offset, view):
        """Fill the whole view from the bundle; FetchError "short" when the source ends too early."""
        at = 0
        while at < len(view):
            n = await self._read(offset + at, view[at:])
            if not n:
                raise FetchError("short", offset + at)
            at += n
            self.fetched += n

    async def _payload(self, header, manifest):
        """Complete the payload block by block; True when whole, False when the source now holds another image."""
        blocks = self._blocks
        if blocks is None:
            from fota.blocks import FileBlocks

            blocks = self._blocks = FileBlocks(self.root)
        try:
            i = self._held(blocks, manifest)
            done = self.resumed_at = min(i * BLOCK_SIZE, manifest.size)
            self._tell(done, manifest)
            if done < manifest.size:
                await self.settled()  # the first read loads what downloads: into one piece, not between garbage
            while done < manifest.size:
                view = self._view[: manifest.block_size_of(i)]
                await self.fill(header.offset + done, view)
                if not manifest.block_ok(i, view):
                    return await self._other_image(header, i)
                self._keep(i, view)
                done += len(view)
                i += 1
                self._tell(done, manifest)
            self._check_whole(blocks, manifest)
        finally:
            flash(blocks.close)
        return True

    def _keep(self, i, view):
        try:
            flash(self._blocks.write, i, view)
        except ManifestError:  # its store does not want this image, by what its first block says
            self._drop()
            raise

    def _drop(self):
        """Forget what there is of this image."""
        from fota.space import discard

        flash(self._blocks.close)
        flash(discard, self.root)

    async def _other_image(self, header, i):
        """A block does not match: is it another image by now (False, and the old one is gone), or a bad block?"""
        from fota.head import fetch_header

        now = await fetch_header(self)
        if now.raw == header.raw:
            raise FetchError("block", i)
        self._drop()
        return False

    def _held(self, blocks, manifest):
        """Return how many blocks are there and verified, from the first."""
        for i in range(manifest.count):
            view = self._view[: manifest.block_size_of(i)]
            try:
                n = blocks.read(i, view)
            except OSError:
                n = 0  # an unreadable block counts as missing
            if n != len(view) or not manifest.block_ok(i, view):
                return i
        return manifest.count

    def _check_whole(self, blocks, manifest):
        """The last word: the full SHA-256 of what is on flash. A mismatch throws the download away."""
        whole = sha256()
        for i in range(manifest.count):
            view = self._view[: manifest.block_size_of(i)]
            whole.update(view[: flash(blocks.read, i, view)])
        if whole.digest() != manifest.sha256:
            self._drop()
            raise FetchError("payload", None, True)  # each block is right, so whoever signed it made a mistake

    def _tell(self, done, manifest):
        if self._progress:
            self._progress(done, manifest.size)
