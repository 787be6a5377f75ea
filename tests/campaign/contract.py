"""The scenarios of tests/device/contract_device.py in virtual time, for each family; see test_modem_contract.py.

Reads a JSON list of {"name": scenario, "args", "before", "actions"} (see run) from standard input, writes one of them
with "family" and "told" for each family.
"""

import asyncio
import contextlib
import io
import json
import pathlib
import sys

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[1]))

from campaign.__main__ import prepare
from campaign.faults import FAMILIES

_LIMIT_S = 3600


class Echo:
    """The peer: what came goes back; to `burst` twenty datagrams."""

    def feed(self, datagram, address, answer):
        for data in [bytes((i,)) * 50 for i in range(20)] if datagram == b"burst" else [datagram]:
            answer(data)


async def _play(rig, device, family, name, args, before):
    """One scenario; `before`: [(bytes for the line, or a fault with its argument)] done to the modem first."""
    rig.start()
    for kind, what, arg in before:
        if kind == "fault":
            rig.faults.apply(what, arg)
        else:
            await asyncio.sleep(15)
            rig.soon(rig.uart.heard, what.encode() + b"\r" * (kind == "line"))
            await asyncio.sleep(1)
    m = device.made(family, rig.stream(), rig.power)
    await asyncio.wait_for(getattr(device, name)(m, *args), _LIMIT_S)
    await m.at.stop()


def run(family, name, args=(), before=(), actions=()):
    """-> {what the device told: [values]}, with "sockets" and "events" of the simulator. `actions`: faults for each
    time that the device tells a readyN."""
    from campaign import rig as rigs
    from campaign import vtime
    from device import contract_device as device

    told, rig = {}, None

    def tell(key, value=True):
        told.setdefault(key, []).append(value)
        if key.startswith("ready"):
            asyncio.get_running_loop().call_later(0.5, rig.faults.apply, actions[int(key[5:])])

    async def main():
        nonlocal rig
        rig = rigs.Rig(family, Echo(), 7)
        device.tell = tell
        await _play(rig, device, family, name, args, before)
        told.update(sockets=rig.sockets(), bugs=rig.log.bugs, pin_wrong=rig.log.counters["pin_wrong"])

    try:
        vtime.run(main, 7)
    except (Exception, vtime.Stalled) as error:
        told["failed"] = repr(error)
    return told


if __name__ == "__main__":
    prepare()
    jobs = json.load(sys.stdin)
    with contextlib.redirect_stdout(io.StringIO()):
        found = [{**job, "family": family, "told": run(family, **job)} for job in jobs for family in FAMILIES]
    print(json.dumps(found))
