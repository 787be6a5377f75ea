"""The device shadow of nRF Cloud in CBOR (nrfcloud.md 7): PATCH what is reported or desired, GET what is pending.

A shadow may be larger than what a node can hold at once (`max_body` of its coap.Client). What is pending is then read
a part at a time, by path.
"""

import json

from micropython import const

import cbor
import coap
from cloud.base import CloudError

_CBOR = const(60)
_DEEPEST = const(4)
# What to look for in a delta that cannot be listed.
_SECTIONS = ("control", "config", "command", "pairing", "nrfcloud_mqtt_topic_prefix")
_ZEROS = bytes(10)  # an empty delta has been seen to come as zeros (nrfcloud.md 7.2)


async def report(cloud, changes):
    """Verb of cloud.base: PATCH state/reported."""
    await cloud.request(coap.PATCH, "state/reported", payload=cbor.dumps(changes), content_format=_CBOR)


async def request_desired(cloud, changes):
    """Verb of cloud.base: PATCH state/desired."""
    await cloud.request(coap.PATCH, "state/desired", payload=cbor.dumps(changes), content_format=_CBOR)


async def _get(cloud, path, query=(), accept=_CBOR):
    """-> payload, b"" when there is nothing, None when it is more than the client's max_body."""
    try:
        return (await cloud.request(coap.GET, path, query=query, accept=accept)).payload
    except coap.BadResponse:
        return None


async def fetch_config(cloud, delta=True):
    """Verb of cloud.base: the delta, which comes unwrapped, and as an empty 2.05 when there is none (7.2).

    `delta` False: all that is desired instead."""
    payload = await _get(cloud, "state", () if delta else ("delta=false",))
    if payload is None:
        return await _part(cloud, ())
    if not payload or payload[:10] == _ZEROS:
        return None
    found = cbor.loads(payload)
    if not isinstance(found, dict):
        raise CloudError("shadow delta is not a map")
    return found or None


async def read(cloud, path, accept=_CBOR):
    """GET state/`path`, a JSON pointer without its first slash ("desired/config") (7.3); -> its value as CBOR, b"" when
    there is no such thing, None when it is more than the client's max_body. With `accept` 42 the value is a text of
    base64, and comes as the bytes that it stands for. 4.06 when it is none."""
    return await _get(cloud, "state/" + path, accept=accept)


async def select(cloud, expression):
    """GET state?transform=: what the JSONata `expression` makes of the shadow (7.2), None when it makes nothing.
    Raises coap.Refused (4.00: not an expression), CloudError (more than the client's max_body, or not JSON)."""
    payload = await _get(cloud, "state", ("transform=" + expression,), None)
    if payload is None:
        raise CloudError("too much of the shadow at once")
    try:
        return json.loads(bytes(payload)) if payload else None
    except ValueError:
        raise CloudError("not JSON") from None


async def _part(cloud, at):
    """-> {key: value} of the first member of the delta below `at` (tuple of keys) that is there, None when none is.
    The value is None when it is too large and cannot be divided."""
    for key in await _keys(cloud, at):
        below = at + (key,)
        for section in ("delta/", "desired/"):  # a service need not show the delta by path
            payload = await read(cloud, section + "/".join(_escaped(step) for step in below))
            if payload:
                return {key: cbor.loads(payload)}
            if payload is None:
                return {key: await _part(cloud, below) if len(below) < _DEEPEST else None}
    return None


async def _keys(cloud, at):
    """-> list of the keys of the delta's object below `at`."""
    path = "state.delta" + "".join(".`%s`" % step for step in at)
    try:
        found = await select(cloud, "$keys(%s)" % path)
    except (coap.Refused, CloudError):
        return () if at else _SECTIONS
    if isinstance(found, str):
        return (found,)  # JSONata makes no difference between one and a list of one
    return found if isinstance(found, list) else ()


def _escaped(step):
    return step.replace("~", "~0").replace("/", "~1")
