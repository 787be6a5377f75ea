"""nRF91: the recovery ladder of modems.md 5.1, from a probe to a power cut.

Called by modem.nrf91.Modem only, and loaded only when something has failed. RAM: none.
"""

from errno import ENODEV, ETIMEDOUT

from micropython import const

from modem.nrf91.link import CFUN_MS, attempt, radio_off, start

_READY_MS = const(5000)


async def _close_sockets(modem):
    await attempt(modem, "AT#XCLOSE", b"#XCLOSE:", timeout_ms=5000)


async def _cycle_lte(modem):
    modem.leaving = True
    if await attempt(modem, "AT+CFUN=20", timeout_ms=CFUN_MS) is not None:
        await modem.at.command("AT+CFUN=21", timeout_ms=CFUN_MS)


async def _modem_reset(modem):
    await modem.at.command("AT#XMODEMRESET", b"#XMODEMRESET:", timeout_ms=CFUN_MS)
    await start(modem)


async def _restart(modem, how):
    """`how` restarts the modem; wait for its Ready, but only so long: start() finds out."""
    ready = modem.at.expect(b"Ready")
    try:
        await how
        await ready.wait(_READY_MS)
    except OSError as error:
        if error.errno != ETIMEDOUT:
            raise
    finally:
        ready.close()
    await start(modem)


async def _pin_reset(modem):
    await _restart(modem, modem.power.reset() if modem.power else modem.at.command("AT#XRESET"))


async def _power_cycle(modem):
    if modem.power is None:
        raise OSError(ENODEV, "no power switch")
    await _restart(modem, modem.power.cycle())


async def _probe(modem):
    await modem.at.sync()


_LADDER = (_probe, _close_sockets, _cycle_lte, radio_off, _modem_reset, _pin_reset, _power_cycle)


async def reset(modem, level):
    """One rung: 0 probe, 1 sockets, 2 LTE, 3 radio, 4 modem, 5 pin, 6 power.

    Ends with start() from level 4 on. Endpoints die from level 1 on. Raises OSError(ETIMEDOUT) when it did not help.
    """
    if level:
        modem.drop_endpoints("reset %d" % level)
        if modem.gnss and level > 1:
            modem.gnss.stopped()
    modem.at.expect_boot = True
    try:
        await _LADDER[level](modem)
    finally:
        modem.at.expect_boot = False
