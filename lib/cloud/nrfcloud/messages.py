"""Device messages of nRF Cloud: POST msg/d2c, msg/d2c/bulk, msg/d2c/bin, msg/d2c/raw, msg/{topic} (nrfcloud.md 5.5, 6).

Measurements go as CBOR `message_out`, several of them as an array to `bulk`: as many as fit one datagram. Alerts and
log lines have fields that the CBOR schema does not know, so they go as JSON. Coordinates and readings stay integers
until cbor.Decimal writes the float64 that the service's CDDL asks for.
"""

import json

from micropython import const

import cbor
import coap
from cloud.base import RecordRefused

_JSON = const(50)
_CBOR = const(60)
_OCTETS = const(42)
_NEVER = (0x80, 0x8D, 0x8F, 0x96)  # 4.00, 4.13, 4.15, 4.22: about the message itself
_QUOTA = "40005"  # ... unless it is the plan that is used up, which also comes as 4.00 (nrfcloud.md 4.4, 14.1)
_ALWAYS = const(0x3FFFFFFF)

_APP_ID = const(1)
_DATA = const(2)
_TS = const(3)

# What our neutral names are called there (nrfcloud.md 6.2); any other name goes out in upper case.
_APP_IDS = {
    "temp": "TEMP",
    "humid": "HUMID",
    "pressure": "AIR_PRESS",
    "rsrp": "RSRP",
    "battery": "BATTERY",
    "gnss": "GNSS",
}
_ALERT = "alert"
# From 100 on the numbers are ours (6.3).
_ALERTS = {"online": 1, "battery": 7, "died": 100, "fault": 101, "recovered": 102, "safe": 103}
_OTHER_ALERT = const(199)

# pvt map: (key on the wire, our field, exponent, required); order is the CDDL's.
_PVT = (
    (4, "lat", -7, True),
    (5, "lon", -7, True),
    (6, "acc_mm", -3, True),
    (7, "speed_mm_s", -3, False),
    (8, "heading_mdeg", -3, False),
    (9, "alt_mm", -3, False),
)

# Header of a dictionary log (nrfcloud.md 6.4): magic "nRFC", format, padding, time in ms, sequence number.
_BIN_HEADER = "<4sHHqI"
_BIN_MAGIC = b"nRFC"
BIN_DICTIONARY = const(1)


def pvt(fix):
    """-> cbor.Map of a fix dict (modem.base): lat, lng, acc and whatever optional fields it has."""
    pairs = []
    for key, field, exponent, required in _PVT:
        value = fix.get(field)
        if value is None and not required:
            continue
        pairs.append((key, cbor.Decimal(value or 0, exponent)))
    return cbor.Map(pairs)


def encode(record):
    """-> bytes of one `message_out` for `record` = (seq, ts_ms, name, value)."""
    _, ts_ms, name, value = record
    if isinstance(value, dict):
        value = pvt(value)
    return cbor.dumps(cbor.Map([(_APP_ID, _APP_IDS.get(name) or name.upper()), (_DATA, value), (_TS, ts_ms)]))


def alert(record):
    """-> JSON bytes of an ALERT message (6.3) for (seq, ts_ms, "alert", {"type", "value", "desc"}) of cloud.base; the
    journal's sequence number stands in for a time that is not known."""
    seq, ts_ms, _, value = record
    kind = _ALERTS.get(value["type"], _OTHER_ALERT)
    body = {"appId": "ALERT", "type": kind, "value": value.get("value", 0), "desc": value.get("desc", "")}
    body["ts" if ts_ms else "seq"] = ts_ms or seq
    return json.dumps(body).encode()


def log_line(entry):
    """-> JSON text of a LOG message (6.4) for `entry` = (seq, ts_ms or None, level, layer, text)."""
    seq, ts_ms, level, layer, text = entry
    body = {"appId": "LOG", "lvl": level, "src": layer, "dom": 0, "msg": text}
    body["ts" if ts_ms else "seq"] = ts_ms or seq
    return json.dumps(body)


