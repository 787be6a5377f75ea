"""A whole node on a flash image whose cloud is one of lib/cloud's plain backends: boot selector, journal, uplink,
update and trial as the firmware has them, on littlefs2, over real UDP. `ota_node_device.py BACKEND PORT IMAGE`, run
under MicroPython for test_ota_node.py; IMAGE is where the bundle that it will take is written.

Evaluates one expression a line of standard input, over `node`, and prints {"value": ..} or {"error", "text", "code"}.
"""

import json
import sys

_REPO = __file__.rsplit("/", 3)[0]
sys.path[:] = [_REPO + "/lib", _REPO + "/firmware", _REPO + "/tests", _REPO + "/tests/harness", ".frozen"]

import asyncio  # noqa: E402

import cloud as clouds  # noqa: E402
import coap  # noqa: E402
from cloud.base import PUBLISH  # noqa: E402
from config import Config  # noqa: E402
from faults.device.node import ROOT, Images, Node, Restart, patch  # noqa: E402
from harness.fota_kit import bundle  # noqa: E402
from logbook import Logbook  # noqa: E402
from net.udp import udp_open  # noqa: E402
from records import Records  # noqa: E402
from state import State  # noqa: E402

SECRETS = {"thingsboard": "A1B2C3D4E5F6G7H8I9J0", "exosite": "000102030405060708090a0b0c0d0e0f10111213"}
ABOUT = {"thingsboard": {"title": "godwit"}, "exosite": {"vendor": "acme", "model": "node"}}
TUNING = {"ack_timeout_ms": 120, "max_retransmit": 6, "separate_timeout_ms": 20000}
_ROUNDS = 20
_SOON_S = 60  # a visit that is to come sooner goes on with something


class Gauge:
    """The heap's, for the errands."""

    def mark(self):
        return 0


def make_app(node, info, journal):
    """-> firmware/app.py's App without modem, link and time. No power is cut in here, so no report is cut off."""
    import app

    class Bare(app.App):
        def __init__(self):
            pass

    made = Bare()
    made.root, made.running = ROOT, info
    made.state, made.config = State(), Config(ROOT)
    made.state.health = 1 << 60  # no report of the heap
    made.state.link.set()
    made.records = Records(journal, made.state, 16)
    made.cloud, made.logbook, made.heap, made.scratch = node.cloud, Logbook(), Gauge(), node.scratch
    return made


class OtaNode(Node):
    """See the head of this file. `cloud` is made anew at each start; `limit`: bytes of the image after which the link
    goes away for the rest of a life."""

    def __init__(self, backend, port, image):
        super().__init__(Images("small"))
        self.backend, self.port = backend, int(port)
        self.limit = None
        with open(image, "wb") as file:
            file.write(self.images.new)

    def write_older(self, path):
        """A bundle that is refused for its sequence."""
        with open(path, "wb") as file:
            file.write(bundle(self.images.files["1.1.0"], "0.9.0", 1))

    async def connect(self):
        return await udp_open("127.0.0.1", self.port)

    def life(self):
        """One start of the node. -> [version, "restart" or "idle" or "hung", whether it was on trial]"""
        self.power_on()
        info = self.select()
        made = clouds.load(self.backend)
        self.cloud = made("node-1", self.connect, SECRETS[self.backend], {"cver": info["version"]}, TUNING,
                          **ABOUT[self.backend])  # fmt: skip
        self.read = self.cloud.update_read
        app = make_app(self, info, self._journal())
        if PUBLISH not in self.cloud.caps:
            self.cloud.publish = self._nowhere
        app.records.add("temp", 1)
        trial = info["pending"]
        if trial and not self.good:
            return [info["version"], "hung", True]
        asyncio.new_event_loop()
        try:
            asyncio.run(self._rounds(app))
        except Restart:
            return [info["version"], "restart", trial]
        return [info["version"], "idle", trial]

    async def _rounds(self, app):
        """What the errands and the trial do, in their order, until there is nothing to do or the link is gone."""
        await self.cloud.open()
        self.cloud.update_read = self._read
        trial = None
        if app.running["pending"]:
            from tasks.trial import Trial

            trial = Trial(app.state, app.running, app.records, app.restart, None)
        for _ in range(_ROUNDS):
            quiet = not app.records.pending()
            for name in ("shadow", "uplink", "update"):
                try:
                    delay_s = await app.part(name).visit()
                except (OSError, coap.CoapError, clouds.base.CloudError):
                    delay_s = 0
                if trial and not app.running.get("sound"):
                    task = asyncio.create_task(trial.run())
                    await asyncio.sleep(0)
                    task.cancel()
            if quiet and delay_s > _SOON_S and not app.records.pending():
                break
        await self.cloud.close()

    async def _nowhere(self, records):
        """Stands in for publish() where a backend has none yet: the queue must not stop at the first measurement."""
        return len(records)

    async def _read(self, job, offset, mv):
        if self.limit is not None and offset >= self.limit:
            raise OSError(113)
        return await self.read(job, offset, mv)


def main():
    patch()
    names = {"node": OtaNode(*sys.argv[1:4])}
    print(json.dumps({"value": "ready"}))
    while True:
        line = sys.stdin.readline()
        if not line:
            return
        try:
            said = {"value": eval(line.strip(), names)}
        except (coap.CoapError, OSError, ValueError, clouds.base.CloudError) as error:
            said = {"error": type(error).__name__, "text": str(error), "code": None}
        print(json.dumps(said))


main()
