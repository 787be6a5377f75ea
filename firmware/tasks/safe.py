"""Safe mode: what the node says, and when it tries again, after starts that ended badly (bootsafe.py). Runs only then.

Nothing measures and nothing follows the shadow: the link, the uplink and the update are all there is, so that the cloud
hears why and can send another version. Whatever the cause was may have passed, so the whole node is tried once more
after `_LONG_S`; with that the count is where one more bad end leads back here.
"""

from micropython import const

import clock
import log

_LONG_S = const(21600)


class Safe:
    """`again()` restarts into the normal mode, and does not return."""

    def __init__(self, running, records, again):
        self._running = running
        self._records = records
        self._again = again

    async def run(self):
        fails = self._running["fails"]
        text = "safe mode, start %d in a row: %s" % (fails, self._running["died"] or "no proof")
        log.error("app", "%s", text)
        self._records.alert("safe", fails, text)
        await clock.sleep(_LONG_S)
        self._again()
