"""The modem's own clock, set by us (27.007 +CCLK): certificates and predictions of orbits need it: BG95, SIM7080.

RAM: none.
"""

import clock
from gnss.date import fields


async def tell(modem, unix_s):
    """Set the modem's clock, to UTC."""
    year, month, day, hour, minute, second = fields(unix_s)
    when = "%02d/%02d/%02d,%02d:%02d:%02d" % (year % 100, month, day, hour, minute, second)
    await modem.at.command('AT+CCLK="%s+00"' % when)


async def in_time(modem):
    """-> whether the modem knows the time, if need be from us."""
    if await modem.time() is not None:
        return True
    now = clock.now()
    if now is None:
        return False
    await tell(modem, now)
    return True
