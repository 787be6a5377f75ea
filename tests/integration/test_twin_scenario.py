"""Scenario files: rules of every kind, in JSON and TOML, each once; files that say nothing end in one line."""

import json
import struct
import time

import pytest
from click.testing import CliRunner
from twin_support import GET, POST, connected, encode, running, token

from godwit.twin.command import twin as command

_HOUR_MS = 3600_000


def advance(path, ms):
    """Let the world's clock jump."""
    ours, node = struct.unpack("<qq", path.read_bytes())
    path.write_bytes(struct.pack("<qq", ours + ms, node))


def wait(condition):
    """True as soon as `condition()` is; False when it is not within 15 s."""
    end = time.monotonic() + 15
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_rules_of_every_kind(tmp_path):
    rules = [
        {"when": {"request": 3}, "do": {"unauthorized": [1]}},
        {"when": {"path": "/msg/**", "method": "POST", "nth": 2}, "do": {"quota": 1}},
        {"when": {"path": "loc/*"}, "do": {"agnss_truncate": 3}},
        {"when": {"progress": 50}, "do": {"corrupt_block": [1], "size2_error": 9}},
        {"when": {"at": 7200}, "do": {"no_job": "empty"}},
    ]
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    world = tmp_path / "world"
    world.write_bytes(struct.pack("<qq", 0, 0))
    with running(tmp_path, "--scenario", str(tmp_path / "rules.json"), "--world", str(world)) as twin:
        left = twin.rest.get("/twin/faults").json()["scenario"]
        assert left == rules
        with connected(twin) as client:  # its authentication is request 1
            codes = [client.request(GET, "state").dotted for _ in range(3)]
            assert codes == ["2.05", "4.01", "4.01"]
            client.authenticate(token(twin))
            posts = [client.request(POST, f"msg/{name}", payload=b"{}", cf=50) for name in ("d2c", "own", "d2c")]
            assert [answer.dotted for answer in posts] == ["2.01", "4.00", "2.01"]
            assert client.request(GET, "loc/agnss", ("types=9",)).payload == bytes.fromhex("0109010000")
            data = bytes(range(256)) * 16
            uri = twin.upload(data)[1].encode()
            blocks = [client.request(GET, "proxy", options=[(23, n << 4 | 6), (35, uri)]).payload for n in range(4)]
            assert [block == data[n * 1024 :][:1024] for n, block in enumerate(blocks)] == [True, True, False, True]
            assert client.request(GET, "fota/exec/current").dotted == "4.04"
            advance(world, _HOUR_MS)
            assert len(twin.rest.get("/twin/faults").json()["scenario"]) == 1
            advance(world, _HOUR_MS)
            assert wait(lambda: twin.rest.get("/twin/faults").json()["scenario"] == [])
            assert client.request(GET, "fota/exec/current").dotted == "2.05"
            assert twin.rest.get("/twin/faults").json()["size2_error"] == 9
        assert twin.records()["errors"] == []


def test_rules_in_toml(tmp_path):
    (tmp_path / "rules.toml").write_text(
        "[[rules]]\nwhen = {path = 'state'}\ndo = {lose_session = [1]}\n"
        "[[rules]]\nwhen = {path = 'auth/jwt', nth = 2}\ndo = {auth_503 = 1}\n"
    )
    with running(tmp_path, "--scenario", str(tmp_path / "rules.toml")) as twin:
        with connected(twin) as client:
            client.send(encode(GET, ("state",), mid=7))
            assert client.receive(0.3) is None
        with pytest.raises(RuntimeError, match="5.03"), connected(twin):
            pass
        with connected(twin) as client:
            assert client.request(GET, "state").dotted == "2.05"


_GOOD = {"when": {"request": 1}, "do": {"quota": 1}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "line 1"),
        ("5", "a list of rules"),
        ('{"rule": []}', "a list of rules"),
        ("[5]", "rule 1"),
        ([_GOOD, {"when": {"request": 1}}], "rule 2"),
        ([{**_GOOD, "also": 1}], "rule 1"),
        ([{**_GOOD, "when": {}}], "when has one of"),
        ([{**_GOOD, "when": {"request": 1, "at": 1}}], "when has one of"),
        ([{**_GOOD, "when": {"request": 0}}], "request is a number"),
        ([{**_GOOD, "when": {"request": True}}], "request is a number"),
        ([{**_GOOD, "when": {"progress": 101}}], "progress is a number"),
        ([{**_GOOD, "when": {"at": "noon"}}], "at is a number"),
        ([{**_GOOD, "when": {"at": 1, "nth": 2}}], "does not know nth"),
        ([{**_GOOD, "when": {"path": "/"}}], "path is a text"),
        ([{**_GOOD, "when": {"path": "x", "nth": 0}}], "path is a number"),
        ([{**_GOOD, "when": {"path": "x", "method": "get"}}], "method is one of"),
        ([{**_GOOD, "do": {}}], "when and do are objects"),
        ([{**_GOOD, "do": {"explode": 1}}], "no such fault: explode"),
        ([{**_GOOD, "do": {"quota": -1}}], "quota is int"),
        (None, "No such file"),
    ],
)
def test_bad_files_end_in_one_line(tmp_path, text, says):
    path = tmp_path / "rules.json"
    if text is not None:
        path.write_text(text if isinstance(text, str) else json.dumps(text))
    result = CliRunner().invoke(command, ["--scenario", str(path), "--pki", str(tmp_path)])
    assert result.exit_code == 1
    assert says in result.output and "Traceback" not in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_bad_toml(tmp_path):
    (tmp_path / "rules.toml").write_text("[[rules]\n")
    result = CliRunner().invoke(command, ["--scenario", str(tmp_path / "rules.toml"), "--pki", str(tmp_path)])
    assert result.exit_code == 1 and "rules.toml" in result.output
