"""BG95: start() and wake(), which find it in the middle of its boot, or in PSM (modems.md 2C.1, 2C.7). RAM: none."""

from errno import ETIMEDOUT

from micropython import const

from modem import link, power

_BOOT_MS = const(13000)  # from RDY to APP RDY, before which no command is safe


async def start(modem):
    """As modem.link.start. While it boots it is waited for: it does not answer then, and a power key pressed for that
    would switch it off."""
    if modem.booting:
        ready = modem.at.expect(b"APP RDY")
        try:
            modem.at.start()
            if modem.booting:
                await ready.wait(_BOOT_MS)
        except OSError as error:
            if error.args[0] != ETIMEDOUT:
                raise
        finally:
            ready.close()
            modem.booting = False
    await link.start(modem)


async def wake(modem):
    """Out of PSM, by the power key, when it is in it: that is a restart. Else as modem.power.wake."""
    if modem.restarted:
        return await start(modem)
    await power.wake(modem)
