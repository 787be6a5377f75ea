"""Firmware updates over ThingsBoard and Exosite: lib/fota/fetch with the update verbs of both backends in a MicroPython
process, over real UDP and a bad link, against the emulators of tools/godwit/twin. platforms.md 1.10, 2.5.

The link is seeded; a failing test shows its seed, GODWIT_SEED=n repeats it.
"""

import asyncio
import contextlib
import hashlib
import os
import random

import aiocoap
import pytest
from cloud_rig import Device, DeviceError
from net_support import LoopThread, coap_server, seed, sha

from godwit import bundle, keys
from godwit.twin.exosite.server import Exosite
from godwit.twin.thingsboard.devices import Package
from godwit.twin.thingsboard.server import ThingsBoard
from godwit.world import World
from harness.impair import Impairment

TOKEN = "A1B2C3D4E5F6G7H8I9J0"
CIK = "000102030405060708090a0b0c0d0e0f10111213"
BACKENDS = ("thingsboard", "exosite")
LINKS = {
    "loss": {"loss": 0.05},
    "double": {"double": 0.3},
    "reorder": {"late": 0.15, "late_s": 0.15},
    "all": {"loss": 0.05, "double": 0.1, "late": 0.05, "late_s": 0.15, "delay_s": 0.002, "jitter_s": 0.01},
}
WAY = ("started", "downloaded", "verified", "installing", "succeeded")


def image(key, version, sequence, size=20000, filling=1):
    files = {"app.mpy": b"M\x06\x00\x1f" + random.Random(filling).randbytes(size)}
    return bundle.build_bundle(files, version=version, sequence=sequence, device_class="godwit-unix", key=key)


def payload(made):
    return sha(bundle.parse_bundle(made)[3])


class ThingsBoardSide:
    """What a test does with the emulated platform, the same words for both."""

    secret = TOKEN

    def __init__(self, server):
        self.server = server
        self.device = server.add_device(TOKEN)

    def assign(self, data, version):
        self.server.assign(TOKEN, data and Package("godwit", version, data))

    def served(self):
        """Byte offsets that were asked for, in order."""
        found = []
        for _, feature, query, _ in self.server.site.requests:
            if feature == "fw":
                size, chunk = (int(item.split("=")[1]) for item in query[2:])
                found.append(size * chunk)
        return found

    def told(self):
        """The states as the platform saw them."""
        assert self.server.fw_states(TOKEN)[:2] == ["QUEUED", "INITIATED"]
        return self.server.fw_states(TOKEN)[2:]

    def check(self):
        assert self.server.site.violations == []

    way = ["DOWNLOADING", "DOWNLOADED", "VERIFIED", "UPDATING", "UPDATED"]


class ExositeSide:
    """The same for Exosite."""

    secret = CIK

    def __init__(self, server):
        self.server = server
        self.device = server.add_device(CIK, "acme", "node", "fw_target", "fw_state", "fw_result", "fw_version")

    def assign(self, data, version):
        self.server.world.advance(2000)  # it tells versions of a content apart by whole seconds
        self.server.upload("acme", "node", "fw.bin", data, version)
        self.server.write(CIK, "fw_target", "fw.bin" if data else "")

    def served(self):
        return [
            block[0] << block[2] + 4
            for _, path, block, _ in self.server.site.requests
            if path.endswith("fw.bin") and block
        ]

    def told(self):
        texts = self.device.texts("fw_state") + self.device.texts("fw_result")
        return [text.split(",")[0] for text in texts]

    def check(self):
        assert not any(self.device.dataports[alias].hasty for alias in ("fw_state", "fw_result"))

    way = ["started", "succeeded"]


@contextlib.contextmanager
def platform(backend):
    make = ThingsBoard if backend == "thingsboard" else Exosite
    thread = LoopThread(lambda: make(World(), ack_timeout_s=0.2).start())
    try:
        yield (ThingsBoardSide if backend == "thingsboard" else ExositeSide)(thread.server)
    finally:
        thread.close()


@pytest.fixture(scope="module")
def key():
    return keys.make_key()


@pytest.fixture
def start(key, tmp_path):
    """start(backend, port, bits) -> a Device whose cloud is open; all are ended after the test."""
    (tmp_path / "key").write_bytes(keys.modulus(key))
    (tmp_path / "flash").mkdir()
    running = []

    def start(backend, port, bits="32"):
        device = Device("ota_device.py", (backend, port, tmp_path / "flash", tmp_path / "key"), bits, "1m")
        running.append(device)
        device.do("node.cloud.open()")
        return device

    yield start
    for device in running:
        device.stop()


