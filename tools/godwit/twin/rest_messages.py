"""REST: messages (list and send), alerts, binary logs (facts 6, 14.2). inbox.py keeps what is sent.

Called through rest_app.py.
"""

import base64
import binascii
import io
import re
import time
import zipfile

from starlette.responses import Response

from .errors import NOT_FOUND, invalid, not_found
from .inbox import message_document
from .rest_app import listing, query
from .rest_query import milliseconds, time_range
from .store import dumps, iso, loads

_DAY_MS = 86_400_000
_TOPIC = re.compile(r"(?:.*/)?d/([A-Za-z0-9:_-]{1,128})/((?:d2c|c2d)(?:/[A-Za-z0-9_.:@-]{1,128})*)")


class MessageRoutes:
    """Handlers of /v1/messages, /v1/devices/{deviceId}/messages, /v1/alerts and /v1/binary-logs."""

    def __init__(self, store, devices, inbox, downloads):
        self._store = store
        self._devices = devices
        self._inbox = inbox
        self._downloads = downloads

    def routes(self):
        """(method, path, handler) triples."""
        return [
            ("GET", "/v1/messages", self.list),
            ("POST", "/v1/devices/{deviceId}/messages", self.send),
            ("GET", "/v1/alerts", self.alerts),
            ("PATCH", "/v1/alerts/{id}/archive", self.archive),
            ("PATCH", "/v1/alerts/{id}/restore", self.restore),
            ("GET", "/v1/binary-logs/url", self.binary_logs),
        ]

    async def list(self, request):
        """Stored messages, newest first."""
        asked = request.state.values
        if "appId" in asked and "topic" in asked:
            raise invalid("appId and topic cannot be combined")
        where, args = time_range(request, "received_at")
        for column, name in (("app_id", "appId"), ("topic", "topic"), ("device", "deviceId")):
            if name in asked:
                where.append(f"{column} = ?")
                args.append(asked[name])
        rows, more = self._store.page("message", "id", where, args, query(request))
        return listing([message_document(row, self._store.tenant) for row in rows], more)

    async def send(self, request):
        """Publish on a device's behalf; the topic says whose message it is (d/{id}/..., with whatever before it)."""
        device = request.path_params["deviceId"]
        self._devices.need(device)
        value = request.state.json
        found = _TOPIC.fullmatch(value.get("topic", f"d/{device}/d2c"))
        if not found:
            raise invalid("topic: must be d/<device id>/d2c... or /c2d..., perhaps with m/ or the prefix before it")
        device, name = found.groups()
        self._devices.need(device)
        messages = _messages(value["message"], name)
        received = self._store.now_ms()
        with self._store.transaction():
            for message in messages:
                self._inbox.add(device, f"d/{device}/{name}", message, received)
        return Response(status_code=202)

    async def alerts(self, request):
        """Alerts, newest first."""
        asked = request.state.values
        where, args = [], []
        if "deviceIds" in asked:
            where.append("device IN (SELECT value FROM json_each(?))")
            args.append(dumps(asked["deviceIds"]))
        if "status" in asked:
            where.append("status = ?")
            args.append(asked["status"])
        rows, more = self._store.page("alert", "n", where, args, query(request))
        return listing([_alert_document(row) for row in rows], more)

    async def archive(self, request):
        """ACTIVE -> ARCHIVED."""
        return self._set_alert(request, "ARCHIVED")

    async def restore(self, request):
        """ARCHIVED -> ACTIVE."""
        return self._set_alert(request, "ACTIVE")

    async def binary_logs(self, request):
        """A zip of what a device sent to d2c/bin in a range of at most 24 hours, one file per log."""
        asked = request.state.values
        self._devices.need(asked["deviceId"])
        now = self._store.now_ms()
        end = milliseconds(asked["end"], "end") if "end" in asked else now
        start = milliseconds(asked["start"], "start") if "start" in asked else end - _DAY_MS
        if not 0 <= end - start <= _DAY_MS:
            raise invalid("start and end must be at most 24 hours apart")
        rows = self._store.all(
            "SELECT * FROM binary_log WHERE device = ? AND received_at >= ? AND received_at <= ? ORDER BY n",
            asked["deviceId"], start, end,
        )  # fmt: skip
        if not rows:
            raise not_found("no binary logs of this device in this time", 40499)
        data = _zip(rows)
        url = self._downloads.add(request, f"{asked['deviceId'].replace(':', '_')}.zip", "application/zip", data)
        return {"url": url, "contentLength": len(data)}

    def _set_alert(self, request, status):
        number = request.path_params["id"]
        row = self._store.one("SELECT * FROM alert WHERE id = ?", number)
        if row is None:
            raise not_found("alert not found", NOT_FOUND)
        if row["status"] != status:
            self._store.run(
                "UPDATE alert SET status = ?, status_changed_at = ?, status_changed_by = ? WHERE id = ?",
                status, self._store.now_ms(), self._store.user, number,
            )  # fmt: skip
        return _alert_document(self._store.one("SELECT * FROM alert WHERE id = ?", number))


def _messages(message, name):
    """What is stored of a message to a topic: an array to bulk is taken apart. Raises ApiError 422."""
    if isinstance(message, str):
        try:
            base64.b64decode(message, validate=True)
        except (binascii.Error, ValueError) as exc:
            raise invalid("message: a text must be the base64 of bytes") from exc
    elif name == "d2c/bin":
        raise invalid("message: a binary log is base64 text")
    return message if isinstance(message, list) and name == "d2c/bulk" else [message]


def _alert_document(row):
    document = {
        "id": row["id"],
        "deviceId": row["device"],
        "createdAt": iso(row["created_at"]),
        "receivedAt": iso(row["received_at"]),
        "statusChangedAt": iso(row["status_changed_at"]),
        "statusChangedBy": row["status_changed_by"],
        "status": row["status"],
        "originalMessage": loads(row["body"]),
    }
    return {name: value for name, value in document.items() if value is not None}


def _zip(rows):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for row in rows:
            at = row["ts"] or row["received_at"]
            # zip knows no year before 1980 nor after 2107; the name has the time in full
            moment = time.gmtime(min(max(at, 315532800000), 4354819198000) // 1000)
            info = zipfile.ZipInfo(f"{at}_{row['sequence'] or 0}_{row['n']}.bin", moment[:6])
            archive.writestr(info, row["data"], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
