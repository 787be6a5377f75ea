"""Predicted ephemerides on flash: downloaded with resume, found by time, dropped when their time is over.

`folder` holds a file per download, as it came (gnss.pgps), with its first epoch as its name: what is asked for later
goes behind what is there. `new` and `job` are a download in progress. Whole predictions are written, each one checked,
and flushed: after a power cut the download goes on with the next, and no prediction is ever the half of another.
Called by lib/cloud. RAM: the caller's buffer.
"""

import os

from micropython import const

import store
from gnss import pgps

_HEADER = const(16)
_SIZE = const(2006)
_PERIOD_S = const(14400)
_HALF_S = const(7200)
_HEAD = const(22)  # of a prediction: what check() reads
_ENOSPC = const(28)
_SPARE_BLOCKS = const(6)  # for the copies that littlefs makes, and the node's other small files


def _flash(operation, *args):
    """Run a flash operation; its OSError becomes PgpsError, because the caller takes OSError for the link's."""
    try:
        return operation(*args)
    except OSError as error:
        raise pgps.PgpsError("space" if error.errno == _ENOSPC else "flash", error.errno) from None


def _header(path):
    f = open(path, "rb")
    try:
        return pgps.parse_header(f.read(_HEADER))
    finally:
        f.close()


def _names(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return ()


def _files(folder, gps_s):
    """-> sorted [(first epoch, count, path)] of what still serves or will; what is over or damaged is removed."""
    found = []
    for name in _names(folder):
        if not name.isdigit():
            continue
        path = folder + "/" + name
        try:
            start, count = _header(path)
            if pgps.select(start, gps_s) < count:
                found.append((start, count, path))
                continue
        except (OSError, pgps.PgpsError):
            pass
        _flash(store.remove, path)
    return sorted(found)


def reach(folder, gps_s):
    """-> (how many predictions serve one after the other from `gps_s` on, epoch of the first that is missing)."""
    serve = 0
    for start, count, _ in _files(folder, gps_s):
        number = pgps.select(start, gps_s)
        if 0 <= number < count:
            serve += count - number
            gps_s = start + count * _PERIOD_S - _HALF_S
    return serve, pgps.nearest(gps_s)


def find(folder, gps_s, mv):
    """Read the prediction that serves at `gps_s` into `mv` (2006 bytes); -> whether there is one."""
    for start, count, path in _files(folder, gps_s):
        number = pgps.select(start, gps_s)
        if not 0 <= number < count:
            continue
        try:
            f = open(path, "rb")
            try:
                f.seek(_HEADER + number * _SIZE)
                if f.readinto(mv) != _SIZE:
                    raise pgps.PgpsError("short", number)
            finally:
                f.close()
            pgps.check(mv, start + number * _PERIOD_S)
            return True
        except (OSError, pgps.PgpsError):
            _flash(store.remove, path)
    return False


def pending(folder):
    """-> the download in progress, {"key", "start", "count"}, or None."""
    try:
        job = store.read_json(folder + "/job", {})
        if job["start"] + job["count"] and job["key"]:
            return job
    except (OSError, store.StoreError, KeyError, TypeError):
        pass
    return None


def begin(folder, job):
    """Remember a download: {"key": its URL, "start": first epoch, "count"}. PgpsError when flash has no room for it."""
    discard(folder)
    if not store.exists(folder):
        _flash(os.mkdir, folder)
    stat = _flash(os.statvfs, folder)
    if stat[4] < (_HEADER + job["count"] * _SIZE + stat[1] - 1) // stat[1] + _SPARE_BLOCKS:
        raise pgps.PgpsError("space", "%d blocks" % stat[4])
    _flash(store.write_json, folder + "/job", job)


def discard(folder):
    """Forget the download in progress."""
    _flash(store.remove, folder + "/job")
    _flash(store.remove, folder + "/new")


async def download(folder, job, read, buf):
    """Bring the download `job` to its end; -> bytes fetched. `read(offset, view)` is a coroutine -> bytes put there.

    `buf`: 4096 bytes or more to work in. Raises PgpsError when the file is none, or starts at another time than was
    asked for (it is discarded then), and whatever `read` raises: then call again later."""
    path = folder + "/new"
    f = _flash(open, path, "r+b" if store.exists(path) else "w+b")
    try:
        fetched, start = await _fill(f, job, read, buf)
    except pgps.PgpsError:
        _flash(f.close)
        discard(folder)
        raise
    except BaseException:
        f.close()  # what is on flash stays for the next time
        raise
    _flash(f.close)
    _flash(os.rename, path, "%s/%d" % (folder, start))
    discard(folder)
    return fetched


async def _fill(f, job, read, buf):
    """-> (bytes fetched, first epoch). Asks for whole predictions, as many as `buf` holds."""
    whole = (len(buf) - _HEADER) // _SIZE * _SIZE
    done, count, fetched = 0, 1, 0
    held = _flash(f.readinto, buf[:_HEADER]) == _HEADER
    if held:
        start, count = _judge(buf, job)
        done = max(_flash(f.seek, 0, 2) - _HEADER, 0) // _SIZE
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
        _flash(f.seek, at)
        _flash(f.write, view[: _HEADER + whole_ones * _SIZE - at])
        _flash(f.flush)
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
