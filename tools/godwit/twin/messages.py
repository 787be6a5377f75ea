"""CoAP resource /msg: device messages to topics, CBOR turned into JSON (facts 5.5 and 6).

msg/d2c and msg/{topic} take JSON or CBOR, msg/d2c/bulk an array whose elements become messages of their
own, bin and raw take bytes and are kept as base64. inbox.py keeps them.
Called by site.py.
"""

import base64
import re

from . import payload
from .call import created
from .errors import BAD_REQUEST, ApiError

_TOPIC = re.compile(r"[A-Za-z0-9_.:@-]{1,128}(/[A-Za-z0-9_.:@-]{1,128})*")
_PVT = {4: "lat", 5: "lng", 6: "acc", 7: "spd", 8: "hdg", 9: "alt"}
_PVT_REQUIRED = {4, 5, 6}
_MAX_APP_ID = 64


class MessageApi:
    """Handlers of /msg."""

    def __init__(self, store, inbox):
        self._store = store
        self._inbox = inbox

    def routes(self):
        """(method, pattern, handler) triples."""
        return [
            ("POST", ("msg", "d2c"), self.post),
            ("POST", ("msg", "d2c", "bulk"), self.post_bulk),
            ("POST", ("msg", "d2c", "bin"), self.post_bytes),
            ("POST", ("msg", "d2c", "raw"), self.post_bytes),
            ("POST", ("msg", "**"), self.post_topic),
        ]

    def post(self, call):
        """One message to d/{id}/d2c."""
        self._inbox.add(call.device, f"d/{call.device}/d2c", _message(call.load(), call.is_cbor))
        return created()

    def post_topic(self, call):
        """One message to the named topic; the long names of bulk, bin and raw are those (facts 6.1)."""
        topic = "/".join(call.rest)
        if not _TOPIC.fullmatch(topic):
            raise ApiError(400, BAD_REQUEST, "topic not valid")
        if call.rest[-2:] == ("d2c", "bulk") and not isinstance(call.load(), dict):
            return self.post_bulk(call, topic)
        if call.rest[-2:] in (("d2c", "bin"), ("d2c", "raw")):
            return self.post_bytes(call, topic)
        self._inbox.add(call.device, topic, _message(call.load(), call.is_cbor))
        return created()

    def post_bulk(self, call, topic=None):
        """An array of messages, stored one by one with the same time of arrival."""
        items = call.load()
        if not isinstance(items, (list, tuple)) or not items:
            raise ApiError(400, BAD_REQUEST, "bulk takes a non-empty array")
        messages = [_message(item, call.is_cbor) for item in items]  # all of them are good, or none is stored
        received = self._store.now_ms()
        with self._store.transaction():
            for message in messages:
                self._inbox.add(call.device, topic or f"d/{call.device}/d2c/bulk", message, received)
        return created()

    def post_bytes(self, call, topic=None):
        """Opaque bytes: dictionary logs (bin) or anything (raw)."""
        if not call.body:
            raise ApiError(400, BAD_REQUEST, "empty payload")
        topic = topic or f"d/{call.device}/d2c/{call.path[-1]}"
        self._inbox.add(call.device, topic, base64.b64encode(call.body).decode())
        return created()


def _message(value, is_cbor):
    """The JSON object of one message. Raises ApiError 4.00."""
    if not isinstance(value, dict):
        raise ApiError(400, BAD_REQUEST, "a message is an object")
    if is_cbor and value and all(payload.is_int(key) for key in value):
        value = from_cbor(value)
    elif is_cbor:
        value = payload.to_json_value(value)
    app_id = value.get("appId")
    if app_id is not None and (not isinstance(app_id, str) or not 0 < len(app_id) <= _MAX_APP_ID):
        raise ApiError(400, BAD_REQUEST, "appId is a text of 1..64 characters")
    return value


def from_cbor(value):
    """message_out {1: appId, 2: data, ? 3: ts} as the JSON message that is stored. Raises ApiError 4.00."""
    app_id, data, ts = value.get(1), value.get(2), value.get(3)
    if not value.keys() <= {1, 2, 3} or not isinstance(app_id, str) or 2 not in value:
        raise ApiError(400, BAD_REQUEST, "not a message_out map")
    if isinstance(data, dict):
        data = _pvt(data)
    elif not isinstance(data, str) and not payload.is_number(data):
        raise ApiError(400, BAD_REQUEST, "data is text, a number or a PVT map")
    message = {"appId": app_id, "messageType": "DATA", "data": data}
    if ts is not None:
        if not payload.is_int(ts) or ts < 0:
            raise ApiError(400, BAD_REQUEST, "ts is an unsigned number of milliseconds")
        if ts:  # 0 is what a device sends whose clock is not set
            message["ts"] = ts
    return message


def _pvt(data):
    if not _PVT_REQUIRED <= data.keys() <= _PVT.keys() or not all(map(payload.is_number, data.values())):
        raise ApiError(400, BAD_REQUEST, "not a PVT map")
    return {_PVT[key]: data[key] for key in sorted(data)}
