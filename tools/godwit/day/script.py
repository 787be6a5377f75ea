"""What happens to the node during its day, apart from its own work: the operator's acts and fate's.

The operator sets a configuration once the node is up and creates an update job later; the power fails in
mid-download; with --outage the cloud goes away for a while, with --pdn-loss the bearer. Called by day.py as one
task; ends when all is done.
"""

from __future__ import annotations

import asyncio

from . import options

_POLL_S = 0.01  # the download of a small image takes a second or two: half of it must not be missed
_DARK_MS = 90_000  # world time until the power is back
_OUTAGE_WALL_S = 1.0
_OUTAGE_WORLD_MS = 3600 * 1000
_OUTAGE_LIMIT_S = 12.0  # a node in the middle of its retransmissions lets no time pass


class Script:
    """`day` is the running Day; only its public parts are used."""

    def __init__(self, day):
        self._day = day
        self._say = day.timeline.say

    async def run(self) -> None:
        if self._day.options.sabotage:
            return  # such a node never gets that far
        await self._configure()
        if self._day.options.pdn_loss:
            await self._reach(options.PDN_LOSS_AT)
            await self._lose_bearer()
        if self._day.options.outage:
            await self._reach(options.OUTAGE_AT)
            await self._outage()
        await self._reach(options.JOB_AT)
        await self._create_job()
        await self._cut_power()

    async def _reach(self, share: float) -> None:
        """Wait until the world clock has passed this share of the day."""
        moment = self._day.start_ms + int(self._day.length_ms * share)
        while self._day.world.now_ms() < moment:
            await asyncio.sleep(_POLL_S)

    async def _configure(self) -> None:
        await self._day.witness.authenticated.wait()
        await self._day.operator.set_desired({"config": options.DESIRED})
        wanted = ", ".join(f"{key} = {value}" for key, value in options.DESIRED.items())
        self._say("operator", "config", "I", f"wants {wanted}")

    async def _create_job(self) -> None:
        day = self._day
        archive, day.bundle_size = await asyncio.to_thread(day.factory.update_archive)
        bundle = await day.operator.upload(archive)
        day.witness.bundle_size = day.bundle_size
        self._say("operator", "update", "I", f"uploaded {options.NEXT_VERSION}, {day.bundle_size:,} B, as {bundle}")
        day.job_id = await day.operator.create_job(bundle, f"to {options.NEXT_VERSION}")
        self._say("operator", "update", "D", f"created job {day.job_id}")

    async def _cut_power(self) -> None:
        day = self._day
        half = int(day.bundle_size * options.CUT_AT)
        while day.witness.proxy_bytes < half:
            await asyncio.sleep(_POLL_S)
        day.cut_ms = day.world.now_ms()
        day.node.cut()
        self._say("world", "power", "W", f"POWER CUT after {day.witness.proxy_bytes:,} of {day.bundle_size:,} B")
        day.world.advance(_DARK_MS)
        self._say("world", "power", "I", f"power is back after {_DARK_MS // 1000} s")
        day.node.restore()

    async def _lose_bearer(self) -> None:
        """Have the modem simulator say what a network does that deactivates the PDN; it is back at once."""
        reader, writer = await asyncio.open_unix_connection(str(self._day.places.control))
        writer.write(b'{"fault": "pdn_deact"}\n')
        await writer.drain()
        await reader.readline()
        writer.close()
        self._say("world", "bearer", "W", "the bearer is LOST, and with it the node's address")

    async def _outage(self) -> None:
        """Stop the twin for an hour of world time or 12 s of ours, then start it on the same ports and database."""
        day = self._day
        day.witness.outage = True
        await day.twin.stop()
        self._say("world", "outage", "W", "the cloud is GONE")
        begun, loop = day.world.now_ms(), asyncio.get_running_loop()
        limit = loop.time() + _OUTAGE_LIMIT_S
        await asyncio.sleep(_OUTAGE_WALL_S)
        while day.world.now_ms() < begun + _OUTAGE_WORLD_MS and loop.time() < limit:
            await asyncio.sleep(_POLL_S)
        await day.start_twin()
        day.witness.outage = False
        self._say("world", "outage", "I", f"the cloud is back after {(day.world.now_ms() - begun) // 60000} min")
