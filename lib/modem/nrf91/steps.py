"""nRF91: what link, ladder and info do in this family's way (modems.md 2A.1-2A.4, 2A.10).

Called by modem.link, modem.ladder and modem.info only. RAM: none.
"""

import asyncio
from errno import ENODEV, ETIMEDOUT

from micropython import const

from at.fields import split
from modem.convert import quotable
from modem.link import CFUN_MS, attempt, radio_off

READY = b"Ready"
READY_MS = const(5000)
RESET = "AT#XRESET"  # without a reset pin
BATTERY = ("AT%XVBAT", b"%XVBAT:", 0)
_BEARER_POLLS = const(50)
_BEARER_MS = const(200)

# (command, prefix, whether start() fails without it). Not persistent: sent again after every restart (2A.3).
SETTINGS = (
    ("AT#XDATACTRL=1000", None, True),  # else a 32 ms pause of ours splits a datagram in two (2A.6)
    ("AT+CGEREP=1", None, False),
    ("AT%RAI=1", None, False),  # release assistance, see endpoint.release()
    ("AT#XCLOSE", b"#XCLOSE:", False),  # sockets of our life before a reboot
    ("AT#XGNSS=0", None, False),
)
# field, command, prefix (None: the answer is free text).
IDENTITY = (
    ("imei", "AT+CGSN=1", b"+CGSN:"),
    ("iccid", "AT%XICCID", b"%XICCID:"),
    ("imsi", "AT+CIMI", None),
    ("model", "AT+CGMM", None),
    ("firmware", "AT+CGMR", None),
    ("uuid", "AT%DEVICEUUID", b"%DEVICEUUID:"),
    ("uuid", "AT#XUUID", b"#XUUID:"),
)
_CAPS = ("DTLS", "DTLS_CID", "NEIGHBOURS", "GCI", "TA", "JWT", "KEYGEN", "PSM", "RAI")


async def probe(modem):
    """OSError(ENODEV) when it is not a Serial Modem v2."""
    lines = await attempt(modem, "AT#XSMVER", b"#XSMVER:")
    if not lines:
        raise OSError(ENODEV, "not a Serial Modem v2")
    modem.version = split(lines[0])[0].decode()


async def prepare(modem):
    """-> set of capabilities. LTE-M/NB-IoT/GNSS are set only when they differ: that costs a registration."""
    wanted = ",".join([str(x) for x in modem.system_mode])
    lines = await attempt(modem, "AT%XSYSTEMMODE?", b"%XSYSTEMMODE:")
    if not lines or b",".join(split(lines[0])).decode() != wanted:
        await radio_off(modem)
        await modem.at.command("AT%XSYSTEMMODE=" + wanted)
    caps = set(_CAPS)
    if modem.system_mode[2]:
        caps.add("GNSS")
        # Builds that take assistance from the host have a third start mode (modems.md 3.2).
        lines = await attempt(modem, "AT#XGNSS=?", b"#XGNSS:") or ()
        if any([b"(0,1,2)" in line for line in lines]):
            caps.update(("AGNSS", "TIMEHINT", "POSHINT"))
    return caps


async def configure(modem, apn):
    """Before the radio is switched on."""
    if apn:
        await modem.at.command('AT+CGDCONT=0,"IPV4V6","%s"' % quotable(apn))


async def bearer(modem):
    """The default bearer follows the registration by a fraction of a second; sockets need its address, and its family:
    a network may give IPv6 alone (cause 51), and then a socket of the other kind reaches nobody."""
    for _ in range(_BEARER_POLLS):
        lines = await attempt(modem, "AT+CGPADDR=0", b"+CGPADDR:", timeout_ms=2000)
        addresses = b"".join(split(lines[0])[1:]) if lines else b""
        if addresses:
            modem.ip = 1 if b"." in addresses else 2
            return
        await asyncio.sleep_ms(_BEARER_MS)
    raise OSError(ETIMEDOUT, "no bearer")


async def close_all(modem):
    """Rung 1."""
    await attempt(modem, "AT#XCLOSE", b"#XCLOSE:", timeout_ms=5000)


async def cycle_bearer(modem):
    """Rung 2: LTE off and on, GNSS as it was."""
    if await attempt(modem, "AT+CFUN=20", timeout_ms=CFUN_MS) is not None:
        await modem.at.command("AT+CFUN=21", timeout_ms=CFUN_MS)


async def soft_reset(modem):
    """Rung 4: the modem part alone."""
    await modem.at.command("AT#XMODEMRESET", b"#XMODEMRESET:", timeout_ms=CFUN_MS)
