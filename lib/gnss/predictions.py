"""Predicted ephemerides on flash: found by time, dropped when their time is over.

`folder` holds a file per download, as it came (gnss.pgps), with its first epoch as its name: what is asked for later
goes behind what is there. `new` and `job` are a download in progress (gnss.download). Called by lib/cloud. RAM: the
caller's buffer.
"""

import os

from micropython import const

import store
from gnss import pgps
from gnss.download import discard, flash

_HEADER = const(16)
_SIZE = const(2006)
_PERIOD_S = const(14400)
_HALF_S = const(7200)
_SPARE_BLOCKS = const(6)  # for the copies that littlefs makes, and the node's other small files


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
        flash(store.remove, path)
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
            flash(store.remove, path)
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
        flash(os.mkdir, folder)
    stat = flash(os.statvfs, folder)
    free = 0 if stat[4] > stat[2] else stat[4]  # as in lib/fota/space.py: below zero comes out huge on 64 bit
    if free < (_HEADER + job["count"] * _SIZE + stat[1] - 1) // stat[1] + _SPARE_BLOCKS:
        raise pgps.PgpsError("space", "%d blocks" % free)
    flash(store.write_json, folder + "/job", job)
