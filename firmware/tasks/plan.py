"""How to find the position this time, and what is remembered of it: the policy of tasks/locate.

Cells cost a datagram, a search of the sky costs minutes of radio, and where the receiver shares the radio with LTE
(GNSS_ALONE) the session, too. So: nothing at all while the node has not moved since its last fix; cells alone when the
battery is low, or when the last searches saw no sky from here; cells first when they may be good enough, or when they
cannot be asked afterwards; else the sky first, and cells when it gives nothing.

`state.tries` is how the searches went: (searches in a row without a fix, clock.uptime_ms() of the last, `_mark` of the
cells there, or None).
"""

import struct

from micropython import const

import clock
import log
from tasks.locate import degrees

_CELL_M = const(500)  # as good as cells can be, about
_FADING_DB = const(6)  # what a level changes by while nobody moves
_DAY_S = const(86400)  # nothing is taken for granted longer
_WORST_MM = const(100000)  # a fix of a receiver that does not say how good it is
_NO_TA = const(65535)
_ENTRY = "<IHh"
_SIZE = const(8)
_EPOCH_S = const(1735689600)  # 2025: no fix is older than this code

_CELLS, _SKY = "tasks.place", "tasks.search"  # steps of tasks/locate
# (has a receiver, may search, linked, cells may do or cannot be asked later) -> steps; None fits both. The first wins.
_TABLE = (
    ((None, False, True, None), (_CELLS,)),
    ((False, None, True, None), (_CELLS,)),
    ((None, False, False, None), ()),
    ((False, None, False, None), ()),
    ((True, True, False, None), (_SKY,)),
    ((True, True, True, True), (_CELLS, _SKY)),
    ((True, True, True, False), (_SKY, _CELLS)),
)


async def run(visit):
    """-> names of the steps to take, in order, until one finds what is wanted. Measures the cells, if need be."""
    state, config = visit.state, visit.config
    linked = state.link.is_set()
    moved = visit.moved() if visit.moved else None
    tries = state.tries
    age_s = _DAY_S if tries is None else (clock.uptime_ms() - tries[1]) // 1000
    if moved and tries:
        state.tries = tries = tries[:2] + (None,)  # so it stays until the next search, whatever the sensor says then
    elif moved is False and tries and tries[2] is None:
        moved = True
    if linked and not (moved is False and _holds(tries, age_s)):
        from tasks.place import measure

        await measure(visit)
        visit.mark = state.cell and _mark(state.cell)
    if moved is None:
        moved = not (config["locate_movement"] == "cells" and tries and _same(tries[2], visit.mark))
    if not moved and _holds(tries, age_s):
        log.info("locate", "not moved since the last fix, %d s ago", age_s)
        return ()
    blind = not moved and bool(tries) and age_s < _pause_s(tries[0], config["locate_interval_s"])
    if blind:
        log.info("locate", "no sky from here in %d searches", tries[0])
    caps = visit.receiver.caps
    accuracy_m = config["locate_accuracy_m"]
    first = "GNSS_ALONE" in caps or not 0 < accuracy_m < _CELL_M
    return _steps("GNSS" in caps, not (blind or state.low), linked, first)


def _steps(*case):
    for wanted, steps in _TABLE:
        if all([want is None or want == is_so for want, is_so in zip(wanted, case)]):
            return steps
    return ()


def _holds(tries, age_s):
    """-> whether the last search gave a fix that can still be the position."""
    return bool(tries) and not tries[0] and age_s < _DAY_S


def _pause_s(failures, interval_s):
    """-> seconds without a search after so many in vain: none after one, then twice as long each time, up to a day."""
    return min(interval_s << min(failures - 1, 12), _DAY_S) - interval_s // 2 if failures > 1 else 0


def _mark(cell):
    """-> bytes that say where `cell` (modem.base) was measured: serving cell, timing advance, levels, neighbours."""
    ta = cell.get("ta")
    entries = [(one["earfcn"] or 0, one["pci"] or 0, one["rsrp_dbm"] or 0) for one in cell["neighbours"]]
    entries.sort()
    entries.insert(0, (cell["eci"] or 0, _NO_TA if ta is None else ta, cell["rsrp_dbm"] or 0))
    # Noise on the modem's line makes numbers that do not fit.
    return b"".join([struct.pack(_ENTRY, a & 0xFFFFFFFF, b & 0xFFFF, max(c, -999)) for a, b, c in entries])


def _same(a, b):
    """-> whether two marks are of one place, as far as cells tell: one serving cell at the same timing advance, the
    same neighbours, levels that differ by fading only. A single cell tells nothing."""
    if not a or not b or len(a) != len(b) or len(b) <= _SIZE:
        return False
    for at in range(0, len(b), _SIZE):
        was = struct.unpack(_ENTRY, a[at : at + _SIZE])
        now = struct.unpack(_ENTRY, b[at : at + _SIZE])
        if was[:2] != now[:2] or (was[2] and now[2] and abs(was[2] - now[2]) > _FADING_DB):
            return False
    return True


def take(visit, fix, how, seconds):
    """A search ended after `seconds` with `fix` (modem.base) or None, with `how` as assistance: the fix goes into the
    journal, and how it was got; -> whether it is one."""
    state = visit.state
    failures = 0 if fix else (state.tries[0] if state.tries else 0) + 1
    state.tries = (failures, clock.uptime_ms(), visit.mark or (b"" if visit.moved else None))
    if fix is None:
        log.warn("locate", "no GNSS fix in %d s", seconds)
        return False
    fix["time"] = _when(fix["time"])
    if fix["acc_mm"] is None:
        fix["acc_mm"] = _WORST_MM  # the cloud wants a number, and 0 would be the best there is
    state.fix = fix
    at_ms = fix["time"] and fix["time"] * 1000
    visit.records.add("gnss", fix, at_ms)
    # What the message of a fix has no room for (nrfcloud.md 5.5), under the same time.
    visit.records.add("fix", "method=gnss assistance=%s ttff_s=%d" % (how, seconds), at_ms)
    metres = fix["acc_mm"] // 1000
    log.info("locate", "GNSS fix after %d s: %s within %d m, assistance %s", seconds, degrees(fix), metres, how)
    return True


def _when(fix_s):
    """-> Unix time of a fix: what the receiver says, unless it cannot be (it lost count of its weeks); then ours, or
    None. Without one of our own the receiver's is taken for it."""
    now_s = clock.now()
    if now_s is None:
        if not fix_s or fix_s < _EPOCH_S:
            return None
        clock.set_utc(fix_s * 1000)
    elif not fix_s or abs(fix_s - now_s) > _DAY_S:
        log.warn("locate", "the receiver's date is wrong: %s", fix_s)
        return now_s
    return fix_s
