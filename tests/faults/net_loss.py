"""Row N1: an update through loss, duplication, reordering, delay, NAT rebinding and a path that drops what is large.

Every case is one node's whole update: job, download, restart, confirmation, report; the way is bad from its first
datagram to its last. Loss is spread evenly over the cases, 0 to 50 % in each direction; `loss` has nothing but that and
doubled datagrams, of `mixed` the rest is drawn.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from faults import net_run

PURE, MIXED = 40, 160
CASES = [("loss", seed) for seed in range(1, PURE + 1)] + [("mixed", seed) for seed in range(1, MIXED + 1)]
_HOURS = 24
_DOUBLED = 0.2


def way(name, rng, seed):
    """-> what World() takes for this seed."""
    count = PURE if name == "loss" else MIXED
    both = {"loss": (seed - 1) % count / (count - 1) * 0.5, "double": _DOUBLED, "delay_s": 0.2}
    if name == "loss":
        return {"up": both, "down": both, "size": 61000}
    both |= {
        "late": rng.choice((0, 0.3, 0.3)),
        "late_s": 0.05 * 1200 ** rng.random(),  # 50 ms to 60 s
        "delay_s": 0.05 * 40 ** rng.random(),  # 50 ms to 2 s, one way
        "jitter_s": rng.choice((0, 0.5)),
    }
    mtu = rng.choice((None, None, None, 1100, 800, 500)) if both["loss"] < 0.36 else None
    return {"up": both, "down": both, "mtu": mtu,
            "size": 61000 if seed % 20 == 0 else 10600}


def run_case(name, seed, loud=False):
    """One case; -> net_rig.World."""
    from faults import net_rig

    async def rebinding(world, every_s):
        while True:
            await asyncio.sleep(world.rng.expovariate(1 / every_s))
            for link in tuple(world.way.open):
                link.rebind()

    async def drive(world):
        every_s = world.rng.choice((None, 120, 900)) if name == "mixed" else None
        nat = asyncio.create_task(rebinding(world, every_s)) if every_s else None
        job = world.offer()
        try:
            over = await world.until(lambda: job.status in ("SUCCEEDED", "FAILED", "REJECTED"), _HOURS)
            world.claim(over and job.status == "SUCCEEDED", f"after {_HOURS} h the job is {job.status}: {job.heard}")
            await world.drained(24)
        finally:
            if nat:
                nat.cancel()
        world.judge()
        world.once()
        _figures(world, job, every_s)

    return net_rig.run(name, seed, lambda rng: way(name, rng, seed), drive, loud)


def _figures(world, job, every_s):
    how = world.way.up_way.settings
    size = len(world.image)
    visits = sum(status == "IN_PROGRESS" for _, status, _ in job.heard)
    done = [t for t, status, _ in job.heard if status == "SUCCEEDED"]
    world.figures |= {
        "loss": how.loss, "double": how.double, "late": how.late, "late_s": how.late_s, "delay": how.delay_s,
        "mtu": world.way.mtu or 0, "nat": every_s or 0, "size": size, "sent": world.cloud.sent["proxy"],
        "ratio": world.cloud.sent["proxy"] / size, "visits": visits, "done_h": done[0] / 3600 if done else 0,
        "boots": len(world.node.starts) - 1,
    }


if __name__ == "__main__":
    sys.exit(net_run.main("N1", CASES, run_case, "net_loss.py", also=(("visits", max),)))
