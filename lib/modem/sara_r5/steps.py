"""sara_r5: what link, ladder and info do in this family's way (modems.md 2D.1, 2D.2, 2D.6).

Called by modem.link, modem.ladder and modem.info only. RAM: none.
"""

import asyncio
from errno import ENODEV, ETIMEDOUT

from micropython import const

from at.fields import readable, split
from modem.convert import quotable
from modem.link import attempt, restarted
from modem.verbs import steps

READY = None  # it says nothing when it has started
READY_MS = const(12000)
RESET = "AT+CFUN=16"  # without a reset pin
BATTERY = (None, None, 0)
CFUN_MS = const(180000)  # modems.md 1.6; modem.link looks here
_POLLS = const(35)
_POLL_MS = const(1000)
_ACTIVATE_MS = const(150000)
_ATTACH_MS = const(140000)
_SELECT_MS = const(180000)
_GNSS_MS = const(15000)

# (command, prefix, whether start() fails without it). Most are not persistent: sent again after every restart.
SETTINGS = (
    ("AT+UDCONF=1,0", None, False),  # payloads are bytes, not hex
    ("AT+CTZU=1", None, False),  # the network sets the clock
    ("AT+UPSMR=1", None, False),  # say so when going to sleep
)
# field, command, prefix (None: the answer is free text).
IDENTITY = (
    ("imei", "AT+CGSN", None),
    ("iccid", "AT+CCID", b"+CCID:"),
    ("imsi", "AT+CIMI", None),
    ("model", "AT+CGMM", None),
    ("firmware", "AT+CGMR", None),
)


async def probe(modem):
    """OSError(ENODEV) when it is no SARA module."""
    lines = await attempt(modem, "AT+CGMM", free=True) or (b"",)
    modem.model = readable(lines[0])
    if not modem.model.startswith("SARA-R"):
        raise OSError(ENODEV, "not a SARA-R5 or R4")


async def prepare(modem):
    """-> set of capabilities. Sockets of a life before are closed, and what a receiver was given counts no more."""
    caps = {"DTLS", "PSM"}
    if "-R41" in modem.model:  # TLS on streams only
        caps.remove("DTLS")
    # With a DTR line it sleeps by that line, without one not at all: bytes that wake it get lost.
    if not hasattr(modem.power, "dtr") or await attempt(modem, "AT+UPSV=3", timeout_ms=5000) is None:
        await attempt(modem, "AT+UPSV=0", timeout_ms=5000)
    await close_all(modem)
    modem.given = None
    if await _has_receiver(modem):
        caps.update(("GNSS", "AGNSS", "TIMEHINT", "POSHINT"))
    return caps


async def _has_receiver(modem):
    """-> whether there is a receiver, inside (M8, M10) or on the module's I2C bus. One that runs is stopped."""
    if modem.gnss:
        modem.gnss.stopped()
    lines = await attempt(modem, "AT+UGPS?", b"+UGPS:", timeout_ms=_GNSS_MS)
    if not lines:
        return False
    found = split(lines[0])[0] != b"0" or "M8" in modem.model or "M10" in modem.model
    if split(lines[0])[0] == b"0":
        if found:
            return True
        found = await attempt(modem, "AT+UGPS=1,0,1", timeout_ms=_GNSS_MS) is not None
    if found:
        await attempt(modem, "AT+UGPS=0", timeout_ms=_GNSS_MS)
    return found


async def configure(modem, apn):
    """Before the radio is switched on."""
    if apn:
        await modem.at.command('AT+CGDCONT=1,"IP","%s"' % quotable(apn), timeout_ms=5000)
    lines = await attempt(modem, "AT+COPS?", b"+COPS:", timeout_ms=10000)
    if lines and split(lines[0])[0] != b"0":  # it was told to take one operator, or none
        await attempt(modem, "AT+COPS=0", timeout_ms=_SELECT_MS)


async def bearer(modem):
    """Give the modem's own IP stack the default bearer, unless it has it. OSError(ETIMEDOUT) when it cannot be had."""
    if await _active(modem):
        return
    for cmd in ("AT+UPSD=0,100,1", "AT+UPSD=0,0,0"):
        if await attempt(modem, cmd, timeout_ms=5000) is None:  # SARA-R4 has no profiles: the bearer is there by itself
            return await _wait(modem, _addressed)
    if await attempt(modem, "AT+UPSDA=0,3", timeout_ms=_ACTIVATE_MS) is None:
        # Active already, for all that we know, or half: take it down, and once more.
        modem.leaving = True
        await attempt(modem, "AT+UPSDA=0,4", timeout_ms=_ACTIVATE_MS)
        modem.leaving = False
        if await attempt(modem, "AT+UPSDA=0,3", timeout_ms=_ACTIVATE_MS) is None:
            raise OSError(ETIMEDOUT, "bearer refused")
    await _wait(modem, _active)  # +UUPSDA would tell, too, unless it gets lost


async def _wait(modem, ready):
    pause = modem.retry_ms
    for _ in range(_POLLS):
        if await ready(modem):
            return
        await asyncio.sleep_ms(pause)
        pause = min(2 * pause, _POLL_MS)
    raise OSError(ETIMEDOUT, "no bearer")


async def _active(modem):
    """-> whether the profile of the modem's IP stack is active."""
    lines = await attempt(modem, "AT+UPSND=0,8", b"+UPSND:", timeout_ms=3000)
    return bool(lines) and split(lines[0])[-1] == b"1"


async def _addressed(modem):
    """-> whether the default bearer has an address."""
    lines = await attempt(modem, "AT+CGPADDR=1", b"+CGPADDR:", timeout_ms=3000)
    address = split(lines[0])[-1] if lines else b""
    return b"." in address and address != b"0.0.0.0"


async def close_all(modem):
    """Rung 1."""
    from modem.sara_r5.sockets import SOCKETS, close_handle

    for handle in range(SOCKETS):
        await close_handle(modem, handle)


async def cycle_bearer(modem):
    """Rung 2: the bearer down; attach(), which follows, brings it up."""
    if await attempt(modem, "AT+UPSDA=0,4", timeout_ms=_ACTIVATE_MS) is None:
        await attempt(modem, "AT+CGATT=0", timeout_ms=_ATTACH_MS)
        await modem.at.command("AT+CGATT=1", timeout_ms=_ATTACH_MS)


async def soft_reset(modem):
    """Rung 4; SARA-R4 knows the reset by another number."""

    async def ask():
        if await attempt(modem, RESET, timeout_ms=CFUN_MS) is None:
            await modem.at.command("AT+CFUN=15", timeout_ms=CFUN_MS)

    await restarted(modem, steps(modem), ask())
