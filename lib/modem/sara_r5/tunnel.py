"""sara_r5: one frame to the receiver and what it replies, through +UGUBX (modems.md 2D.5, 3.5).

Called by modem.sara_r5.gnss and .assist. RAM: none.
"""

import asyncio
from binascii import hexlify, unhexlify

from micropython import const

from at.errors import ATError
from at.fields import split
from gnss.ubx import unpack

_ANSWER_MS = const(12000)
_RETRIES = const(4)


async def exchange(modem, frame):
    """-> (class, id, payload) of the reply, or None: there was none, or it was no whole frame. ATError when the
    receiver was busy each time."""
    cmd = b'AT+UGUBX="%s"' % hexlify(frame).upper()
    tries = 0
    while True:
        try:
            lines = await modem.at.command(cmd, b"+UGUBX:", timeout_ms=_ANSWER_MS)
            break
        except ATError:
            if tries == _RETRIES:
                raise
            await asyncio.sleep_ms(modem.retry_ms << tries)
            tries += 1
    try:
        return unpack(unhexlify(split(lines[0])[0])) if lines else None
    except ValueError:  # not hex
        return None
