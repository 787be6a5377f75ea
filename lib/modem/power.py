"""PSM and eDRX requests, and the UART's sleep by DTR (27.007, 24.008; modems.md 2A.1, 2A.9).

Called through modem.family.Family. RAM: none.
"""

from errno import ENODEV

from modem.timers import encode_active, encode_edrx, encode_tau

_EDRX_ACT = {"ltem": 4, "nbiot": 5}
_UNUSED = {"nrf91": '"",""'}  # the timers of GPRS, as its manual writes them; others want them left out (2B.8, 2C.7)


async def power_save(modem, tau_s, active_s, edrx_s=None):
    """Ask for PSM (None for both: off) and eDRX (None: off)."""
    if tau_s is None:
        await modem.at.command("AT+CPSMS=0", timeout_ms=5000)
    else:
        unused = _UNUSED.get(modem.family, ",")
        cmd = 'AT+CPSMS=1,%s,"%s","%s"' % (unused, encode_tau(tau_s), encode_active(active_s))
        await modem.at.command(cmd, timeout_ms=5000)
    if edrx_s is None:
        await modem.at.command("AT+CEDRXS=3", timeout_ms=5000)
    else:
        act = _EDRX_ACT.get(modem.registration["rat"], 4)
        await modem.at.command('AT+CEDRXS=2,%d,"%s"' % (act, encode_edrx(edrx_s, act == 5)), timeout_ms=5000)


def _line(modem):
    if "SLEEP" not in modem.caps:
        raise OSError(ENODEV, "no DTR line")
    return modem.power


async def sleep(modem):
    """UART off by DTR (capability SLEEP); LTE goes on by itself."""
    _line(modem).dtr(False)


async def wake(modem):
    """UART on again and in sync."""
    _line(modem).dtr(True)
    await modem.at.sync()
