"""GET /twin/records: everything the twin knows to have happened, read back from SQLite.

{"totals": {...}, "devices": {id: {...}}, "sessions": [...], "requests": [...], "auth": [...], ...}; times are
world milliseconds. A summary of a day, and every check of it, is made from this and from REST alone.
Called by rest_twin.py.
"""

from . import pgps
from .store import loads

_SESSIONS = (
    "SELECT session.*, cid, (SELECT COUNT(*) FROM rebind WHERE rebind.session = session.id) rebinds"
    " FROM session LEFT JOIN session_cid ON session_cid.session = session.id ORDER BY id"
)
_TRAFFIC = ("datagrams_up", "datagrams_down", "bytes_up", "bytes_down")


def summary(store, link, transport, now_ms, dropped):
    """The whole record as one JSON object. `link`, `transport` and `dropped` (by name) give
    counters that no session owns."""
    return {
        "now": now_ms,
        "totals": _totals(store, link, transport, dropped),
        "devices": {row["id"]: _device(store, row) for row in store.all("SELECT * FROM device")},
        "sessions": _rows(store, _SESSIONS),
        "handshake_failures": _rows(store, "SELECT t, addr, reason FROM handshake_failure ORDER BY n"),
        "auth": _rows(store, "SELECT t, session, device, path, query, code, reason FROM auth ORDER BY n"),
        "requests": _rows(store, "SELECT * FROM request ORDER BY n"),
        "errors": _rows(store, "SELECT t, place, error FROM error ORDER BY n"),
    }


def _totals(store, link, transport, dropped):
    names = ", ".join(f"COALESCE(SUM({name}), 0) {name}" for name in _TRAFFIC)
    traffic = dict(store.one(f"SELECT {names} FROM session"))
    count = {
        "handshakes": "SELECT COUNT(*) FROM session",
        "handshake_failures": "SELECT COUNT(*) FROM handshake_failure",
        "rebinds": "SELECT COUNT(*) FROM rebind",
        "requests": "SELECT COUNT(*) FROM request",
        "auth_ok": "SELECT COUNT(*) FROM auth WHERE reason IS NULL",
        "auth_failed": "SELECT COUNT(*) FROM auth WHERE reason IS NOT NULL",
        "messages": "SELECT COUNT(*) FROM message",
        "locations": "SELECT COUNT(*) FROM location",
        "alerts": "SELECT COUNT(*) FROM alert",
        "proxy_bytes": "SELECT COALESCE(SUM(size), 0) FROM proxy_block",
        "errors": "SELECT COUNT(*) FROM error",
    }
    totals = {name: store.value(sql) for name, sql in count.items()}
    # of this process only: loss is a property of the running link, repeats of the message layer
    lost = {name: value for name, value in link.counters.items() if name.startswith("dropped")}
    return {**totals, **traffic, **lost, **dropped, "repeats": transport.repeats, "malformed": transport.malformed}


def _device(store, row):
    device = row["id"]
    names = ", ".join(f"COALESCE(SUM({name}), 0) {name}" for name in _TRAFFIC)
    apps = store.all("SELECT COALESCE(app_id, '') a, COUNT(*) c FROM message WHERE device = ? GROUP BY a", device)
    fixes = store.all("SELECT service s, COUNT(*) c FROM location WHERE device = ? GROUP BY s", device)
    codes = store.all(
        "SELECT method || ' ' || path || ' ' || code k, COUNT(*) c FROM request WHERE device = ? GROUP BY k", device
    )
    return {
        "shadow_version": row["version"],
        "handshakes": store.value("SELECT COUNT(*) FROM session WHERE device = ?", device),
        "auth_ok": store.value("SELECT COUNT(*) FROM auth WHERE device = ? AND reason IS NULL", device),
        "auth_failed": store.value("SELECT COUNT(*) FROM auth WHERE device = ? AND reason IS NOT NULL", device),
        "requests": store.value("SELECT COUNT(*) FROM request WHERE device = ?", device),
        "codes": {item["k"]: item["c"] for item in codes},
        "traffic": dict(store.one(f"SELECT {names} FROM session WHERE device = ?", device)),
        "messages": {item["a"]: item["c"] for item in apps},
        "fixes": {item["s"]: item["c"] for item in fixes},
        "executions": [_execution(store, item) for item in _executions(store, device)],
        "downloads": _downloads(store, device),
    }


def _executions(store, device):
    return store.all("SELECT * FROM execution WHERE device = ? ORDER BY n", device)


def _execution(store, row):
    history = "SELECT t, status, status_detail, by FROM execution_history WHERE job = ? AND device = ? ORDER BY n"
    return {
        "job": row["job"],
        "status": row["status"],
        "detail": row["status_detail"],
        "document": loads(row["document"]),
        "history": _rows(store, history, row["job"], row["device"]),
    }


def _downloads(store, device):
    """Per file: what was served, how much of it twice, and each block as [t, session, offset, size]."""
    blocks = {}
    for row in store.all("SELECT * FROM proxy_block WHERE device = ? ORDER BY n", device):
        blocks.setdefault((row["host"], row["path"]), []).append(row)
    result = []
    for (host, path), rows in blocks.items():
        spans = [(row["offset"], row["offset"] + row["size"]) for row in rows]
        served = sum(row["size"] for row in rows)
        result.append(
            {
                "host": host,
                "path": path,
                "size": _size(store, host, path),
                "served": served,
                "distinct": _covered(spans),
                "blocks": [[row["t"], row["session"], row["offset"], row["size"]] for row in rows],
            }
        )
    return result


def _size(store, host, path):
    size = store.value("SELECT length(data) FROM file WHERE host = ? AND path = ?", host, path)
    return pgps.Files().size(host, path) if size is None else size


def _covered(spans):
    """Bytes covered by a set of [start, end) spans."""
    total, reached = 0, 0
    for start, end in sorted(spans):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _rows(store, sql, *args):
    return [dict(row) for row in store.all(sql, *args)]
