"""Verbs of gnss.ublox.Receiver, as modem.base has them; each takes the receiver first (modems.md 3.5, 3.6).

Positions are polled (NAV-PVT): no setting is needed that a receiver without a battery would forget. Stateless; RAM:
what gnss.ublox and gnss.ublox_session say, and a frame.
"""

import asyncio
from errno import ENODEV, ETIMEDOUT
from time import ticks_diff, ticks_ms

from micropython import const

import clock
from gnss import ubx
from gnss.ublox_session import Session

_ALL = frozenset(("GNSS", "AGNSS", "TIMEHINT", "POSHINT"))
_PLAIN = frozenset(("GNSS",))

# CFG-VALSET of CFG-NAVSPG-ACKAIDING in RAM, for M9 and later; RXM-PMREQ: backup until the UART wakes it.
_ACKS_NEW = b"\xb5b\x06\x8a\x09\x00\x00\x01\x00\x00\x25\x00\x11\x10\x01\xe1\x3e"
_SLEEP = b"\xb5b\x02A\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x08\x00\x00\x00ak"
_WAKE = b"\xff" * 16  # edges; the bytes themselves are lost
_TRIES = const(4)
_MUTE = const(3)  # frames without an answer, one after the other, after which the receiver is gone
_SILENT = const(10)  # polls without an answer, likewise

_NO_TIME = const(1)
_NOT_READY = const(5)


def _acks_old(version):
    """CFG-NAVX5 with nothing but ackAiding: M8 and before."""
    buf = bytearray(48)
    buf[6] = version
    buf[9] = 0x04  # mask1: apply ackAiding
    buf[23] = 1
    ubx.frame(buf, 0x06, 0x23, 40)
    return buf


def _running(receiver):
    if receiver.gnss is None:
        raise OSError(ENODEV, "the receiver is off")
    return receiver.gnss


async def gnss_start(receiver, interval_s=0, timeout_s=120, forward=True):
    """Wake the receiver up: interval 0 one fix, 1 continuous, else so many seconds apart; timeout per fix, 0 none.
    OSError(ETIMEDOUT) when nothing that speaks UBX or NMEA is there."""
    if receiver.power:
        await receiver.power.on()
    session = Session(receiver.stream)
    while session.take():  # old news
        await asyncio.sleep_ms(0)
    await session.send(_WAKE)
    pvt = await session.poll(ubx.POLL_PVT, "pvt", _TRIES)
    if pvt is None and not session.text:
        await _rest(receiver, session)
        raise OSError(ETIMEDOUT, "no GNSS receiver")
    receiver.caps = _ALL if pvt else _PLAIN
    if pvt is None:
        from gnss.nmea import Reader

        session.reader = Reader()
    else:
        session.timed = ubx.when(pvt) is not None
        if not session.timed:  # with its clock it has lost its memory
            receiver.given.clear()
            receiver.placed = False
        for frame in (_ACKS_NEW, _acks_old(2), _acks_old(0)):
            if await session.configure(frame):
                session.acks = True
                break
    session.interval_ms = interval_s * 1000
    session.limit_ms = timeout_s * 1000
    session.began = ticks_ms()
    receiver.gnss = session


async def gnss_fix(receiver, timeout_ms):
    """-> fix record, or None: none within `timeout_ms`, or within the timeout of the start. OSError(ETIMEDOUT) when
    the receiver has fallen silent."""
    session = _running(receiver)
    start = ticks_ms()
    if session.last is not None and session.interval_ms > 1000:
        wait_ms = session.interval_ms - ticks_diff(ticks_ms(), session.began)
        await asyncio.sleep_ms(max(min(wait_ms, timeout_ms), 0))
        session.began = ticks_ms()
        if wait_ms > timeout_ms:
            return None
    silent = 0
    while True:
        left_ms = timeout_ms - ticks_diff(ticks_ms(), start)
        if session.limit_ms:
            left_ms = min(left_ms, session.limit_ms - ticks_diff(ticks_ms(), session.began))
        if left_ms <= 0:
            return None
        if session.reader:
            return await _by_nmea(session, left_ms)
        pvt = await session.poll(ubx.POLL_PVT, "pvt", 1)
        silent = 0 if pvt else silent + 1
        if silent == _SILENT:
            raise OSError(ETIMEDOUT, "the GNSS receiver is silent")
        fix = ubx.fix(pvt) if pvt else None
        if fix and pvt[:4] != session.last:
            session.last = pvt[:4]
            receiver.placed = True
            return fix
        await asyncio.sleep_ms(min(left_ms, session.answer_ms))


