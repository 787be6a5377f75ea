"""Row N3, the part above DTLS: jobs that lead elsewhere, strangers on the network, replays. No byte is written.

Certificates (CA, name, self-signed, expired, not yet valid) are refused by real DTLS in tests/integration/test_dtls.py
and, by the modem and with a whole node, in test_modemsim_dtls.py and test_day.py (test_sabotaged_day).
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from faults import net_run

REFUSED = "Device rejected the update"
# name: (what the job says, how it ends)
JOBS = {
    "other-host": {"host": "firmware.example.com"},
    "suffix-host": {"host": "firmware.example.com.nrfcloud.com.evil.org"},
    "host-with-path": {"host": "firmware.example.com/.nrfcloud.com"},
    "host-with-query": {"host": "firmware.example.com?x=.nrfcloud.com"},
    "userinfo": {"host": "firmware.x@evil.nrfcloud.com"},
    "port": {"host": "firmware.nrfcloud.com:99"},
    "scheme-in-host": {"host": "http://firmware.nrfcloud.com"},
    "dots-in-path": {"path": "../../secret/fw.bin"},
    "fragment": {"path": "fw.bin#.nrfcloud.com"},
}
OTHERS = ("stranger-answers", "replayed-bundle", "replayed-job")
CASES = [(name, 1) for name in (*JOBS, *OTHERS)]


def run_case(name, seed, loud=False):
    """One case; -> net_rig.World."""
    from faults import net_rig
    from faults.net_cloud import URI
    from harness.net_node import SEEN

    async def drive(world):
        cloud = world.cloud
        await world.until(lambda: cloud.late_s > 0, 1)
        if name == "stranger-answers":
            await _stranger(world)
            return
        if name == "replayed-bundle":  # genuine and signed, of a sequence that was confirmed here long ago
            old = cloud.images[URI] = net_rig.image("older", 10600, "0.9.0", 1)
            job = world.offer(fileSize=len(old))
        elif name == "replayed-job":
            job = world.offer()
            await world.until(lambda: job.status == "SUCCEEDED", 4)
            SEEN.written.clear()
            job.status, told = "QUEUED", len(job.heard)  # the old answer to the poll, once more
            await world.until(lambda: len(job.heard) > told, 6)
        else:
            job = world.offer(**JOBS[name])
        await world.until(lambda: job.status in ("REJECTED", "FAILED"), 4)
        good = name == "replayed-job"
        if not good:
            said = job.heard[-1][2] if job.heard else None
            world.claim(job.status == "REJECTED" and REFUSED in (said or ""), f"{job.status}: {said}")
        world.claim(not SEEN.written, f"{len(SEEN.written)} blocks were written")
        if name in JOBS:
            world.claim(not cloud.asked["proxy"], "the proxy was asked")
        await world.alive()
        await world.drained()
        world.judge(installed=int(good), version="1.1.0" if good else "1.0.0")
        world.figures |= {"written": len(SEEN.written), "ends": job.status}

    async def _stranger(world):
        """Whoever is off the association sends datagrams that look right, from another port."""
        way, passed = world.way, world.way.up

        def up(link, port, data, target):
            passed(link, port, data, target)
            forged = bytes(data[:1]) + b"\xff\xfe" + bytes(data[3:7]) + b"\x45" + bytes(40)
            way._later(link.arrive, port, forged, ("192.0.2.66", 5684))

        way.up = up
        job = world.offer()
        world.claim(await world.until(lambda: job.status == "SUCCEEDED", 6), f"{job.status}")
        await world.drained()
        world.judge()

    return net_rig.run(name, seed, lambda rng: {}, drive, loud)


if __name__ == "__main__":
    sys.exit(net_run.main("N3", CASES, run_case, "net_wrong.py", also=(("written", sum),)))
