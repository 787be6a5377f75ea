"""Fixtures that several integration files share: a twin per test file, and a DTLS session of one test with it."""

import pytest
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
