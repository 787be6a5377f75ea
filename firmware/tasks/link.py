"""The way to the cloud: brought up (tasks/rise), watched, and brought up again when it is lost.

Between two attempts is a jittered back-off, and what failed twice is reset (tasks/ladder). Nothing here gives up: a
node in the field has nowhere else to go. The radio can be lent for a while (tasks/search).
"""

import asyncio

from micropython import const

import clock
import cold
import log
from retry import Backoff
from tasks import explain, twice

_AUTH_WAIT_S = const(60)  # first pause after the cloud refused who we are; doubles to an hour


class Link:
    """`modem` and `cloud` are opened and closed here and in the steps, and nowhere else. `restart()`: of the board.
    `room(wanted)`: the errands' buffer is given up for something rare, or made again."""

    def __init__(self, state, config, modem, cloud, restart=None, room=None):
        self.state = state
        self.config = config
        self.modem = modem
        self.cloud = cloud
        self.restart = restart
        self.room = room
        self.lock = asyncio.Lock()  # held while the link is being brought up, and while the radio is lent
        self.backoff = Backoff(5, 900)
        self.refused = Backoff(_AUTH_WAIT_S, 3600)
        self.provisioned = None  # tasks.rise: (Backoff, clock.uptime_ms() from which the service may be asked again)
        self.failures = 0  # attempts since the last rung was climbed
        self.level = None  # the lowest rung that may mend the last failure; None before the first attempt
        self.began = None  # clock.uptime_ms() when the session began, until it has been judged
        self.started = False  # the modem is in sync, with our settings
        modem.on_lost = self._on_modem_lost

    def _on_modem_lost(self, reason):
        """The modem says that it restarted or that the bearer is gone; start() would close what outlives a bearer."""
        log.warn("modem", "lost: %s", reason)
        if self.modem.restarted:
            self.started = False
        self.state.fail(OSError(104, reason))

    async def run(self):
        while True:
            pause = await self._rise()
            cold.forget()  # attaching and signing are over for hours
            if pause:
                log.info("link", "next try in %d s", pause)
                await clock.sleep(pause)
                continue
            await clock.wait(self.state.link_lost)
            self.state.link_lost.clear()
            error = self.state.link_error
            if error:  # else it was put away, and the radio lent
                log.warn("link", "lost: %s", explain(error))
                # What the modem lost (bearer, radio) says nothing against the session; silence of the cloud does.
                await self.cloud.close(isinstance(error, OSError))

    async def _rise(self):
        # Not in run(): its frame, which waits for hours, would keep the code.
        from tasks.rise import rise

        async with self.lock:
            return await twice(self.state, "link", rise, self)
