"""Trial: the health gate of a new version (fota.md 2.7). Runs only while an unconfirmed version does.

The version counts when the cloud has accepted its device information, which carries its number, over an authenticated
session: then the update errand confirms it for good. When that has not happened in `_GATE_S`, the board restarts;
after three such starts the boot selector goes back to the old version.
"""

from micropython import const

import clock
import log

_GATE_S = const(600)


class Trial:
    def __init__(self, state, running, restart):
        self._state = state
        self._running = running
        self._restart = restart

    async def run(self):
        version = self._running["version"]
        log.info("fota", "version %s is on trial, start %d", version, self._running["tries"])
        if not await clock.wait(self._state.reported, _GATE_S):
            log.error("fota", "version %s reached nobody in %d s: restarting", version, _GATE_S)
            self._restart()
