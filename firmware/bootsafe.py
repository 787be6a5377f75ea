"""What becomes of a node whose starts end badly: they are counted, slowed down, and end in safe mode. A factory file.

Beside bootsel.py, which loads it for a start only. `fails` in the state record counts the starts in a row that have not
proved themselves; each is counted before anything of the application is imported, and taken back when it ends by
decision. The table of what follows from it is in firmware/README.md. A start after the power came, or out of deep
sleep, counts only when it is seen to end badly: a solar node that loses its power twenty times a day is not dying. Nor
does one on trial, which has its tries. At most two small writes a start. RAM: 150 bytes, while it lasts.
"""

import os
import sys
import time
from binascii import crc32

from micropython import const

import bootsel

FIRST_S = 30
_LAST_S = const(3600)
_DOUBLINGS = const(7)
_WAITS = const(3)  # this many starts in a row, the present one included: it waits
_SAFE = const(4)  # it is in safe mode
_TURNS = const(8)  # and every second one is the other slot's
_FEED_MS = const(1200000)  # the longest that an application may go without feeding the watchdog; it does so every 900 s
_HUNG = const(5)  # index into bootsel.REASONS
_TEXT = const(120)  # bytes; lfs2 keeps up to 128 inline

sleep_ms = time.sleep_ms  # the desk has time to skip


# --- before the application


def ended():
    """Return (whether this start counts from the beginning, whether the watchdog ended the one before), by the chip's
    reset cause. A board that does not know it counts what is seen to end badly only."""
    try:
        import machine

        cause = machine.reset_cause()
        return cause not in (machine.PWRON_RESET, machine.DEEPSLEEP_RESET), cause == machine.WDT_RESET
    except (ImportError, AttributeError):
        return False, False


def count(root, state, trial, tried=False):
    """Count a start in `state`, durably; not one on `trial`, nor the one after such a trial failed (`tried`).

    Return (seconds to wait, whether the other slot comes first, what `info` says of it: {"fails": starts in a row,
    "counted": this one is in it, "safe": safe mode, "died": how the last of them ended, "why": what the crash said
    that ended the last trial}).
    """
    counts, hung = ended()
    counts = counts and not trial and not tried
    if counts:
        state["fails"] = min(state["fails"] + 1, 255)
        if hung:
            state["cause"] = _HUNG
        try:
            bootsel.write(root, state)
        except OSError:
            state["fails"] = max(state["fails"], _WAITS)  # what cannot be counted must not be fast
    fails = 0 if trial else state["fails"]
    wait_s = _wait_s(fails)
    if not counts:
        wait_s = min(wait_s, FIRST_S)  # somebody has switched it on, or the sun has risen
    said = _text(root, state)
    died = "" if trial else _died(state, said)
    facts = {"fails": fails, "counted": counts, "safe": fails >= _SAFE, "died": died}
    facts["why"] = said if state["result"] > 1 and not died else ""
    return wait_s, fails >= _TURNS and not fails & 1, facts


def _wait_s(fails):
    """Seconds before the start number `fails` in a row: FIRST_S, doubling, less up to a quarter by chance."""
    if fails < _WAITS:
        return 0
    wait_s = min(FIRST_S << min(fails - _WAITS, _DOUBLINGS), _LAST_S)
    return wait_s - wait_s * os.urandom(1)[0] // 1024


def _text(root, state):
    """Return what the crash said that `state` speaks of, "" for none."""
    if not state["why"]:
        return ""
    try:
        with open(root + "/boot.why", "rb") as f:
            said = f.read(_TEXT)
        return said.decode() if state["why"] == crc32(said) else ""
    except (OSError, ValueError):
        return ""


def _died(state, said):
    """Return how the last start ended that ended badly, "" if that was no start of this image."""
    word = bootsel.REASONS[state["cause"]] if 0 < state["cause"] < len(bootsel.REASONS) else ""
    return "%s: %s" % (word, said) if word == "crashed" and said else word


def pause(seconds):
    """Wait, second by second: the terminal's Ctrl-C comes through."""
    if seconds:
        print("godwit: the last starts ended badly; next in", seconds, "s (Ctrl-C: prompt)")
    for _ in range(seconds):
        sleep_ms(1000)


def guard():
    """Start the watchdog, before anything of the application is imported. board.feed_watchdog() feeds it."""
    try:
        import machine

        machine.WDT(timeout=_FEED_MS)
    except (ImportError, AttributeError, ValueError, TypeError, OSError):
        pass  # none, or one for seconds only, which is the board's affair: see boards/README.md


def reset():
    """Reset the chip. A port that cannot ends in the prompt."""
    import machine

    machine.reset()


# --- after, or from within it


def crashed(running, error):
    """The application has ended with `error`, or without one (None): say so, remember it, and reset. Ctrl-C is no end
    of that kind: it leads to the prompt."""
    if isinstance(error, KeyboardInterrupt):
        print("godwit: stopped at the terminal; a reset goes on")
        return
    said = "%s: %s" % (type(error).__name__, error) if error else "nothing left to run"
    if error:
        sys.print_exception(error)
    print("godwit: the application ended:", said)
    try:
        fail(running["root"], running, "crashed", said)
    except (OSError, MemoryError) as problem:
        print("godwit: not kept:", problem)  # the start is counted, for all that
    reset()


def fail(root, running, reason, said=""):
    """This start ends badly, for `reason` (of bootsel.REASONS). Raises OSError."""
    state = bootsel.read(root)
    state["why"] = _keep(root, said) if said else 0
    state["cause"] = bootsel.REASONS.index(reason)
    if not running["pending"] and not running["counted"]:
        state["fails"] = min(state["fails"] + 1, 255)
    bootsel.write(root, state)
    running["counted"] = True


def _keep(root, said):
    """Write the text of a crash; return its CRC32, 0 when flash did not take it."""
    raw = said.encode()
    if len(raw) > _TEXT:
        n = _TEXT
        while raw[n] & 0xC0 == 0x80:
            n -= 1  # not in the middle of a character
        raw = raw[:n]
    try:
        with open(root + "/boot.why", "wb") as f:
            f.write(raw)
    except OSError:
        return 0
    return crc32(raw)


def leave(root, running, fails=None):
    """This start ends by decision: it was none of those. `fails`: what to count instead. Raises OSError."""
    if running["pending"] or not running["counted"] and fails is None:
        return
    state = bootsel.read(root)
    state["fails"] = max(state["fails"] - 1, 0) if fails is None else fails
    bootsel.write(root, state)
    running["counted"] = False


def confirm(root, running):
    """This start has proved itself. Of safe mode that proves safe mode only: the next will be one as well, and soon.
    Raises OSError."""
    state = bootsel.read(root)
    fails = state["fails"]
    if running["safe"]:
        fails = min(fails, _SAFE - 1)
        if running["slot"] != state["active"]:
            return  # the other slot's turn is what works
    else:
        if state["cause"]:
            state["why"] = 0  # it belongs to that
        fails = state["cause"] = 0
    if fails != state["fails"]:
        state["fails"] = fails
        bootsel.write(root, state)
    running["counted"] = False
