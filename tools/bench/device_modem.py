"""The device side of modem.py: the driver, DTLS, CoAP, the cloud's verbs and the firmware's own search, step by step.

One JSON line on standard input is the task: {"repo", "pty", "pki", "folder", "device", "family", "dtls", "what", ...}.
After each `tell` of a stage it waits for a line, so that the host can read the simulator's counters in between.
"""

import json
import sys

_TASK = json.loads(sys.stdin.readline())
sys.path[:] = [_TASK["repo"] + "/lib", _TASK["repo"] + "/firmware", ".frozen"]

import asyncio  # noqa: E402
import gc  # noqa: E402

import cbor  # noqa: E402
import clock  # noqa: E402
import cloud  # noqa: E402
import cold  # noqa: E402
import es256  # noqa: E402
import jwt  # noqa: E402
import log  # noqa: E402
import modem  # noqa: E402
import store  # noqa: E402
from net.dtls import DTLS  # noqa: E402
from state import State  # noqa: E402
from tasks.locate import Locate  # noqa: E402

_HOST, _PORT, _TAG = "coap.nrfcloud.com", 5684, 16842753
_RX_BYTES = 2816  # as firmware/session.py asks for
_LIMIT_MS = 30000
_DRIVER = ("at", "modem", "gnss")
# What a receiver of the node may claim to take, by the way of helping it.
_ALWAYS = {"GNSS", "GNSS_ALONE"}
_CLAIMS = {
    "none": set(),
    "hint": {"TIMEHINT", "POSHINT"},
    "agnss": {"AGNSS"},
    "pgps": {"AGNSS"},
    "xtra": {"XTRA", "TIMEHINT"},
}


def tell(name, **values):
    values["told"] = name
    print(json.dumps(values))


def stage(name, **values):
    """Tell, and wait for the host."""
    tell(name, **values)
    sys.stdin.readline()


def loaded():
    """-> names of the driver's modules that are loaded now and will be forgotten."""
    come_and_go = set()
    for package, leaves in cold.COLD:
        come_and_go.update([package + "." + leaf for leaf in leaves.split()])
    return sorted([name for name in sys.modules if name.split(".")[0] in _DRIVER and name in come_and_go])


class Settings(dict):
    folder = _TASK["folder"]


class Link:
    """What tasks.search needs of tasks.link where a receiver borrows the radio."""

    started = True

    def __init__(self, node):
        self.lock = asyncio.Lock()
        self.state, self.cloud, self.modem = node.state, node.cloud, node.modem


class Receiver:
    """The modem's receiver, which claims no more than what is to be measured, and notes what each verb has loaded."""

    def __init__(self, made, caps, seen):
        self.caps = caps
        self._made = made
        self._seen = seen

    def __getattr__(self, verb):
        function = getattr(self._made, verb)

        async def call(*args, **how):
            try:
                return await function(*args, **how)
            finally:
                self._seen.setdefault(verb, set()).update(loaded())

        return call


class Node:
    """What app.py puts together, as far as this bench needs it."""

    def __init__(self, task):
        self.task = task
        self.modem = modem.load(task["family"])(open(task["pty"], "r+b"), log=self.note)
        self.modem.on_lost = self.lost
        self.cloud = cloud.load("nrfcloud")(task["device"], self.connect, self.token)
        self.state = State()
        self.ca = store.read_bytes(task["pki"] + "/ca.pem")
        self.scratch = memoryview(bytearray(7424))
        self.seen = {}

    def note(self, text):
        print("modem:", text)

    def lost(self, reason):
        print("lost:", reason)

    async def connect(self):
        if self.task["dtls"] == "modem":
            return await self.modem.dtls_open(
                _HOST, _PORT, _TAG, _HOST, rx_bytes=_RX_BYTES, timeout_ms=_LIMIT_MS, ca=self.ca
            )
        secured = DTLS(await self.modem.udp_open(_HOST, _PORT, _RX_BYTES), _HOST, self.ca)
        await secured.handshake(_LIMIT_MS)
        return secured

    async def token(self, device_id, now_s, lifetime_s):
        key = es256.load_private_key(store.read_bytes(self.task["pki"] + "/device.hex").decode().strip())
        return jwt.device_token(jwt.KeySigner(key), device_id, now_s, lifetime_s)

    async def step(self, name, verb):
        """Run a verb with nothing loaded that comes and goes; note what it has loaded."""
        cold.forget()
        result = await verb()
        self.seen.setdefault(name, set()).update(loaded())
        return result

    async def attach(self):
        await self.modem.start()
        caps = self.modem.caps
        if "XTRA" in caps and "TIMEHINT" not in caps:  # BG95: once in its life, it wants a restart for that
            await self.modem.reset(4)
            await self.modem.start()
        return await self.modem.attach()

    async def up(self):
        await self.step("attach", self.attach)
        clock.set_utc(await self.modem.time() * 1000)
        await self.step("open", lambda: self.cloud.open())
        self.state.link.set()
        self.state.cell = await self.step("cells", lambda: self.modem.cells())
        cold.forget()

    async def back(self):
        """Have the link again, if the search has cost it."""
        if self.modem.restarted:
            await self.modem.start()
        await self.modem.attach()
        if self.cloud.client is None:
            await self.cloud.open()
        self.state.link.set()

    # what tasks.locate wants of its surroundings

    def mark(self):
        pass

    def add(self, name, value, ts_ms):
        pass


