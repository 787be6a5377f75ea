"""Fixtures that several integration files share: a twin per file, a DTLS session of one test with it, a device."""

import pytest
from cloud_rig import cloud_rig
from twin_support import connected, running


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """A running twin with one device onboarded: twin_support.Process."""
    with running(tmp_path_factory.mktemp("twin")) as process:
        yield process


@pytest.fixture
def client(twin):
    """An authenticated session with it: twin_support.Client."""
    with connected(twin) as session:
        yield session


@pytest.fixture(scope="module", params=["host", "modem"])
def rig(request, tmp_path_factory):
    """A device with a session: cloud_rig.Rig. DTLS in the firmware, then in the modem."""
    with cloud_rig(tmp_path_factory.mktemp("rig"), request.param) as made:
        yield made
        assert made.twin.records()["errors"] == []
