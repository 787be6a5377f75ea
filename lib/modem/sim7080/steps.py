"""SIM7080: what link, ladder and info do in this family's way (modems.md 2B.1, 2B.2).

Called by modem.link, modem.ladder and modem.info only. RAM: none.
"""

import asyncio
from errno import ENODEV, ETIMEDOUT
from time import ticks_diff, ticks_ms

from micropython import const

from at.errors import ATError
from at.fields import scan_int, split
from modem.convert import quotable
from modem.link import attempt, radio_off, restarted
from modem.verbs import steps

READY = b"RDY"  # if the baud rate is fixed
READY_MS = const(6000)
RESET = "AT+CFUN=1,1"  # without a reset pin
BATTERY = ("AT+CBC", b"+CBC:", 2)
UDP = (0, 1, 2, 3)  # numbers of plain sockets; those with DTLS keep its settings
DTLS = (4, 5)
_CFUN_MS = const(10000)
_BEARER_MS = const(75000)
_LOOK_MS = const(5000)
_CLOSE_MS = const(10000)
_PAUSES_MS = (300, 1000, 3000)  # after which a bearer that was refused is tried again
_MODELS = (b"SIM7070", b"SIM7080", b"SIM7090")

# (command, prefix, whether start() fails without it). Sent again after every restart.
SETTINGS = (
    ("AT+CPSMSTATUS=1", None, False),
    ("AT+CASRIP=0", None, False),  # else the announcement of a datagram has another form
    ("AT+CGNSPWR=0", None, False),  # a receiver that ran when we restarted
)
# field, command, prefix (None: the answer is free text).
IDENTITY = (
    ("imei", "AT+CGSN", None),
    ("iccid", "AT+CCID", None),
    ("imsi", "AT+CIMI", None),
    ("model", "AT+CGMM", None),
    ("firmware", "AT+CGMR", None),
)


async def probe(modem):
    """OSError(ENODEV) when it is none of these."""
    for cmd in ("AT+CGMM", "ATI"):
        for line in await attempt(modem, cmd, free=True) or ():
            if any([model in line for model in _MODELS]):
                return
    raise OSError(ENODEV, "no SIM7070, SIM7080 or SIM7090")


async def prepare(modem):
    """-> set of capabilities. The radio's stored settings are changed only when they differ."""
    lines = await attempt(modem, "AT+IPR?", b"+IPR:")
    if lines and scan_int(split(lines[0])[0]) == 0:  # automatic: it would start without RDY
        await attempt(modem, "AT+IPR=%d" % modem.baud)
    for name, value in zip(("CNMP", "CMNB"), modem.system_mode):
        lines = await attempt(modem, "AT+%s?" % name, b"+%s:" % name.encode())
        if not lines or scan_int(split(lines[0])[0]) != value:
            await _set_mode(modem, "AT+%s=%d" % (name, value))
    lines = await attempt(modem, "AT+CLTS?", b"+CLTS:")
    if not lines or scan_int(split(lines[0])[0]) != 1:
        # The clock follows the network: stored, and it takes an attach to begin.
        await attempt(modem, "AT+CLTS=1", timeout_ms=5000)
        await radio_off(modem)
    if hasattr(modem.power, "dtr"):
        await attempt(modem, "AT+CSCLK=1")  # else the line has no effect
    await close_all(modem)  # sockets of our life before a reboot, or left over by PSM
    return {"DTLS", "NEIGHBOURS", "GNSS", "GNSS_ALONE", "TIMEHINT", "XTRA", "PSM"}


async def _set_mode(modem, cmd):
    if await attempt(modem, cmd, timeout_ms=_CFUN_MS) is None:  # some firmware wants the radio off
        await attempt(modem, "AT+CFUN=0", timeout_ms=_CFUN_MS)
        await attempt(modem, cmd, timeout_ms=_CFUN_MS)
        await attempt(modem, "AT+CFUN=1", timeout_ms=_CFUN_MS)


async def configure(modem, apn):
    """Before the radio is switched on: the receiver off, and the access point of the attach and of the bearer."""
    if modem.gnss:
        await modem.gnss_stop()
    await _access_point(modem, apn)


async def _access_point(modem, apn):
    if apn:
        await modem.at.command('AT+CGDCONT=1,"IP","%s"' % quotable(apn))
        await modem.at.command('AT+CNCFG=0,1,"%s"' % apn)


async def _active(modem):
    for line in await attempt(modem, "AT+CNACT?", b"+CNACT:", timeout_ms=_LOOK_MS) or ():
        if split(line)[:2] == [b"0", b"1"]:
            return True
    return False


async def bearer(modem):
    """Bearer 0 has an address. It may be refused for a moment after the registration."""
    if await _active(modem):
        return
    await _access_point(modem, modem.apn)  # the modem may have registered by itself, before we said it
    for pause_ms in _PAUSES_MS:
        if await _activate(modem):
            return
        await asyncio.sleep_ms(min(modem.poll_ms, pause_ms))
    raise OSError(ETIMEDOUT, "no bearer")


async def _activate(modem):
    """-> whether it came up. The modem's word of it may get lost, so it is also asked."""
    news = modem.at.expect(b"+APP PDP: 0,")
    try:
        await modem.at.command("AT+CNACT=0,1", timeout_ms=_BEARER_MS)
        began = ticks_ms()
        while ticks_diff(ticks_ms(), began) < _BEARER_MS:
            try:
                return (await news.wait(_LOOK_MS)).endswith(b",ACTIVE")
            except OSError as error:
                if error.args[0] != ETIMEDOUT:
                    raise
            if await _active(modem):
                return True
    except ATError:
        pass
    finally:
        news.close()
    return False


async def close_all(modem):
    """Rung 1: all that the modem has open."""
    for line in await attempt(modem, "AT+CAOPEN?", b"+CAOPEN:", timeout_ms=_LOOK_MS) or ():
        number = scan_int(split(line)[0])
        if number is not None:
            await attempt(modem, "AT+CACLOSE=%d" % number, timeout_ms=_CLOSE_MS)


async def cycle_bearer(modem):
    """Rung 2."""
    await attempt(modem, "AT+CNACT=0,0", timeout_ms=_BEARER_MS)
    await bearer(modem)


async def soft_reset(modem):
    """Rung 4."""
    await restarted(modem, steps(modem), modem.at.command(RESET, timeout_ms=_CFUN_MS))