def refused(device, expression, name):
    with pytest.raises(DeviceError) as caught:
        device.do(expression)
    assert caught.value.name == name, caught.value
    assert TOKEN not in caught.value.text and CIK not in caught.value.text
    return caught.value.text


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bits", ["64", "32"], ids=["mp64", "mp32"])
def test_the_whole_way(backend, bits, key, start):
    """From an assignment to UPDATED, and nothing is offered again after it."""
    made = image(key, "1.1.0", 5)
    with platform(backend) as side:
        device = start(backend, side.server.port, bits)
        assert device.do("node.check()") is None
        side.assign(made, "1.1.0")
        job = device.do("node.check()")
        assert (job["kind"], job["version"], job["size"], job["refused"]) == ("APP", "1.1.0", len(made), None)
        done = device.do("node.download()")
        assert (done["version"], done["sequence"], done["sha256"]) == ("1.1.0", 5, payload(made))
        assert sum(n for _, n in device.do("node.reads")) == done["fetched"] <= len(made)
        device.do(f"node.report(*{WAY})")
        assert side.told() == side.way
        assert device.do("node.check()") is None, "it has ended here"
        device.do("node.reopen(version='1.1.0')")
        assert device.do("node.check()") is None, "it runs here"
        side.check()
        if backend == "thingsboard":
            device_now = side.device
            assert device_now.told("current_fw_version") == ["1.0.0", "1.1.0", "1.1.0"]
            assert device_now.client["fw_ended"] == job["id"]
        else:
            assert side.device.texts("fw_version") == ["1.0.0", "1.1.0"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", LINKS)
def test_a_bad_link(backend, kind, key, start):
    """Every byte arrives once, right, and nothing is asked for behind the end."""
    made = image(key, "1.1.0", 5, 40000 if kind == "loss" else 20000)
    with platform(backend) as side:
        side.assign(made, "1.1.0")
        with Impairment(("127.0.0.1", side.server.port), seed=seed(31), **LINKS[kind]) as link:
            device = start(backend, link.port, "64" if kind == "all" else "32")
            device.do("node.check()")
            done = device.do("node.download(tries=5)", 110)
            device.do(f"node.report(*{WAY})")
            counts = link.counts
        assert done["sha256"] == payload(made)
        assert sum(counts[name] for name in ("lost", "doubled", "late")) > 0, counts
        assert side.told() == side.way, "each report was taken once, in order"
        side.check()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_restart_in_the_middle(backend, key, start):
    """A new process and a new port: it goes on with the block that is missing, and fetches none twice."""
    made = image(key, "1.1.0", 5)
    head = len(made) - len(bundle.parse_bundle(made)[3])
    with platform(backend) as side:
        side.assign(made, "1.1.0")
        device = start(backend, side.server.port)
        device.do("node.check()")
        refused(device, f"node.download({head + 9000})", "OSError")
        device.stop()
        before = len(side.served())
        device = start(backend, side.server.port)
        device.do("node.check()")
        done = device.do("node.download()")
        assert done["sha256"] == payload(made) and done["resumed"] == 12288
        assert done["fetched"] == len(made) - head - 12288
        assert min(side.served()[before:]) == head + 12288
        side.check()


@pytest.mark.parametrize("backend", BACKENDS)
def test_another_package_in_the_middle(backend, key, start):
    """Assigned instead of the one under way: never joined to it, and the new one comes in whole."""
    old, new = image(key, "1.1.0", 5), image(key, "1.2.0", 6, 21000, filling=2)
    with platform(backend) as side:
        side.assign(old, "1.1.0")
        device = start(backend, side.server.port)
        first = device.do("node.check()")["id"]
        refused(device, "node.download(12000)", "OSError")
        side.assign(new, "1.2.0")
        refused(device, "node.download()", "CloudError")
        assert device.do("node.check()")["id"] != first
        done = device.do("node.download()")
        assert (done["version"], done["sha256"], done["resumed"]) == ("1.2.0", payload(new), 0)
        side.assign(None, None) if backend == "thingsboard" else side.server.write(CIK, "fw_target", "")
        assert device.do("node.check()") is None, "cancelled"
        side.check()


@pytest.mark.parametrize("backend", BACKENDS)
def test_other_bytes_under_the_same_name(backend, key, start):
    """A wrong block tells. ThingsBoard's is then read from its beginning; Exosite says that it is of another time."""
    old, new = image(key, "1.1.0", 5), image(key, "1.1.0", 5, filling=2)
    assert len(old) == len(new)
    with platform(backend) as side:
        side.assign(old, "1.1.0")
        device = start(backend, side.server.port)
        first = device.do("node.check()")["id"]
        refused(device, "node.download(12000)", "OSError")
        side.assign(new, "1.1.0")
        if backend == "exosite":
            refused(device, "node.download()", "CloudError")
            assert device.do("node.check()")["id"] != first
        assert device.do("node.download()")["sha256"] == payload(new)
        assert device.do("node.check()")["id"] != first
        side.check()


@pytest.mark.parametrize("backend", BACKENDS)
def test_sizes_and_chunks(backend, start):
    """One byte, whole chunks, a byte more and less, with each size of chunk; never a chunk behind the end."""
    data = os.urandom(4097)
    with platform(backend) as side:
        device = start(backend, side.server.port)
        for szx in (6, 5, 4):
            device.do(f"node.reopen(szx={szx})")
            for size in (1, 255, 256, 1024, 2048, 2049, 4096, 4097):
                side.assign(data[:size], f"{szx}.{size}")
                assert device.do("node.check()")["size"] == size
                assert device.do("node.raw(0, 5000)") == [size, sha(data[:size])]
                assert device.do(f"node.raw({size}, 100)") == [0, hashlib.sha256(b"").hexdigest()]
                assert device.do(f"node.raw({size // 3}, 700)")[1] == sha(data[size // 3 : size][:700])
        side.check()


def test_a_new_port_of_the_nat(key, start):
    """ThingsBoard's chunks need no state of the server's: a rebinding costs a retransmission."""
    made = image(key, "1.1.0", 5)
    with platform("thingsboard") as side:
        side.assign(made, "1.1.0")
        with Impairment(("127.0.0.1", side.server.port), seed=seed(32), loss=0.02) as link:
            device = start("thingsboard", link.port)
            device.do("node.check()")
            for stop in (6000, 12000):
                refused(device, f"node.download({stop})", "OSError")
                link.rebind()
            assert device.do("node.download(tries=5)", 110)["sha256"] == payload(made)


@pytest.mark.parametrize("manner", ["con", "ack", "separate"])
def test_each_way_of_answering(manner, key, start):
    """platforms.md 1.4: as since 3.6.2, as before, and as when the core is slow."""
    with platform("thingsboard") as side:
        side.server.switches.manner = manner
        side.assign(image(key, "1.1.0", 5, 3000), "1.1.0")
        device = start("thingsboard", side.server.port)
        device.do("node.check()")
        device.do("node.download()")
        device.do(f"node.report(*{WAY})")
        assert side.told() == side.way


def test_a_core_that_does_not_answer(key, start):
    """An ACK and then silence (platforms.md 1.14, K) ends in a Timeout, and the download goes on from there."""
    made = image(key, "1.1.0", 5)
    with platform("thingsboard") as side:
        side.assign(made, "1.1.0")
        device = start("thingsboard", side.server.port)
        device.do("node.reopen(separate_timeout_ms=1500)")
        device.do("node.check()")
        refused(device, "node.download(12000)", "OSError")
        side.server.switches.frozen = True
        refused(device, "node.download()", "Timeout")
        side.server.switches.frozen = False
        device.do("node.reopen()")
        done = device.do("node.download()")
        assert done["sha256"] == payload(made) and done["resumed"] == 12288


def test_who_is_not_accepted(start):
    """A token or a CIK that the platform does not know: AuthError, without the secret in it."""
    for backend in BACKENDS:
        with platform(backend) as side:
            device = start(backend, side.server.port)
            side.server.devices.clear()
            for expression in ("node.check()", "node.reopen()"):
                refused(device, expression, "AuthError")


def test_a_report_that_is_sent_again_is_one_row(start):
    """After a cut between the answer and the journal's cursor: the time of the state makes it the same row."""
    with platform("thingsboard") as side:
        side.assign(bytes(5000), "1.1.0")
        device = start("thingsboard", side.server.port)
        device.do("node.check()")
        before = len(side.device.rows)
        for _ in range(2):
            device.do("node.cloud.update_report(node.job['id'], 'failed', 'why', 1763000000000)")
        assert side.told() == ["FAILED", "FAILED"]
        assert len(side.device.rows) == before + 2  # fw_state and fw_error


def test_a_link_instead_of_bytes(start):
    """A package that is only a URL is refused before anything is fetched, and reported as failed."""
    with platform("thingsboard") as side:
        side.server.assign(TOKEN, Package("godwit", "1.1.0", url="https://example.com/fw.bin"))
        device = start("thingsboard", side.server.port)
        assert device.do("node.check()")["refused"] == "the package is only a link"
        device.do("node.report('rejected', detail='Device rejected the update: only a link')")
        assert side.told() == ["FAILED"]
        assert side.device.told("fw_error") == ["Device rejected the update: only a link"]
        assert device.do("node.check()") is None


async def _put(port, path, data):
    context = await aiocoap.Context.create_client_context()
    try:
        request = aiocoap.Message(code=aiocoap.PUT, payload=data, uri=f"coap://127.0.0.1:{port}/{path}")
        assert (await context.request(request).response).code.is_successful()
    finally:
        await context.shutdown()


def test_exosite_blocks_from_libcoap(key, start):
    """Somebody else's server under the path of a content: the same bytes, through a link that loses."""
    made = image(key, "1.1.0", 5)
    job = {"id": "fw.bin/1/1", "size": len(made), "content": "fw.bin", "updated": "1"}
    with coap_server() as port:
        asyncio.run(_put(port, "provision/download/acme/node/fw.bin", made))
        asyncio.run(_put(port, "1a/fw_version", b"0"))
        asyncio.run(_put(port, "provision/download/acme/node/fw.bin/info", b"a/b,%d,1," % len(made)))
        with Impairment(("127.0.0.1", port), seed=seed(33), loss=0.03) as link:
            device = start("exosite", link.port)
            device.do(f"setattr(node, 'job', {job!r})")
            assert device.do("node.download(tries=5)", 110)["sha256"] == payload(made)
