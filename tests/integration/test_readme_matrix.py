"""The README's table of nRF Cloud's endpoints: all rows of the service's matrix, each with a test that is there."""

import re

import pytest
from twin_support import ROOT

# facts nrfcloud.md 1.1, a row for each method.
MATRIX = {
    ("POST", "auth/jwt"), ("POST", "auth/jwt-id"), ("POST", "p/auth-jwt"), ("GET", "p/cmd"), ("POST", "p/rsp"),
    ("FETCH", "loc/ground-fix"), ("FETCH", "loc/agnss"), ("GET", "loc/agnss"), ("FETCH", "loc/agps"),
    ("GET", "loc/agps"), ("FETCH", "loc/pgps"), ("GET", "loc/pgps"), ("GET", "fota/exec/current"),
    ("PATCH", "fota/exec/{jobId}"), ("POST", "msg/{topic}"), ("POST", "msg/d2c"), ("POST", "msg/d2c/bulk"),
    ("POST", "msg/d2c/bin"), ("POST", "msg/d2c/raw"), ("GET", "state"), ("GET", "state/{json/pointer}"),
    ("PATCH", "state"), ("PATCH", "state/reported"), ("PATCH", "state/desired"), ("GET", "proxy"),
}  # fmt: skip
_ROW = re.compile(r"^\| (GET|POST|FETCH|PATCH) \| (\S+) \| .*\| (\w+\.py)::(\w+) \|$", re.MULTILINE)


def rows():
    return _ROW.findall((ROOT / "README.md").read_text())


def test_every_row_is_there_once():
    found = [(method, path) for method, path, _, _ in rows()]
    assert len(found) == len(set(found))
    assert set(found) == MATRIX


@pytest.mark.parametrize(("method", "path", "file", "name"), rows())
def test_its_proof_is_a_test_that_runs(method, path, file, name):
    source = ROOT / "tests" / "integration" / file
    body = re.search(rf"^def {name}\(.*?(?=^\S)", source.read_text() + "\nend", re.MULTILINE | re.DOTALL)
    assert body, f"{file} has no {name}"
    assert "assert" in body.group() or "one(" in body.group() or "refused(" in body.group()
