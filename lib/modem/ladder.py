"""The recovery ladder of modems.md 5.1, from a probe to a power cut, for every family.

Called through modem.family.Family, and loaded only when something has failed. RAM: none.
"""

from errno import ENODEV

from modem.link import radio_off, restarted, start
from modem.verbs import steps


async def _probe(modem, how):
    await modem.at.sync()


async def _close_sockets(modem, how):
    await how.close_all(modem)


async def _cycle_bearer(modem, how):
    modem.leaving = True
    await how.cycle_bearer(modem)


async def _radio_off(modem, how):
    await radio_off(modem)


async def _soft_reset(modem, how):
    await how.soft_reset(modem)
    await start(modem)


async def _pin_reset(modem, how):
    doing = modem.power.reset() if hasattr(modem.power, "reset") else modem.at.command(how.RESET, timeout_ms=15000)
    await restarted(modem, how, doing)
    await start(modem)


async def _power_cycle(modem, how):
    if not hasattr(modem.power, "cycle"):
        raise OSError(ENODEV, "no power switch")
    await restarted(modem, how, modem.power.cycle())
    await start(modem)


_LADDER = (_probe, _close_sockets, _cycle_bearer, _radio_off, _soft_reset, _pin_reset, _power_cycle)


async def reset(modem, level):
    """One rung: 0 probe, 1 sockets, 2 bearer, 3 radio, 4 modem, 5 pin, 6 power.

    Ends with start() from level 4 on. Endpoints die from level 1 on. Raises OSError(ETIMEDOUT) when it did not help,
    OSError(ENODEV) when the board has no such switch.
    """
    if level:
        modem.drop_endpoints("reset %d" % level)
        if modem.gnss and level > 1:
            modem.gnss.stopped()
    modem.at.expect_boot = True
    try:
        await _LADDER[level](modem, steps(modem))
    finally:
        modem.at.expect_boot = False
