"""BG95: what link, ladder and info do in this family's way (modems.md 2C.1, 2C.2).

Called by modem.link, modem.ladder and modem.info only. RAM: none.
"""

import asyncio
from errno import ENODEV, ETIMEDOUT

from micropython import const

from at.errors import ATError
from at.fields import scan_int, split
from modem.convert import quotable
from modem.link import attempt, restarted
from modem.verbs import steps

READY = b"APP RDY"
READY_MS = const(15000)
RESET = "AT+CFUN=1,1"  # without a reset pin
BATTERY = ("AT+CBC", b"+CBC:", 2)
ACTIVATE_MS = const(150000)  # the manufacturer: longer means that only a restart helps
DEACTIVATE_MS = const(40000)
UDP = (0, 1, 2, 3)  # numbers of plain sockets; the modem has two lists of twelve, and these never mix
DTLS = (4, 5)
_PAUSES_MS = (300, 1000, 3000)  # after which a bearer that was refused is tried again
_MODELS = (b"BG95", b"BG96", b"BG77")

# (command, prefix, whether start() fails without it). Sent again after every restart.
SETTINGS = (
    ('AT+QURCCFG="urcport","uart1"', None, False),
    ('AT+QCFG="psm/urc",1', None, False),
    ("AT+CTZU=1", None, False),  # the clock follows the network
    ("AT+QGPSEND", None, False),  # a receiver that ran when we restarted
)
# field, command, prefix (None: the answer is free text).
IDENTITY = (
    ("imei", "AT+CGSN", None),
    ("iccid", "AT+QCCID", b"+QCCID:"),
    ("imsi", "AT+CIMI", None),
    ("model", "AT+CGMM", None),
    ("firmware", "AT+QGMR", None),
    ("firmware", "AT+CGMR", None),
)


async def probe(modem):
    """OSError(ENODEV) when it is none of these."""
    for cmd in ("AT+CGMM", "ATI"):
        for line in await attempt(modem, cmd, free=True) or ():
            if line.startswith(_MODELS):
                return
    raise OSError(ENODEV, "no BG95, BG96 or BG77")


async def prepare(modem):
    """-> set of capabilities. The radio's stored settings are changed only when they differ."""
    for name, value in zip(("nwscanmode", "iotopmode"), modem.system_mode):
        lines = await attempt(modem, 'AT+QCFG="%s"' % name, b"+QCFG:")
        if not lines or scan_int(split(lines[0])[-1]) != value:
            await attempt(modem, 'AT+QCFG="%s",%d,1' % (name, value), timeout_ms=5000)  # a BG77 has no GSM to leave out
    if hasattr(modem.power, "dtr"):
        await attempt(modem, "AT+QSCLK=1")  # else the line has no effect
    if await _active(modem):
        await _deactivate(modem)  # sockets of our life before a reboot go with it
    caps = {"NEIGHBOURS", "GNSS", "PSM"}
    lines = await attempt(modem, "AT+QSSLCFG=?", b"+QSSLCFG:") or ()
    if any([b'"dtls"' in line for line in lines]):
        caps.add("DTLS")
    lines = await attempt(modem, "AT+QGPSXTRA?", b"+QGPSXTRA:")
    if lines:
        caps.add("XTRA")
        if scan_int(split(lines[0])[0]) == 1:
            caps.add("TIMEHINT")
        else:
            await attempt(modem, "AT+QGPSXTRA=1", timeout_ms=5000)  # for the next restart
    return caps


async def configure(modem, apn):
    """Before the radio is switched on: the access point of context 1, which is also the attach's."""
    if apn:
        await modem.at.command('AT+QICSGP=1,1,"%s","","",0' % quotable(apn))


async def _active(modem):
    for line in await attempt(modem, "AT+QIACT?", b"+QIACT:", timeout_ms=5000) or ():
        if split(line)[:2] == [b"1", b"1"]:
            return True
    return False


async def _deactivate(modem):
    await attempt(modem, "AT+QIDEACT=1", timeout_ms=DEACTIVATE_MS)


async def bearer(modem):
    """Context 1 has an address. It is deactivated first, which frees the sockets of one that was lost. It may be
    refused for a moment after the registration."""
    if await _active(modem):
        return
    for pause_ms in _PAUSES_MS:
        await _deactivate(modem)
        try:
            await configure(modem, modem.apn)  # the modem may have registered by itself, before we said it
            return await modem.at.command("AT+QIACT=1", timeout_ms=ACTIVATE_MS)
        except ATError:
            await asyncio.sleep_ms(min(modem.poll_ms, pause_ms))
    raise OSError(ETIMEDOUT, "no bearer")


async def close_all(modem):
    """Rung 1."""
    for number in UDP + DTLS:
        await modem.close_handle(number)


async def cycle_bearer(modem):
    """Rung 2."""
    await _deactivate(modem)
    await bearer(modem)


async def soft_reset(modem):
    """Rung 4."""
    await restarted(modem, steps(modem), modem.at.command(RESET, timeout_ms=READY_MS))
