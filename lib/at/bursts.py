"""A payload in bursts with silence between them, for modems whose buffer is smaller than it (modems.md 3.2).

Called by at.client in the data phase of a command; loaded only then. RAM: none.
"""

import asyncio


async def send(at, bursts, pause_ms):
    """Write each of `bursts` (bytes-like; None is a silence of `pause_ms`). `at`: Client, lock held."""
    for burst in bursts:
        if at.done.ready():  # refused in the middle
            return
        if burst is None:
            await asyncio.sleep_ms(pause_ms)
        else:
            await at.write(burst)
