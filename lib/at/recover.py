"""Finding the way back to the command line of a modem whose state is unknown (modems.md 1.3.9, 1.4, 1.5).

Called by at.client after a timeout, a cancellation or a restart, and by its sync(); loaded only then, and an
application may drop it from sys.modules in between. RAM: none.
"""

import asyncio
from errno import ETIMEDOUT
from time import ticks_diff, ticks_ms

from micropython import const

from at.errors import ModemReset

_PROBES = const(10)
_SETTLE_MS = const(20)
_FILL = b"\r" * 64
_DATAGRAM = const(1536)  # no payload of a socket is longer
_LONGEST = const(8192)  # nor any payload at all


async def resync(at):
    """Drain, leave data mode, then two clean OK in a row and silence after them. `at`: Client, lock held.

    Raises OSError(ETIMEDOUT) when the modem does not answer.
    """
    at.suspect = True
    at.parser.resync()
    if hasattr(at.io, "out_buf"):
        at.io.out_buf = b""  # what a cancelled drain left behind must not go out now
    await _quiet(at, at.drain_ms)
    clean = 0
    for attempt in range(_PROBES):
        if clean == 0:
            await _escape(at, attempt)
        strays = at.parser.strays
        answered = await _probe(at)
        clean = clean + 1 if answered and at.parser.strays == strays else 0
        if clean == 2:
            await asyncio.sleep_ms(_SETTLE_MS)
            if at.parser.strays == strays:
                at.strays = strays
                at.suspect = at.cut = False
                return
            clean = 0
    raise OSError(ETIMEDOUT, "modem does not answer")


async def _quiet(at, limit_ms):
    """Wait until nothing has come for at.quiet_ms, `limit_ms` at most."""
    began = last = ticks_ms()
    while ticks_diff(ticks_ms(), began) < limit_ms:
        if ticks_diff(at.heard, last) > 0:
            last = at.heard
        left = at.quiet_ms - ticks_diff(ticks_ms(), last)
        if left <= 0:
            return
        await asyncio.sleep_ms(min(left, 50))


async def _escape(at, attempt):
    """What may stand between us and the command line: data mode, or a quoted string that was never closed."""
    if attempt % 3 == 0:
        if attempt or at.cut:
            # A counted payload ends by its count only. Line ends mean nothing in command mode.
            for _ in range((_DATAGRAM if attempt < 3 else _LONGEST) // len(_FILL)):
                await at.write(_FILL)
        if at.escape:
            await at.write(at.escape)
        if at.escape or at.cut:
            await asyncio.sleep_ms(at.probe_ms)
    elif attempt % 3 == 2:
        await at.write(b'"x\r')  # the x makes sure that the unfinished command is refused, not executed
        await _quiet(at, at.quiet_ms)


async def _probe(at):
    """-> whether the modem answered a bare AT with OK."""
    at.done.clear()
    at.parser.begin(b"AT")
    try:
        await at.write(b"AT\r")
        return (await at.done.wait(at.probe_ms))[0]
    except ModemReset:
        return False  # it is up again: the next probe will tell
    except OSError as error:
        if error.errno != ETIMEDOUT or at.dead is not None:
            raise
        return False
    finally:
        at.parser.end()
