"""FETCH and GET loc/pgps of nRF Cloud: predicted ephemerides for the days without a network (nrfcloud.md 5.4, 10).

The service names a file; it comes through the proxy (shelf.py) and stays on flash (gnss.predictions).
"""

import json

from micropython import const

import cbor
import clock
import coap
import log
from cloud.base import CloudError
from cloud.nrfcloud import jobs

_CBOR = const(60)
_PERIOD_S = const(14400)
_PERIOD_MIN = const(240)
_NO_FETCH = (0x82, 0x85, 0x8F)  # 4.02, 4.05, 4.15: about how it was asked
# By key on the wire 1 to 4, which is the CDDL's order, and by name in a query
_NAMES = ("predictionCount", "predictionIntervalMinutes", "startGpsDay", "startGpsTimeOfDaySeconds")


def pgps(values):
    """-> bytes of a request for `values`: (count, interval in minutes, GPS day, second of that day)."""
    return cbor.dumps(cbor.Map(list(enumerate(values, 1))))


def pgps_query(values):
    """-> the same request as the query of a GET."""
    return tuple(["%s=%d" % pair for pair in zip(_NAMES, values)])


def file_of(payload):
    """-> URL of the file that an answer names, in CBOR or JSON. CloudError when it names none, or one on a host that
    the proxy does not fetch from: REST answers with pgnss.nrfcloud.com, which is one of those (nrfcloud.md 16)."""
    raw = bytes(payload)
    try:
        answer = json.loads(raw) if raw[:1] == b"{" else cbor.loads(raw)
        if "err" in answer:
            raise CloudError("no predictions: error %s" % answer["err"])
        host, path = (answer[1], answer[2]) if 1 in answer else (answer["host"], answer["path"])
        if not path or min(path) <= " " or max(path) > "~":
            raise ValueError
        return jobs.proxied(host, path)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise CloudError("no predictions: the answer names no file") from None


async def predictions_at(cloud, count, day, second, get=False):
    """Ask where `count` predictions from this GPS time on are, by FETCH or by GET; -> URL."""
    values = (count, _PERIOD_MIN, day, second)
    if get:
        answer = await cloud.request(coap.GET, "loc/pgps", query=pgps_query(values))
    else:
        answer = await cloud.request(
            coap.FETCH, "loc/pgps", payload=pgps(values), content_format=_CBOR, accept=_CBOR
        )
    return file_of(answer.payload)


async def _where(cloud, count, start):
    from gnss.pgps import day_and_time

    day, second = day_and_time(start)
    try:
        return await predictions_at(cloud, count, day, second)
    except coap.Refused as refused:
        if refused.code not in _NO_FETCH:
            raise
    return await predictions_at(cloud, count, day, second, True)


async def predictions_due(cloud, folder, count):
    """Verb of cloud.base. Asks for what is missing at the end when no more than half is left."""
    from gnss import predictions as shelf
    from gnss.pgps import PgpsError, gps_time

    now = clock.now()
    if now is None:
        return None
    try:
        left, start = shelf.reach(folder, gps_time(now))
        job = shelf.pending(folder)
        if job and job["start"] <= start < job["start"] + job["count"] * _PERIOD_S:
            return job
        if left > count // 2:
            return None
        count -= left
        job = {"key": await _where(cloud, count, start), "start": start, "count": count}
        shelf.begin(folder, job)
        return job
    except PgpsError as problem:
        raise CloudError(str(problem)) from None


def predicted(cloud, folder, need, place, mv):
    """Verb of cloud.base."""
    from gnss import predictions as shelf
    from gnss.offline import elements
    from gnss.pgps import gps_time

    now_ms = clock.now_ms()
    if now_ms is None:
        return None
    held = shelf.find(folder, gps_time(now_ms // 1000), mv[19 : 19 + 2006])
    start, end = elements(mv, held, need, now_ms, place)
    log.info("pgps", "%s prediction for now", "a" if held else "no")
    return mv[start:end] if end else None
