"""The whole way of an update on ThingsBoard and Exosite: the node's own errands, journal, slots and boot selector in
MicroPython, over UDP against the emulators, and what an operator of the platform sees of it. platforms.md 1.10, 2.5.
"""

import pytest
from cloud_rig import Device
from net_support import seed
from test_ota_backends import BACKENDS, CIK, TOKEN, platform

from harness.impair import Impairment

GOOD = {
    "thingsboard": ["DOWNLOADING", "DOWNLOADED", "VERIFIED", "UPDATING", "UPDATED"],
    "exosite": ["started", "succeeded"],
}


@pytest.fixture
def start(tmp_path):
    """start(backend, port, bits) -> a Device; `start.image`: the bundle for it."""
    running = []

    def start(backend, port, bits="32"):
        image = tmp_path / "image.bin"
        device = Device("ota_node_device.py", (backend, port, image), bits, "2m" if bits == "64" else "1m")
        running.append(device)
        start.image = image.read_bytes()
        return device

    yield start
    for device in running:
        device.stop()


def lives(device, most=6):
    """Start the node until nothing is left to do; -> what each life gave."""
    found = []
    while not found or found[-1][1] != "idle":
        found.append(device.do("node.life()", 110))
        assert len(found) <= most, found
    return found


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bits", ["64", "32"], ids=["mp64", "mp32"])
def test_to_the_end(backend, bits, start):
    """Assigned, downloaded, installed, restarted into, confirmed; each state told once, through a link that loses."""
    with platform(backend) as side, Impairment(("127.0.0.1", side.server.port), seed=seed(41), loss=0.03) as link:
        device = start(backend, link.port, bits)
        assert lives(device) == [["1.0.0", "idle", False]]
        side.assign(start.image, "1.1.0")
        assert lives(device) == [["1.0.0", "restart", False], ["1.1.0", "idle", True]]
        assert side.told() == GOOD[backend]
        assert lives(device) == [["1.1.0", "idle", False]], "and it stays"
        assert side.told() == GOOD[backend]
        side.check()
        if backend == "thingsboard":
            assert side.device.told("current_fw_version")[-1] == "1.1.0"
            assert side.device.told("temp"), "measurements go the same way"
            rows = sorted((at, word) for (name, at), word in side.device.rows.items() if name == "fw_state")
            assert [word for _, word in rows if word in GOOD[backend]] == GOOD[backend], "in the history, too"


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_image_that_does_not_reach_the_cloud(backend, start):
    """Three starts on trial, then back to the old one, and the platform hears why; it is not taken again."""
    with platform(backend) as side:
        device = start(backend, side.server.port)
        side.assign(start.image, "1.1.0")
        device.do("setattr(node, 'good', False)")
        seen = lives(device)
        assert seen[0] == ["1.0.0", "restart", False] and seen[-1] == ["1.0.0", "idle", False]
        assert seen[1:-1] == [["1.1.0", "hung", True]] * 3
        assert side.told() == GOOD[backend][:-1] + ["FAILED" if backend == "thingsboard" else "failed"]
        why = side.device.told("fw_error") if backend == "thingsboard" else side.device.texts("fw_result")
        assert len(why) == 1 and "Update could not be validated" in why[0]
        assert lives(device) == [["1.0.0", "idle", False]]
        assert len(side.told()) == len(GOOD[backend])
        side.check()


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_image_that_is_refused(backend, start, tmp_path):
    """An older one: refused by its manifest, reported with the reason, and looked at once only."""
    with platform(backend) as side:
        device = start(backend, side.server.port)
        device.do(f"node.write_older({str(tmp_path / 'older')!r})")
        side.assign((tmp_path / "older").read_bytes(), "0.9.0")
        assert lives(device) == [["1.0.0", "idle", False]]
        first, last = side.told()
        assert (first.lower(), last.lower()) in (("downloading", "failed"), ("started", "rejected"))
        why = side.device.told("fw_error") if backend == "thingsboard" else side.device.texts("fw_result")
        assert len(why) == 1 and "Device rejected the update" in why[0]
        asked = len(side.served())
        assert lives(device) == [["1.0.0", "idle", False]]
        assert len(side.served()) == asked and len(side.told()) == 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_taken_away_and_given_again_in_the_middle(backend, start):
    """Cancelled by the operator: nothing more is said of it. The same again goes on with the blocks on flash."""
    with platform(backend) as side:
        device = start(backend, side.server.port)
        side.assign(start.image, "1.1.0")
        device.do("setattr(node, 'limit', 9000)")
        assert lives(device) == [["1.0.0", "idle", False]]
        assert [word.lower() for word in side.told()] == [GOOD[backend][0].lower()]
        take_away(side, backend)
        assert lives(device) == [["1.0.0", "idle", False]]
        assert len(side.served()) > 0 and len(said(side, backend)) == 1
        side.assign(start.image, "1.1.0")
        device.do("setattr(node, 'limit', None)")
        before = len(side.served())
        assert lives(device)[-1] == ["1.1.0", "idle", True]
        assert said(side, backend)[-1].lower() in ("updated", "succeeded")
        assert min(at for at in side.served()[before:] if at) >= 4096, "but for the header no byte twice"


def take_away(side, backend):
    if backend == "thingsboard":
        side.server.assign(TOKEN, None)
    else:
        side.server.write(CIK, "fw_target", "")


def said(side, backend):
    """The states without the platform's own."""
    if backend == "exosite":
        return side.told()
    return [word for word in side.server.fw_states(TOKEN) if word not in ("QUEUED", "INITIATED")]
