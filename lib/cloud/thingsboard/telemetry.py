"""Measurements and alerts as telemetry of ThingsBoard (platforms.md 1.6): an array of {"ts", "values"}, as many as fit
one datagram. Sending the same again changes nothing there, because key and time name a row; without a time it is a new
row. A text that reads as a number becomes one there.

Readings stay integers: what goes out is their decimal text. Called through the verb `publish` of cloud.base. RAM: none.
"""

import json

from micropython import const

import coap
from cbor import Decimal
from cloud.base import RecordRefused

_JSON = const(50)
_BAD_REQUEST = const(0x80)
_MOST = const(64)  # records in one message

# Keys that the platform's own maps and widgets look for: (key, our field, exponent)
_FIX = (
    ("latitude", "lat", -7),
    ("longitude", "lon", -7),
    ("altitude", "alt_mm", -3),
    ("accuracy", "acc_mm", -3),
    ("speed", "speed_mm_s", -3),
    ("heading", "heading_mdeg", -3),
)
_ALERT = (("alert", "type"), ("alert_value", "value"), ("alert_text", "desc"))


def decimal(mantissa, exponent):
    """-> the JSON number mantissa x 10**exponent, without an exponent: with one it would be stored as a text."""
    if exponent >= 0:
        return str(mantissa * 10**exponent)
    digits = str(abs(mantissa))
    digits = "0" * (1 - exponent - len(digits)) + digits
    return ("-" if mantissa < 0 else "") + digits[:exponent] + "." + digits[exponent:]


def _text(value):
    return decimal(value.mantissa, value.exponent) if isinstance(value, Decimal) else json.dumps(value)


def encode(record):
    """-> JSON text of one element of the array for `record` = (seq, ts_ms or 0, name, value) of cloud.base."""
    _, ts_ms, name, value = record
    if isinstance(value, dict):
        if name == "alert":
            pairs = [(key, _text(value[field])) for key, field in _ALERT if value.get(field) is not None]
        else:
            pairs = [(key, decimal(value[field], exp)) for key, field, exp in _FIX if value.get(field) is not None]
    else:
        pairs = [(name, _text(value))]
    values = "{" + ",".join([json.dumps(key) + ":" + text for key, text in pairs]) + "}"
    return '{"ts":%d,"values":%s}' % (ts_ms, values) if ts_ms else values


def fill(records, most, room):
    """-> (body, how many of `records` are in it): as many from the first as fit `room` bytes, at least one."""
    parts = []
    for record in records[: min(most, _MOST)]:
        part = encode(record).encode()
        room -= len(part) + 1
        if room < 1 and parts:
            break
        parts.append(part)
    return b"[" + b",".join(parts) + b"]", len(parts)


async def publish(cloud, records):
    """Verb of cloud.base: one datagram of them; 2.01 says that they were queued.

    The platform takes a message or not, and does not say for which record's sake: one that it does not take goes record
    by record. One that is not answered may be too large for the path: smaller ones from then on (coap.calls.narrow)."""
    body, count = fill(records, 1 if cloud.alone else len(records), 16 << cloud.client.szx)
    try:
        await _post(cloud, body)
    except coap.Timeout:
        szx = cloud.client.szx
        while szx and 8 << szx >= len(body):
            szx -= 1
        if count == 1 or not await cloud.client.narrow(szx):
            raise
        return await publish(cloud, records)
    except coap.Refused as refused:
        if refused.code != _BAD_REQUEST:
            raise
        if count > 1:
            cloud.alone = count
            return await publish(cloud, records)
        cloud.alone = max(0, cloud.alone - 1)
        raise RecordRefused(str(refused))
    cloud.alone = max(0, cloud.alone - 1)
    return count


async def _post(cloud, body):
    """One that is not confirmable, and not answered, is sent again as one that is: a message counts when answered."""
    path = cloud.path("telemetry")
    if not cloud.confirmable:
        try:
            await cloud.request(coap.POST, path, payload=body, content_format=_JSON, confirmable=False)
            return
        except coap.Timeout:
            pass
    await cloud.request(coap.POST, path, payload=body, content_format=_JSON)