async def _by_nmea(session, timeout_ms):
    """The next fix that the receiver tells by itself, or None."""
    reader = session.reader
    reader.fix = None
    session.last = b""
    return await session.until(lambda: reader.fix, timeout_ms)


async def gnss_stop(receiver):
    """Put the receiver to sleep; fine when it is not running."""
    session, receiver.gnss = receiver.gnss, None
    if session:
        await _rest(receiver, session)


async def _rest(receiver, session):
    if receiver.power:
        await receiver.power.off()
    elif not session.reader:
        await session.send(_SLEEP)


async def gnss_need(receiver, timeout_ms):
    """-> need record, or None: it needs nothing, or takes nothing. Whether it knows the time and what ephemerides it
    holds is asked of it; the time that we know is told at once."""
    session = _running(receiver)
    if session.reader:
        return None
    pvt = await session.poll(ubx.POLL_PVT, "pvt", 2)
    session.timed = session.timed or pvt is not None and ubx.when(pvt) is not None
    now_s = clock.now()
    if now_s is not None:
        await gnss_hint(receiver, now_s, None)
    orbits = await session.poll(ubx.POLL_ORB, "orbits", 1)
    held = ubx.orbits(orbits) if orbits else None
    return receiver.given.need(now_s, session.timed, receiver.placed, held)


async def gnss_hint(receiver, unix_s, place):
    """Tell the receiver the time and where it is; either may be None. A time that it knows already is left alone."""
    from gnss.agnss_ubx import hints

    session = _running(receiver)
    if session.reader:
        return
    if session.timed:
        unix_s = None
    for frame in hints(unix_s, place):
        await _give(receiver, session, frame)
    session.timed = session.timed or unix_s is not None


async def agnss_inject(receiver, blob):
    """Hand over an nRF Cloud A-GNSS answer (schema 1): bytes-like, or a list of its chunks; -> frames that were taken.
    ValueError when it is none; OSError(ETIMEDOUT) when the receiver has fallen silent."""
    from gnss.agnss_ubx import frames

    session = _running(receiver)
    if session.reader:
        raise OSError(ENODEV, "the receiver takes no assistance")
    taken = refused = mute = 0
    for frame in frames(blob):
        code = await _give(receiver, session, frame)
        mute = mute + 1 if code is None else 0
        if mute == _MUTE:
            raise OSError(ETIMEDOUT, "the GNSS receiver is silent")
        taken += code == 0
        refused += code != 0
    receiver.note("gnss: %d frames taken, %d not", taken, refused)
    return taken


async def _give(receiver, session, frame):
    """Send one frame of assistance, again if it was not heard or came too early; -> what ubx.accepted says, None: no
    answer. Without the time it is told the time first, once."""
    from gnss.agnss_ubx import hints

    code = None
    now_s = clock.now()
    for _ in range(_TRIES):
        session.mga = None
        await session.send(frame)
        if not session.acks:
            await session.until(lambda: None, session.pace_ms)
            code = 0
            break
        code = await session.until(lambda: session.mga and ubx.accepted(session.mga, frame), session.answer_ms)
        if code == _NO_TIME and now_s is not None:
            for hint in hints(now_s, None):
                await session.send(hint)
            now_s = None
        elif code == _NOT_READY:
            await asyncio.sleep_ms(session.retry_ms)
        elif code is not None:
            break
    if code == 0:
        receiver.given.took(frame, clock.now())
    return code
