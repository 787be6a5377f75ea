"""The device side of test_position_services.py: REPO PTY PKI DEVICE SCENARIO FOLDER ARG.. under MicroPython.

Modem driver, DTLS over its UDP socket, CoAP and the cloud's verbs, and for some scenarios the errand tasks/locate;
prints one JSON line per finding. The pytest side asks the twin and the simulator what really happened.
"""

import sys

_REPO, _PTY, _PKI, _DEVICE, _SCENARIO, _FOLDER = sys.argv[1:7]
sys.path[:] = [_REPO + "/lib", _REPO + "/firmware", ".frozen"]

import asyncio  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
from binascii import hexlify  # noqa: E402

import clock  # noqa: E402
import cloud  # noqa: E402
import coap  # noqa: E402
import cold  # noqa: E402
import es256  # noqa: E402
import jwt  # noqa: E402
import log  # noqa: E402
import modem  # noqa: E402
import store  # noqa: E402
from cloud.base import CloudError  # noqa: E402
from net.dtls import DTLS  # noqa: E402
from state import State  # noqa: E402
from tasks.locate import Locate  # noqa: E402

_HOST = "coap.nrfcloud.com"
_SETTINGS = {
    "locate_interval_s": 14400,
    "locate_accuracy_m": 0,
    "locate_movement": "always",
    "gnss_timeout_s": 60,
    "agnss_mask_deg": -1,
    "pgps": 12,
    "ground_fix_cells": 1,
    "ground_fix_reply": True,
    "ground_fix_confident": False,
    "ground_fix_fallback": True,
}


def tell(name, value=True):
    print(json.dumps([name, value]))


class Node:
    """What app.py puts together, as far as the position services need it."""

    def __init__(self):
        self.modem = modem.load("nrf91")(open(_PTY, "r+b"))
        self.cloud = cloud.load("nrfcloud")(_DEVICE, self.connect, self.token)
        self.state = State()
        self.settings = dict(_SETTINGS)
        self.scratch = memoryview(bytearray(7424))
        self.peak = 0
        self.points = None
        self.receiver = None  # the board's own

    async def connect(self):
        secured = DTLS(await self.modem.udp_open(_HOST, 5684, 2816), _HOST, store.read_bytes(_PKI + "/ca.pem"))
        await secured.handshake(30000)
        return secured

    async def token(self, device_id, now_s, lifetime_s):
        key = es256.load_private_key(store.read_bytes(_PKI + "/device.hex").decode().strip())
        return jwt.device_token(jwt.KeySigner(key), device_id, now_s, lifetime_s)

    async def up(self):
        await self.modem.start()
        await self.modem.attach()
        clock.set_utc(await self.modem.time() * 1000)
        await self.cloud.open()
        self.state.link.set()

    def mark(self):
        gc.collect()
        self.peak = max(self.peak, gc.mem_alloc())

    def add(self, name, value, ts_ms):
        tell(name, value)

    async def scan(self):
        return self.points

    async def visit(self):
        wifi = self if self.points else None
        task = Locate(
            self.state, self.settings, self, self.modem, self.cloud, self, self.scratch, wifi, _FOLDER + "/pgps",
            receiver=self.receiver,
        )  # fmt: skip
        del wifi
        await task.visit()
        cold.forget()


async def forms(node, day):
    """Every way of asking for a position, for assistance and for predictions."""
    from cloud.nrfcloud import assist, needs, predict

    cell = await node.modem.cells()
    tell("cell", cell)
    tell("place", await node.cloud.locate([cell]))
    tell("silent", await node.cloud.locate([cell], (), False, True, False))
    points = [{"mac": b"\x00\x18\x39\x59\x8c" + bytes((i,)), "rssi_dbm": -40 - i, "channel": 6} for i in range(3)]
    tell("wifi", await node.cloud.locate([cell], points))
    tell("only_wifi", await node.cloud.locate([], points))
    tell("found", len(await node.modem.search(5)))
    tell("several", await node.cloud.locate(await node.modem.search(5)))
    tell("nowhere", await node.cloud.locate([dict(cell, mcc=999)]))
    part = ([1, 6, 7, 8], None, {})
    for name, get in (("agnss", False), ("agps", False), ("agnss", True), ("agps", True)):
        how = needs.get if get else assist.fetch
        count = await how(node.cloud, "loc/" + name, part, cell, node.scratch)
        tell("%s %s" % ("GET" if get else "FETCH", name), hexlify(node.scratch[:count]).decode())
    count = await assist.fetch(node.cloud, "loc/agnss", ([2], 10, {}), cell, node.scratch)
    tell("filtered", hexlify(node.scratch[:count]).decode())
    for get in (False, True):
        tell("GET pgps" if get else "FETCH pgps", await predict.predictions_at(node.cloud, 3, int(day), 14400, get))
    refusals = {}
    for name, call in (
        ("types", lambda: assist.fetch(node.cloud, "loc/agnss", ([99], None, {}), cell, node.scratch)),
        ("count", lambda: predict.predictions_at(node.cloud, 43, int(day), 0)),
        ("cell", lambda: node.cloud.locate([dict(cell, eci=1 << 28)])),
    ):
        try:
            await call()
        except (coap.Refused, CloudError) as refused:
            refusals[name] = str(refused)
    tell("refusals", refusals)


async def fetch(node, count):
    """Predictions alone, as refresh() has them."""
    tell("begun")
    try:
        job = await node.cloud.predictions_due(_FOLDER + "/pgps", int(count))
        tell("fetched", await node.cloud.predictions(_FOLDER + "/pgps", job, node.scratch))
    except CloudError as error:
        tell("error", str(error))


async def offline(node, *_):
    """A visit with the link, then one without; in between the receiver forgets all it knew."""
    await node.visit()
    await node.cloud.close()
    node.state.link.clear()
    await node.modem.at.command("AT#XGNSSDEL=1407", timeout_ms=5000)
    tell("cut")
    await node.visit()


async def online(node, *_):
    """A visit with Wi-Fi and a filter, twice: the second time the receiver still has what it was given."""
    node.points = [{"mac": b"\x00\x18\x39\x59\x8c" + bytes((i,)), "rssi_dbm": -40 - i, "channel": 6} for i in range(2)]
    node.settings.update({"pgps": 0, "agnss_mask_deg": 10})
    await node.visit()
    tell("first", node.state.place)
    await node.visit()


async def own(node, pty):
    """A receiver on a UART of its own: a visit with the link, one without, after which its battery was lost."""
    from at.tty import prepare
    from gnss.ublox import Receiver

    stream = open(pty, "r+b")
    prepare(stream)
    node.receiver = Receiver(stream)
    await node.visit()
    await node.cloud.close()
    node.state.link.clear()
    tell("cut")
    sys.stdin.readline()
    await node.visit()


async def main():
    log.level = log.DEBUG
    node = Node()
    await node.up()
    await globals()[_SCENARIO](node, *sys.argv[7:])
    await node.cloud.close()
    node.mark()
    tell("peak", node.peak)


asyncio.run(main())
