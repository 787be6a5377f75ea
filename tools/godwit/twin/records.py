"""The twin's own records: what happened, straight into SQLite, and the summary of GET /twin/records.

Sessions with traffic, every request, every authentication, every proxied block, errors of the twin.
Traffic counters live in the session objects and are flushed every half second, on close and before a
summary. Each row is also an event line for whoever watches the twin's standard output.
Called by server.py, site.py, proxy.py, fota.py; read by rest_twin.py.
"""

import time
import traceback

_TRAFFIC = ("datagrams_up", "datagrams_down", "bytes_up", "bytes_down")


class Records:
    """Writes the record tables. `emit(event, **fields)` is the line on standard output."""

    def __init__(self, store, emit):
        self._store = store
        self._emit = emit
        self._open = {}  # id -> Session
        # a twin that was killed could not close its sessions
        store.run("UPDATE session SET closed_at = opened_at, reason = 'twin stopped' WHERE closed_at IS NULL")

    def session_opened(self, session):
        """A handshake is complete: gives the session its id."""
        now = self._store.now_ms()
        session.id = self._store.insert(
            "session", opened_at=now, addr=_addr(session.addr), cipher=session.cipher,
            handshake_ms=int((time.monotonic() - session.started) * 1000),
            handshake_datagrams=session.handshake_datagrams, **session.traffic,
        )  # fmt: skip
        self._open[session.id] = session
        cid = session.cid.hex() if session.cid else None
        if cid:
            self._store.insert("session_cid", session=session.id, cid=cid)
        self._emit("handshake", session=session.id, addr=_addr(session.addr), cipher=session.cipher, cid=cid)

    def session_rebound(self, session, old):
        """A session goes on from another address."""
        now, addr = self._store.now_ms(), _addr(session.addr)
        self._store.insert("rebind", t=now, session=session.id, old=_addr(old), addr=addr)
        self._store.run("UPDATE session SET addr = ? WHERE id = ?", addr, session.id)
        self._emit("rebind", session=session.id, device=session.device, old=_addr(old), addr=addr)

    def session_closed(self, session, reason):
        """A session is gone."""
        self._flush_one(session)
        self._open.pop(session.id, None)
        now = self._store.now_ms()
        self._store.run("UPDATE session SET closed_at = ?, reason = ? WHERE id = ?", now, reason, session.id)
        self._emit("session_end", session=session.id, device=session.device, reason=reason)

    def handshake_failed(self, addr, reason):
        """A handshake did not come to its end."""
        self._store.insert("handshake_failure", t=self._store.now_ms(), addr=_addr(addr), reason=reason)
        self._emit("handshake_failed", addr=_addr(addr), reason=reason)

    def auth(self, call, device, code, reason):
        """An authentication, good or bad."""
        self._store.insert(
            "auth", t=self._store.now_ms(), session=call.session.id, device=device, path="/".join(call.path),
            query="&".join(call.query), code=code.dotted, reason=reason,
        )  # fmt: skip
        if reason is None:
            self._store.run("UPDATE session SET device = ? WHERE id = ?", device, call.session.id)
        self._emit("auth", session=call.session.id, device=device, code=code.dotted, ok=reason is None, reason=reason)

    def request(self, call, answer, bytes_in):
        """One request (`kind` CON or NON) and its answer: bytes of payload, Content-Format (or None) of each."""
        form = answer.opt.content_format
        fields = {
            "session": call.session.id,
            "device": call.device,
            "method": call.method,
            "path": "/".join(call.path),
            "query": "&".join(call.query),
            "code": answer.code.dotted,
            "bytes_in": bytes_in,
            "bytes_out": len(answer.payload),
            "format": call.content_format,
            "accept": call.accept,
            "answer_format": None if form is None else int(form),
            "kind": call.message.mtype.name,
        }
        self._store.insert("request", t=self._store.now_ms(), wall_ms=time.time_ns() // 1_000_000, **fields)
        self._emit("request", **fields)

    def proxy_block(self, call, host, path, offset, size):
        """One block of a file that went out."""
        self._store.insert(
            "proxy_block", t=self._store.now_ms(), session=call.session.id, device=call.device, host=host,
            path=path, offset=offset, size=size,
        )  # fmt: skip
        self._emit("proxy", device=call.device, path=path, offset=offset, size=size)

    def fota(self, job, device, status, detail):
        """An execution changed its status."""
        self._emit("fota", job=job, device=device, status=status, detail=detail)

    def rest(self, method, path, status):
        """A REST call was answered."""
        self._emit("rest", method=method, path=path, status=status)

    def error(self, place, exc):
        """A bug of the twin: kept with its traceback."""
        text = "".join(traceback.format_exception(exc))
        self._store.insert("error", t=self._store.now_ms(), place=place, error=text)
        self._emit("error", place=place, error=f"{type(exc).__name__}: {exc}")

    def flush(self):
        """Write the traffic counters of open sessions."""
        for session in list(self._open.values()):
            self._flush_one(session)

    def _flush_one(self, session):
        names = ", ".join(f"{name} = ?" for name in _TRAFFIC)
        values = [session.traffic[name] for name in _TRAFFIC]
        self._store.run(f"UPDATE session SET {names} WHERE id = ?", *values, session.id)


def _addr(addr):
    return f"{addr[0]}:{addr[1]}"
