"""The control socket: JSON lines over a Unix socket, for tests and for the day's orchestrator.

{"fault": NAME, "arg": X, "count": N} | {"clear": NAME or null} | {"do": "reset" or an action fault}
| {"get": "state" | "injected" | "counters" | "identity" | "scenario"}. Every line is answered with one line,
{"ok": true, ...} or {"ok": false, "error": "..."}.
"""

import asyncio
import json
import os

from godwit.modem.faults import FaultError

_LINE_MAX = 65536


class Control:
    """Serves one path."""

    def __init__(self, path, core):
        self._path = path
        self._core = core
        self._server = None

    async def start(self):
        """Begin to listen; an old socket file is replaced. Raises OSError."""
        if os.path.exists(self._path):
            os.unlink(self._path)
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=_LINE_MAX)

    def close(self):
        """Stop listening."""
        if self._server is None:
            return
        self._server.close()
        if os.path.exists(self._path):
            os.unlink(self._path)

    async def _serve(self, reader, writer):
        try:
            while line := await reader.readline():
                writer.write(json.dumps(self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ValueError, ConnectionError):
            pass  # a line without end, or a peer that left
        finally:
            writer.close()

    def _answer(self, line):
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ValueError("not an object")
            return {"ok": True, **self._do(request)}
        except (FaultError, ValueError, TypeError) as err:
            return {"ok": False, "error": str(err)}

    def _do(self, request):
        faults = self._core.faults
        if "fault" in request:
            faults.apply(request["fault"], request.get("arg"), request.get("count"))
            return {}
        if "clear" in request:
            faults.clear(request["clear"])
            return {}
        if "do" in request:
            faults.apply({"reset": "reboot"}.get(request["do"], request["do"]), request.get("arg"))
            return {}
        values = {
            "state": self._core.state,
            "injected": lambda: {"injected": self._core.gnss.injected},
            "counters": lambda: {"counters": self._core.counters()},
            "identity": self._core.identity,
            "scenario": lambda: {"left": self._core.scenario.left() if self._core.scenario else []},
        }
        if request.get("get") not in values:
            raise ValueError("unknown request")
        return values[request["get"]]()