def fill(records, most, room):
    """-> (topic, content format, body, how many of `records` are in it): the first of them, or as many from the first
    as make an array of at most `room` bytes and `most` records. An alert goes alone."""
    if records[0][2] == _ALERT:
        return "d2c", _JSON, alert(records[0]), 1
    parts = [b""]
    room -= 2  # the head of an array of up to 255
    for record in records[: min(most, 255)]:
        if record[2] == _ALERT:
            break
        part = encode(record)
        room -= len(part)
        if room < 0 and len(parts) > 1:
            break
        parts.append(part)
    count = len(parts) - 1
    if count == 1:
        return "d2c", _CBOR, parts[1], 1
    parts[0] = bytes((0x80 + count,) if count < 24 else (0x98, count))
    return "d2c/bulk", _CBOR, b"".join(parts), count


async def send(cloud, topic, body, content_format=_JSON, confirmable=True):
    """POST `body` (bytes) to msg/`topic`: "d2c", "d2c/bulk", "d2c/bin", "d2c/raw", or a topic of one's own.

    One that is not confirmable, and not answered, is sent again as one that is: a message counts when it is answered.
    """
    path = "msg/" + topic
    if not confirmable:
        try:
            await cloud.request(
                coap.POST, path, payload=body, content_format=content_format, confirmable=False
            )
            return
        except coap.Timeout:
            pass
    await cloud.request(coap.POST, path, payload=body, content_format=content_format)


async def send_bin(cloud, data, ts_ms, seq, form=BIN_DICTIONARY):
    """POST log bytes in a format of their own to msg/d2c/bin, below the header that says which (6.4)."""
    import struct

    await send(cloud, "d2c/bin", struct.pack(_BIN_HEADER, _BIN_MAGIC, form, 0, ts_ms, seq) + data, _OCTETS)


async def publish(cloud, records):
    """Verb of cloud.base: one datagram of them.

    A batch that the service will not take does not say for which record's sake: its records go one by one, and if the
    service takes each of them, it is batches that it does not take, and there are no more in this session. One that
    is not answered may be too large for the path: smaller ones from then on, if the service is there (coap.narrow)."""
    topic, form, body, count = fill(records, 1 if cloud.alone else len(records), 16 << cloud.szx)
    try:
        await send(cloud, topic, body, form, cloud.confirmable)
    except coap.Timeout:
        if count == 1 or not await _smaller(cloud, body):
            raise
        return await publish(cloud, records)
    except coap.Refused as refused:
        if refused.code not in _NEVER or _QUOTA in refused.diagnostic:
            raise
        if count == 1:
            cloud.blamed = True
            _alone(cloud)
            raise RecordRefused(str(refused)) from None
        cloud.alone = count
        cloud.blamed = False
        return await publish(cloud, records)
    _alone(cloud)
    return count


async def _smaller(cloud, body):
    """Nothing answered `body`: -> whether the service is there, and messages are smaller now. Raises coap.Timeout."""
    szx = cloud.szx
    while szx and 8 << szx >= len(body):
        szx -= 1
    return await cloud.client.narrow(szx)


def _alone(cloud):
    """One record of a refused batch has been dealt with."""
    if cloud.alone:
        cloud.alone -= 1
        if not cloud.alone and not cloud.blamed:
            cloud.alone = _ALWAYS


async def logs(cloud, entries):
    """Verb of cloud.base: as few messages to msg/d2c/bulk as they fit in."""
    at = 0
    while at < len(entries):
        lines = []
        used = 2
        for entry in entries[at:]:
            line = log_line(entry)
            used += len(line.encode()) + 1
            if lines and used > 16 << cloud.szx:
                break
            lines.append(line)
        body = ("[%s]" % ",".join(lines)).encode()
        try:
            await send(cloud, "d2c/bulk", body)
            at += len(lines)
        except coap.Timeout:
            if len(lines) == 1 or not await _smaller(cloud, body):
                raise
