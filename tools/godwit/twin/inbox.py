"""Where device messages are kept: the message list, and what grows out of some of them (facts 6).

Every message becomes a row of `message`. A GNSS message with a position also becomes location history, an
ALERT becomes a row of `alert` (ACTIVE until an operator archives it), bytes of .../d2c/bin a row of
`binary_log`, without their dictionary-log header when they have one.
Called by messages.py (devices) and the REST files (operators who send in a device's name).
"""

import base64
import binascii
import struct
import uuid

from . import payload
from .errors import BAD_REQUEST, ApiError
from .store import dumps, iso, loads

# magic, format (1 is Zephyr's dictionary log), padding, Unix ms, sequence number; then the log's bytes
LOG_HEADER = struct.Struct("<4sHHqI")
LOG_MAGIC = b"nRFC"


class Inbox:
    """The message, alert and binary_log tables."""

    def __init__(self, store, locations, limits):
        self._store = store
        self._locations = locations
        self._limits = limits

    def add(self, device, topic, message, received=None):
        """Keep a message (a JSON value; base64 text for bytes) that came in at `received` (ms, now when None).

        Raises ApiError 4.00 when the topic is for bytes and the message is not base64, and beyond the plan's limit.
        """
        self._limits.check("monthlyStoredDeviceMessages")
        received = received or self._store.now_ms()
        data = _bytes(message) if topic.endswith("/d2c/bin") else None
        app_id = message.get("appId") if isinstance(message, dict) else None
        app_id = app_id if isinstance(app_id, str) else None
        self._store.insert(
            "message", device=device, topic=topic, app_id=app_id, received_at=received, body=dumps(message)
        )
        if data is not None:
            self._store.insert("binary_log", device=device, received_at=received, **read_log(data))
        elif app_id == "GNSS":
            self._locations.add_gnss(device, message.get("data"))
        elif app_id == "ALERT" and payload.is_int(message.get("type")):
            self._add_alert(device, message, received)

    def _add_alert(self, device, message, received):
        ts = message.get("ts")
        self._store.insert(
            "alert", id=str(uuid.uuid4()), device=device, received_at=received,
            created_at=ts if payload.is_int(ts) and ts > 0 else received,
            status="ACTIVE", status_changed_at=None, status_changed_by=None, body=dumps(message),
        )  # fmt: skip


def message_document(row, tenant):
    """The REST view of a stored message."""
    return {
        "tenantId": tenant,
        "topic": row["topic"],
        "deviceId": row["device"],
        "receivedAt": iso(row["received_at"]),
        "message": loads(row["body"]),
    }


def read_log(data):
    """{"format", "ts" (Unix ms), "sequence", "data"} of the bytes of a binary log; all None but data without header."""
    if len(data) >= LOG_HEADER.size and data.startswith(LOG_MAGIC):
        _, form, _, ts, sequence = LOG_HEADER.unpack_from(data)
        return {"format": form, "ts": ts, "sequence": sequence, "data": data[LOG_HEADER.size :]}
    return {"format": None, "ts": None, "sequence": None, "data": data}


def _bytes(message):
    try:
        return base64.b64decode(message, validate=True)
    except (TypeError, ValueError, binascii.Error) as exc:
        raise ApiError(400, BAD_REQUEST, "a binary message is base64 text") from exc
