"""Row N2: servers that answer wrongly, in every layer: what the node does, what the job says, and how often it asks.

A fault holds for some hours of virtual time; then the service is in order again. `ends`: how the job is to end, the
status and a word of its details. Throughout, telemetry is accepted, nothing unverified is written, and requests are
few: HOURLY of one kind in any hour but the first.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from faults import net_run
from faults.net_faults import FAULTS

HOURLY = 120
_QUIET_S = 5000  # telemetry goes up every 600 s; what refuses a report may hold it back for an hour
_BY_NAME = {fault.name: fault for fault in FAULTS}
CASES = [(fault.name, 1) for fault in FAULTS]
_OVER = ("SUCCEEDED", "FAILED", "REJECTED", "TIMED_OUT", "CANCELLED")


def run_case(name, seed, loud=False):
    """One case; -> net_rig.World."""
    from campaign import vtime
    from faults import net_rig

    fault = _BY_NAME[name]

    async def drive(world):
        cloud = world.cloud
        await world.until(lambda: cloud.late_s > 0, 1)
        job = fault.offer(world)
        cloud.fault = fault.begin(world)
        end = vtime.now_s() + fault.hours * 3600
        while vtime.now_s() < end:
            await world.until(lambda: False, 0.25)
            world.claim(vtime.now_s() - cloud.late_s < _QUIET_S, "telemetry stopped")
        cloud.fault = None
        over = await world.until(lambda: job.status in _OVER, 8)
        world.claim(over, f"the job never ended: {job.status}")
        status, word = fault.ends
        said = job.heard[-1][2] if job.heard else None
        world.claim(job.status == status and (word or "") in (said or ""), f"{job.status} {said!r}, not {fault.ends}")
        await world.alive()
        await world.drained()
        good = status == "SUCCEEDED"
        world.judge(installed=int(good), version=fault.runs if good else "1.0.0")
        most = {kind: cloud.per_hour(kind, 3600) for kind in ("check", "report", "proxy")}
        world.claim(max(most.values()) <= HOURLY, f"asked too often: {most}")
        ended = [heard for heard in job.heard if heard[1] in _OVER]
        world.claim(len(ended) <= 1, f"the end was reported {len(ended)} times")
        world.figures |= {"ends": f"{job.status}: {said}", "most": max(most.values()), "hourly": json.dumps(most),
                          "boots": len(world.node.starts) - 1, "reports": max(0, len(ended) - 1)}

    def make(rng):
        return {"size": fault.size}

    return net_rig.run(name, seed, make, drive, loud)


if __name__ == "__main__":
    sys.exit(net_run.main("N2", CASES, run_case, "net_server.py", also=(("most", max),)))
