"""Download of a prediction file onto flash, with resume (nrfcloud.md 10).

Whole predictions are written, each one checked, and flushed: after a power cut the download goes on with the next, and
no prediction is ever the half of another. Called by lib/cloud; what is kept is in gnss.predictions. RAM: the caller's
buffer.
"""

import os

from micropython import const

import store
from gnss import pgps

_HEADER = const(16)
_SIZE = const(2006)
_PERIOD_S = const(14400)
_HEAD = const(22)  # of a prediction: what check() reads
_ENOSPC = const(28)


def flash(operation, *args):
    """Run a flash operation; its OSError becomes PgpsError, because the caller takes OSError for the link's."""
    try:
        return operation(*args)
    except OSError as error:
        raise pgps.PgpsError("space" if error.errno == _ENOSPC else "flash", error.errno) from None


def discard(folder):
    """Forget the download in progress."""
    flash(store.remove, folder + "/job")
    flash(store.remove, folder + "/new")


async def download(folder, job, read, buf):
    """Bring the download `job` to its end; -> bytes fetched. `read(offset, view)` is a coroutine -> bytes put there.

    `buf`: 4096 bytes or more to work in. Raises PgpsError when the file is none, or starts at another time than was
    asked for (it is discarded then), and whatever `read` raises: then call again later."""
    path = folder + "/new"
    f = flash(open, path, "r+b" if store.exists(path) else "w+b")
    try:
        fetched, start = await _fill(f, job, read, buf)
    except pgps.PgpsError:
        flash(f.close)
        discard(folder)
        raise
    except BaseException:
        f.close()  # what is on flash stays for the next time
        raise
    flash(f.close)
    flash(os.rename, path, "%s/%d" % (folder, start))
    discard(folder)
    return fetched


async def _fill(f, job, read, buf):
    """-> (bytes fetched, first epoch). Asks for whole predictions, as many as `buf` holds."""
    whole = (len(buf) - _HEADER) // _SIZE * _SIZE
    done, count, fetched = 0, 1, 0
    held = flash(f.readinto, buf[:_HEADER]) == _HEADER
    if held:
        start, count = _judge(buf, job)
        done = max(flash(f.seek, 0, 2) - _HEADER, 0) // _SIZE
    while done < count or not held:
        at = _HEADER + done * _SIZE if held else 0
        size = min(whole, (count - done) * _SIZE) if held else _HEADER + whole
        got = await _read(read, at, buf[:size])
        fetched += got
        view = buf[:got]
        if not held:
            start, count = _judge(view, job)
            view = view[: _HEADER + count * _SIZE]
            held = True
        whole_ones = (at + len(view) - _HEADER) // _SIZE
        for number in range(done, whole_ones):
            pgps.check(buf[_HEADER + number * _SIZE - at :][:_HEAD], start + number * _PERIOD_S)
        if whole_ones == done:
            raise pgps.PgpsError("short", at + got)
        flash(f.seek, at)
        flash(f.write, view[: _HEADER + whole_ones * _SIZE - at])
        flash(f.flush)
        done = whole_ones
    return fetched, start


async def _read(read, at, view):
    """Fill `view` from `at` of the file; -> bytes, fewer at its end."""
    got = 0
    while got < len(view):
        n = await read(at + got, view[got:])
        if not n:
            break
        got += n
    return got


def _judge(raw, job):
    """-> (first epoch, count) of the file; PgpsError "stale" when it is not from the time that was asked for."""
    start, count = pgps.parse_header(raw)
    if abs(start - job["start"]) >= _PERIOD_S:
        raise pgps.PgpsError("stale", start - job["start"])
    return start, count
