"""Late: a task whose code is loaded once there is a link, or has been none for a while: a session's buffers want to lie
where it would. tasks/trial is one. RAM: this, until then.
"""

from micropython import const

import clock

_PATIENCE_S = const(300)


class Late:
    """`make(*terms)` -> the task; `link`: the clock.Signal of the link."""

    def __init__(self, link, make, *terms):
        self._link = link
        self._make = make
        self._terms = terms

    async def run(self):
        await clock.wait(self._link, _PATIENCE_S)
        await self._make(*self._terms).run()
