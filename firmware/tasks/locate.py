"""Locate: where are we? By cells and Wi-Fi access points, by GNSS with what the receiver needs, or not at all today.

An errand, every `locate_interval_s`. What is done this time says tasks/plan. The cloud computes the position of cells
(tasks/place) and keeps it in its own location history; a GNSS fix (tasks/search) goes into the journal like any
measurement. GNSS also runs without a link, then with the predictions on flash, if any. Each step is loaded for itself
and forgotten: the downloads want the heap.
"""

import cold
import log
from cloud.base import PREDICT
from modem.base import ATError


class Locate:
    """`scratch`: memoryview of at least cloud.base.ASSIST_MAX bytes, ours during a visit; `wifi`: radio with
    `async scan()` (boards/README.md), or None; `folder`: where predictions are on flash; `link`: tasks.link.Link, whose
    radio a receiver may need for itself; `receiver`: the board's own, None for the modem's; `moved()`: the board's
    motion sensor, or None. The attributes are for the steps."""

    mark = None  # where the cells are that were measured in this visit (tasks/plan)

    def __init__(self, state, config, records, modem, cloud, heap, scratch, wifi=None, folder="", link=None,
                 receiver=None, moved=None):  # fmt: skip
        self.state = state
        self.config = config
        self.records = records
        self.modem = modem
        self.cloud = cloud
        self.heap = heap
        self.scratch = scratch
        self.wifi = wifi
        self.folder = folder
        self.link = link
        self.receiver = receiver or modem
        self.moved = moved

    async def visit(self):
        """Find the position as tasks/plan says; -> seconds until the next time."""
        try:
            for step in await self._take("tasks.plan"):
                if await self._take(step):
                    break
        except ATError as refused:
            log.warn("locate", "the modem refused: %s", refused)
        if self.state.link.is_set() and self.predictions():
            self.step()
            from tasks.offline import keep

            await keep(self)
        return self.config["locate_interval_s"]

    async def _take(self, name):
        """Take one step: `run` of the module `name`; -> what it returns: whether it found what is wanted."""
        self.step()  # the one before is over
        return await __import__(name, None, None, ("run",)).run(self)

    def step(self):
        """Forget the code of what is over."""
        cold.forget()
        self.heap.mark()

    def predictions(self):
        """-> whether predictions are kept, and of use to the receiver."""
        return self.config["pgps"] and PREDICT in self.cloud.caps and "AGNSS" in self.receiver.caps


def degrees(place):
    """-> "latitude, longitude" with five decimals from integers of 1e-7 degree."""
    texts = []
    for value in (place["lat"], place["lon"]):
        sign = "-" if value < 0 else ""
        value = (abs(value) + 50) // 100
        texts.append("%s%d.%05d" % (sign, value // 100000, value % 100000))
    return ", ".join(texts)
