"""sara_r5: assistance for the receiver as UBX-MGA frames through +UGUBX (modems.md 2D.5, 3.6).

Called through modem.family.Family. RAM: modem.given, what the receiver took (gnss.ubx_need).
"""

import asyncio
import struct
from errno import EINVAL

from micropython import const

from at.errors import ATError
from gnss.agnss_ubx import frames, hints
from gnss.ubx import POLL_ORB, POLL_PVT, accepted, frame, orbits, when
from gnss.ubx_need import Given
from modem.sara_r5.tunnel import exchange

_MGA_ACK = (0x13, 0x60)
_NO_TIME = const(1)  # what the receiver says of a frame
_NOT_READY = const(5)
_TRIES = const(3)
_ACK_AIDING = const(0x10110025)  # CFG-NAVSPG-ACKAIDING


def _given(modem):
    if modem.given is None:
        modem.given = Given()
    return modem.given


async def gnss_need(modem, timeout_ms):
    """-> need record, or None: it needs nothing. What it holds, and whether it knows the time, is asked of it; if not,
    it is told the network's. `timeout_ms` is of no use: each question has its own."""
    if modem.gnss is None or modem.gnss.over:
        return None
    given = _given(modem)
    now_s = held = None
    try:
        reply = await exchange(modem, POLL_PVT)
        now_s = when(reply[2]) if reply and reply[:2] == (1, 7) else None
        if now_s is None:
            now_s = await modem.time()
            if now_s is not None:
                await gnss_hint(modem, now_s)
        reply = await exchange(modem, POLL_ORB)
        held = orbits(reply[2]) if reply and reply[:2] == (1, 0x34) else None
    except ATError as refusal:  # busy: then by what it was given
        modem.note("%s", refusal)
    return given.need(now_s, now_s is not None, False, held)


async def agnss_inject(modem, blob):
    """Hand over an nRF Cloud A-GNSS answer: bytes-like, or a list of its chunks. OSError(EINVAL) when it is none;
    ATError when the receiver takes no more."""
    try:
        await _give_all(modem, frames(blob), None)
    except ValueError as error:
        raise OSError(EINVAL, str(error))


async def gnss_hint(modem, unix_s, place=None):
    """Tell it the time and a rough position (modem.base), for want of anything better; None: not that one."""
    await _give_all(modem, hints(unix_s, place), unix_s)


async def _give_all(modem, source, now_s):
    if modem.gnss is None:
        raise OSError(EINVAL, "receiver is off")
    given = _given(modem)
    count = taken = 0
    for one in source:
        if not modem.gnss.acks:
            await _want_acks(modem)
            modem.gnss.acks = True
        if not count and now_s is None:
            now_s = await modem.time()
        count += 1
        if await _give(modem, one):
            taken += 1
            given.took(one, now_s)
    modem.note("assistance: %d of %d frames taken", taken, count)


async def _give(modem, one):
    """-> whether the receiver took the frame, or did not say otherwise."""
    code = None
    for tries in range(_TRIES):
        reply = await exchange(modem, one)
        code = accepted(reply[2], one) if reply and reply[:2] == _MGA_ACK else None
        if code == _NO_TIME:
            now_s = await modem.time()
            if now_s is None:
                break
            for hint in hints(now_s, None):
                await exchange(modem, hint)
        elif code == _NOT_READY:
            await asyncio.sleep_ms(modem.retry_ms << tries)
        else:
            break
    return not code


async def _want_acks(modem):
    """Ask for a word on each frame, in the way of M8 (CFG-NAVX5) and of M10 (CFG-VALSET); without, all goes as well."""
    buf = bytearray(48)
    struct.pack_into("<HH", buf, 6, 2, 0x400)  # version; only this setting
    buf[6 + 17] = 1
    vals = bytearray(17)
    struct.pack_into("<BBHIB", vals, 6, 0, 1, 0, _ACK_AIDING, 1)  # version, RAM
    for made, ident, n in ((buf, 0x23, 40), (vals, 0x8A, 9)):
        try:
            reply = await exchange(modem, memoryview(made)[: frame(made, 6, ident, n)])
            if reply and reply[:2] == (5, 1):
                return
        except ATError:
            pass
