"""Row C1: clocks that are unset, far off, or jump, around an update and its reports.

The network's clock is what the node sees; ticks may wrap anywhere. Telemetry keeps its order, nothing is locked out
once the time is right again, and no job times out by a jump.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from faults import net_run

YEAR_S = 31556952
_START_S = 1767225600
# name: (seconds that the network's clock is off at first, ... from mid-download on, ticks at the start)
CLOCKS = {
    "unset-2000": (946684800 - _START_S, None, None),
    "1980": (315964800 - _START_S, None, None),
    "2038": (2147483648 - 60 - _START_S, None, None),
    "2106": (4294967296 - 60 - _START_S, None, None),
    "back-10-years": (0, -10 * YEAR_S, None),
    "forward-50-years": (0, 50 * YEAR_S, None),
    "forward-a-week": (0, 7 * 86400, None),
    "back-a-week": (0, -7 * 86400, None),
    "from-2000-to-now": (946684800 - _START_S, 0, None),
    "from-2076-to-now": (50 * YEAR_S, 0, None),
    "runs-backwards": (0, "backwards", None),
}
WRAPS = {f"wrap-after-{s}-s": s for s in (0, 10, 44, 46, 48, 50, 60, 90, 600)}
CASES = [(name, 1) for name in (*CLOCKS, *WRAPS)]


def run_case(name, seed, loud=False):
    """One case; -> net_rig.World."""
    from campaign import vtime
    from faults import net_rig
    from harness.net_node import SEEN

    first, then, _ = CLOCKS.get(name, (0, None, None))
    ticks = (1 << 30) - WRAPS[name] * 1000 if name in WRAPS else None

    async def drive(world):
        cloud, clock = world.cloud, world.rig.clock
        off = [first]
        true_ms = vtime.now_ms
        clock.now_ms = lambda: true_ms() + round(1000 * (off[0] if off[0] != "backwards" else -2 * vtime.now_s()))
        job = world.offer()
        if then is not None:
            await world.until(lambda: SEEN.written or job.status == "SUCCEEDED", 2, 0.5)
            off[0] = then
            for link in tuple(world.way.open):
                link.rebind()  # and a new session, which asks the time
        early = await world.until(lambda: job.status != "QUEUED" and job.status != "IN_PROGRESS", 2)
        off[0] = 0  # the network's clock is right again
        over = early or await world.until(lambda: job.status not in ("QUEUED", "IN_PROGRESS"), 12)
        world.claim(over and job.status == "SUCCEEDED", f"the job is {job.status}: {job.heard}")
        await world.alive(6)
        await world.drained(6)
        await asyncio.sleep(60)
        order = [key[1] for key in cloud.values if key[0] == "COUNT"]
        world.claim(order == sorted(order), "telemetry is out of order")
        world.judge()
        world.figures |= {"boots": len(world.node.starts) - 1, "early": early}

    return net_rig.run(name, seed, lambda rng: {"size": 61000 if name in WRAPS or then is not None else 10600}, drive,
                       loud, ticks)


if __name__ == "__main__":
    sys.exit(net_run.main("C1", CASES, run_case, "net_clock.py"))
