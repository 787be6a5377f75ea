"""SIM7080: wake(), which may find it in PSM (modems.md 2B.8). RAM: none."""

from modem import link, power


async def wake(modem):
    """Out of PSM, by the power key, when it is in it: that is a restart. Else as modem.power.wake."""
    if modem.restarted:
        return await link.start(modem)
    await power.wake(modem)
