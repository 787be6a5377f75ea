"""Trial: the health gate of a new version (fota.md 2.7). Runs only while an unconfirmed version does.

The gate opens when all of this has been seen since the start: the cloud accepted our device information, which carries
the version, in an authenticated session; the journal can be read, and the cloud took a record from it; there was heap
left, after a collection and between two errands. Then `running["sound"]` is set, and the update errand confirms.

Until then a new version has `_GATE_S`, and more where it is not to blame. What happens at the end is a table, `_judge`.
A restart counts a try, and the third try is the last.
"""

import gc
from errno import ECONNABORTED

from micropython import const

import clock
import coap
import log
from cloud.base import AuthError
from modem.base import Denied, SimError
from tasks import LINK_ERRORS

_GATE_S = const(600)
_SILENCE_S = const(3600)  # the network has us, and the cloud does not answer, or is unwell
_OUTAGE_S = const(86400)  # the network has not
_LOOK_S = const(10)
_TRIES = const(3)  # of bootsel; the last one ends with a reason
_FLOOR = const(8192)  # bytes: what an update that mends this version needs to begin with
_SOCKETS = const(1)  # rungs of tasks/ladder
_RADIO = const(3)
_REFUSALS = (0x81, 0x83)  # 4.01, 4.03


class Trial:
    """`restart()` and `give_up(reason)`, a word of bootsel.REASONS, do not return."""

    def __init__(self, state, running, records, restart, give_up):
        self._state = state
        self._running = running
        self._records = records
        self._restart = restart
        self._give_up = give_up
        self._free = None  # bytes free after a collection, in a session, while no errand ran

    async def run(self):
        running = self._running
        log.info("fota", "version %s is on trial, start %d", running["version"], running["tries"])
        verdict = None
        since = 0  # clock.uptime_ms() from which the time counts: while others are to blame it does not
        while True:
            self._look()
            fault = self._fault()
            if fault is None:
                running["sound"] = True
                return
            now = clock.uptime_ms()
            before, verdict = verdict, self._judge(fault)
            if before and verdict[0] < before[0]:
                since = now
            if now - since >= verdict[0] * 1000 or now >= _OUTAGE_S * 1000:
                break
            await clock.sleep(_LOOK_S if now < _GATE_S * 1000 else 6 * _LOOK_S)
        reason = verdict[1] or (None if running["tries"] < _TRIES else "unreached")
        log.error("fota", "version %s: %s; %s", running["version"], fault, reason or "restarting")
        if reason:
            self._give_up(reason)
        self._restart()

    def _look(self):
        """Errands come and go; what counts is what they leave. But what is enough beside one is enough."""
        if self._state.link.is_set():
            gc.collect()
            free = gc.mem_free()
            if free >= _FLOOR or not self._state.visiting:
                self._free = free

    def _fault(self):
        """-> what is missing, in the order in which it can be had; None when nothing is."""
        if not self._state.reported.is_set():
            return "reached nobody"
        if self._free is None or self._free < _FLOOR:
            return "memory"
        records = self._records
        try:
            records.peek(1)
        except OSError:
            return "queue"
        if not self._state.sent and (records.pending() or not self._state.heard):
            return "no record taken"
        return None

    def _judge(self, fault):
        """-> (seconds that it may stay like this, why the version is given up then; None: it gets another try)."""
        state = self._state
        linked = state.link.is_set()
        if fault == "queue" or (fault == "memory" and self._free is not None):
            return _GATE_S, fault
        if fault == "memory" and linked:
            return _SILENCE_S, fault  # nobody knows: errands have not let go of it yet
        problem, level = state.problem or (state.link_error, _SOCKETS)
        code = getattr(problem, "code", 0)
        if isinstance(problem, AuthError) or code in _REFUSALS:
            return _GATE_S, "unauthorised"
        if isinstance(problem, (Denied, SimError)):
            return _GATE_S, None
        if level == _RADIO and not linked:
            return _OUTAGE_S, "unreached"
        if code >= coap.SERVER_ERROR or code == coap.TOO_MANY_REQUESTS or _is_silence(problem, level):
            return _SILENCE_S, "unreached"
        return _GATE_S, "queue" if linked and state.reported.is_set() else None


def _is_silence(problem, level):
    """Whether the cloud did not answer, as far as the modem is well. A server that we refuse is not silent."""
    if level > _SOCKETS or not isinstance(problem, LINK_ERRORS):
        return False
    return not (isinstance(problem, OSError) and getattr(problem, "reason", None) and problem.args[0] == ECONNABORTED)