async def fix(node):
    """One cold search with the help `task["help"]`. Stages: up, prepared, done."""
    task = node.task
    how = task["help"]
    settings = Settings(gnss_timeout_s=120, agnss_mask_deg=-1, pgps=0, xtra="")
    settings["pgps"] = task["predictions"] if how == "pgps" else 0
    settings["xtra"] = task["xtra"] if how == "xtra" else ""
    caps = (_ALWAYS | _CLAIMS[how]) & node.modem.caps
    if not _CLAIMS[how] & caps and how != "none":
        raise ValueError("%s takes no %s" % (task["family"], how))
    receiver = Receiver(node.modem, caps, node.seen)
    place = await node.cloud.locate([node.state.cell])  # what a node knows of its position before its first fix
    place["time"] = clock.now()
    node.state.place = place
    visit = Locate(
        node.state, settings, node, node.modem, node.cloud, node, node.scratch, None, _TASK["folder"] + "/pgps",
        link=Link(node), receiver=receiver,
    )  # fmt: skip
    visit.step()
    stage("up", caps=sorted(node.modem.caps))
    from tasks import offline

    if how == "pgps":
        await offline.keep(visit)
        node.state.link.clear()  # from here on the cloud helps no more
    elif how == "xtra":
        tell("xtra", loaded=await offline.file(visit))
        await node.back()
    visit.step()
    stage("prepared")
    from tasks import search

    found = await search.run(visit)
    await node.back()
    stage("done", found=found, fix=node.state.fix, loaded={verb: sorted(names) for verb, names in node.seen.items()})


def batch(number):
    """-> six records as records.Records has them: what a node measures in an hour or so."""
    at = clock.now_ms() - number * 1000
    fix = {"lat": 544716000, "lon": 90447000, "alt_mm": 4200, "acc_mm": 5300, "speed_mm_s": 120, "heading_mdeg": 275100}
    values = (
        ("temp", cbor.Decimal(2156 + number, -2)), ("humid", cbor.Decimal(613, -1)),
        ("pressure", cbor.Decimal(10132, -1)), ("battery", 3712), ("rsrp", -92), ("gnss", fix),
    )  # fmt: skip
    return [(number * 8 + i, at - i * 1000, name, value) for i, (name, value) in enumerate(values)]


async def uplink(node):
    """Batches of six in an open session. Stages: each, with what the heap said of the one before."""
    sizes = []
    request = node.cloud.client.request

    def sized(*args, **how):
        sizes.append(len(how["payload"]))
        return request(*args, **how)

    node.cloud.client.request = sized
    told = {}
    for number in range(node.task["rounds"] + 1):
        stage("each", number=number, **told)
        if number == node.task["rounds"]:
            break
        records = batch(number)
        del sizes[:]
        gc.collect()
        gc.disable()
        before = gc.mem_alloc()
        count = await node.cloud.publish(records)
        spent = gc.mem_alloc() - before
        gc.enable()
        told = {"count": count, "payload": sum(sizes), "messages": len(sizes), "allocated": spent, "before": before}


def in_use():
    """-> bytes of the heap once all that can go is gone."""
    cold.forget()
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


async def objects(node):
    """Heap of what the driver keeps: itself, and an open endpoint, when all of the code that stays is there."""
    before = in_use()
    made = modem.load(node.task["family"])(open(node.task["pty"], "r+b"))
    driver = in_use() - before
    held = []
    for _ in range(3):  # a session is open; the first of these may still leave something that stays
        held.append(await node.modem.udp_open(_HOST, _PORT, _RX_BYTES))
        if len(held) == 1:
            before = in_use()
    stage("objects", driver=driver, endpoint=(in_use() - before) // 2, family=made.family, mtu=held[0].mtu)


async def main():
    log.level = log.INFO
    node = Node(_TASK)
    await node.up()
    await {"fix": fix, "uplink": uplink, "objects": objects}[_TASK["what"]](node)
    await node.cloud.close()


asyncio.run(main())
