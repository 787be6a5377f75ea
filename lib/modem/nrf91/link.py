"""nRF91: from power-on to registered (modems.md 2A.1-2A.4).

Called by modem.nrf91.Modem only. RAM: none.
"""

from errno import ENODEV, ETIMEDOUT
from time import ticks_diff, ticks_ms

from micropython import const

from at.errors import ATError
from at.fields import split
from modem.base import Denied

CFUN_MS = const(60000)
_BEARER_POLLS = const(50)
_BEARER_MS = const(200)
_REGISTERED = (1, 5)  # home, roaming
_STAT_DENIED = const(3)
_STAT_NO_SIM = const(90)

# (command, whether start() fails without it). Not persistent: sent again after every restart (modems.md 2A.3).
_SETTINGS = (
    ("ATE0", False),
    ("AT+CMEE=1", True),
    ("AT#XDATACTRL=1000", True),  # else a 32 ms pause of ours splits a datagram in two (2A.6)
    ("AT+CEREG=5", True),
    ("AT+CGEREP=1", False),
    ("AT#XCLOSE", False),  # sockets of our life before a reboot
    ("AT#XGNSS=0", False),
)
_CAPS = ("DTLS", "DTLS_CID", "NEIGHBOURS", "GCI", "TA", "JWT", "KEYGEN", "PSM", "RAI")


async def attempt(modem, cmd, prefix=None, **how):
    """-> info lines, or None when the modem refuses."""
    try:
        return await modem.at.command(cmd, prefix, **how)
    except ATError:
        return None


async def start(modem):
    """Bring the channel into a known state and make all settings; safe to repeat. Keeps a registration.

    Raises OSError(ETIMEDOUT) when nothing answers, OSError(ENODEV) when it is not a Serial Modem v2.
    """
    at = modem.at
    modem.drop_endpoints("restarted")
    at.expect_boot = True
    try:
        await at.sync()
        if at.parser.numeric:
            at.parser.numeric = False
            await attempt(modem, "ATV1")
        lines = await attempt(modem, "AT#XSMVER", b"#XSMVER:")
        if not lines:
            raise OSError(ENODEV, "not a Serial Modem v2")
        modem.version = split(lines[0])[0].decode()
        for cmd, needed in _SETTINGS:
            if (
                await attempt(modem, cmd, b"#XCLOSE:" if cmd == "AT#XCLOSE" else None, timeout_ms=5000) is None
                and needed
            ):
                raise OSError(ENODEV, cmd + " refused")
        await _system_mode(modem)
        await _capabilities(modem)
        await poll(modem)
        modem.restarted = False
    finally:
        at.expect_boot = False


async def _system_mode(modem):
    """Set LTE-M/NB-IoT/GNSS only when it differs: that needs the radio off, and would cost a registration."""
    wanted = ",".join([str(x) for x in modem.system_mode])
    lines = await attempt(modem, "AT%XSYSTEMMODE?", b"%XSYSTEMMODE:")
    if lines and b",".join(split(lines[0])).decode() == wanted:
        return
    await radio_off(modem)
    await modem.at.command("AT%XSYSTEMMODE=" + wanted)


async def _capabilities(modem):
    caps = set(_CAPS)
    if modem.system_mode[2]:
        caps.add("GNSS")
        # Builds that take assistance from the host have a third start mode (modems.md 3.2).
        lines = await attempt(modem, "AT#XGNSS=?", b"#XGNSS:") or ()
        if any([b"(0,1,2)" in line for line in lines]):
            caps.add("AGNSS_NRF")
    if modem.power is not None and hasattr(modem.power, "dtr"):
        caps.add("SLEEP")
    modem.caps = frozenset(caps)


async def poll(modem):
    """Ask for the registration; -> the record, with "cause"."""
    lines = await modem.at.command("AT+CEREG?", b"+CEREG:", timeout_ms=2000)
    if lines:
        modem.note_registration(split(lines[-1])[1:])
    return modem.registration


async def registered(modem):
    """-> bool, asked of the modem, not of what URCs said last."""
    return (await poll(modem))["stat"] in _REGISTERED


async def attach(modem, apn=None, timeout_ms=300000, progress=None):
    """Register with the network; -> registration record. `progress(stat)` is called on each change.

    Raises Denied, OSError(ETIMEDOUT) when no network took us in time, OSError(ECONNRESET) when the modem restarted.
    """
    began = ticks_ms()
    state = await poll(modem)
    if state["stat"] not in _REGISTERED:
        if apn:
            await modem.at.command('AT+CGDCONT=0,"IPV4V6","%s"' % _plain(apn))
        state["stat"] = None
        modem.changed.clear()
        await modem.at.command("AT+CFUN=1", timeout_ms=CFUN_MS)
        await _wait_registered(modem, began, timeout_ms, progress)
    modem.leaving = False
    await _wait_bearer(modem)
    return {key: state[key] for key in ("stat", "tac", "eci", "rat")}


async def _wait_registered(modem, began, timeout_ms, progress):
    state = modem.registration
    told = None
    while True:
        stat = state["stat"]
        if stat != told and stat is not None:
            told = stat
            if progress:
                progress(stat)
        if stat in _REGISTERED:
            return
        if stat == _STAT_DENIED:
            raise Denied(state["cause"])
        if stat == _STAT_NO_SIM:
            raise Denied(None, "UICC failure")
        left = timeout_ms - ticks_diff(ticks_ms(), began)
        if left <= 0:
            raise OSError(ETIMEDOUT, "no network")
        try:
            await modem.changed.wait(min(left, modem.poll_ms))
            modem.changed.clear()
        except OSError as error:
            if error.errno != ETIMEDOUT:  # it restarted, and will not register by itself
                raise
            await poll(modem)


async def _wait_bearer(modem):
    """The default bearer follows the registration by a fraction of a second; sockets need its address."""
    import asyncio

    for _ in range(_BEARER_POLLS):
        lines = await attempt(modem, "AT+CGPADDR=0", b"+CGPADDR:", timeout_ms=2000)
        if lines and len(split(lines[0])) > 1 and split(lines[0])[1]:
            return
        await asyncio.sleep_ms(_BEARER_MS)
    raise OSError(ETIMEDOUT, "no bearer")


async def detach(modem):
    """Radio off (flight mode); endpoints die, but those that the modem keeps and the peer knows by connection ID."""
    modem.drop_endpoints("detached", True)
    await radio_off(modem)


async def radio_off(modem):
    modem.leaving = True  # until attach(): the news of it comes after the OK
    await modem.at.command("AT+CFUN=4", timeout_ms=CFUN_MS)
    modem.registration["stat"] = 0


def _plain(text):
    """A name that may stand between quotes in a command; ValueError otherwise."""
    if '"' in text or "\r" in text or "\n" in text:
        raise ValueError("quote or line end in a name")
    return text
