"""`godwit cloud` for devices: onboarding in its forms, CSV files, the shadow with its conflicts, names and tags."""

import os
import stat

import pytest
from cloud_support import Service
from cryptography.hazmat.primitives import serialization

from godwit import pki
from godwit.cloud import rows, tree
from godwit.cloud.errors import CloudError

DONE = {"POST /devices": (202, {"bulkOpsRequestId": "B"}), "GET /bulk-ops-requests/B": {"status": "SUCCEEDED"}}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A device's certificate and public key."""
    folder = tmp_path_factory.mktemp("pem")
    ca = pki.make_ca()
    certificate, key = pki.make_server(ca, host="device.example")
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pub").write_bytes(pki.public_pem(key))
    (folder / "key.key").write_bytes(pki.private_pem(key))
    return folder


def test_onboard_by_certificate(files):
    service = Service({"POST /devices/nrf-1": (201, {"id": "nrf-1"})})
    done = service.run("onboard", "nrf-1", "--certificate", files / "cert.pem", "--tag", "a", "--firmware-type", "APP")
    assert done.status == 0 and "nrf-1 onboarded" in done.out
    body = service.bodies("POST", "/devices/nrf-1")[0]
    assert body["certificate"] == (files / "cert.pem").read_text()
    assert body["tags"] == ["a"] and body["supportedFirmwareTypes"] == ["APP"] and "subType" not in body


def test_onboard_by_public_key_follows_the_bulk_operation(files):
    service = Service(DONE)
    service.on("GET /bulk-ops-requests/B", {"status": "SUCCEEDED"})
    service._table[1][2][:] = [{"status": "IN_PROGRESS"}, {"status": "IN_PROGRESS"}, {"status": "SUCCEEDED"}]
    done = service.run("onboard", "nrf-1", "--public-key", files / "key.pub", "--tag", "a", "--tag", "b")
    assert done.status == 0 and service.count("GET", "/bulk-ops-requests/B") == 3
    sent = service.requests[0].content.decode()
    assert sent.splitlines()[0] == "deviceId,subType,tags,supportedFirmwareTypes,certificate"
    assert 'nrf-1,,a|b,,"-----BEGIN PUBLIC KEY-----\n' in sent and '-----END PUBLIC KEY-----\n"' in sent
    assert service.waits == [0.25, 0.375]


@pytest.mark.parametrize(
    "option, name, path", [("--certificate", "cert.pem", "certificates"), ("--public-key", "key.pub", "public-keys")]
)
def test_onboard_replaces_what_a_device_has(files, option, name, path):
    service = Service({f"POST /devices/{path}": (202, {"bulkOpsRequestId": "B"}), **DONE})
    assert service.run("onboard", "nrf-1", option, files / name, "--replace").status == 0
    assert service.requests[0].content.decode().startswith('nrf-1,"-----BEGIN')


def test_onboard_with_a_new_key_keeps_it_secret(tmp_path):
    old = os.umask(0)
    try:
        service = Service(DONE)
        done = service.run("onboard", "nrf-1", "--generate", "--directory", tmp_path / "new")
    finally:
        os.umask(old)
    secret = tmp_path / "new/nrf-1.key"
    assert done.status == 0 and stat.S_IMODE(secret.stat().st_mode) == 0o600
    key = serialization.load_pem_private_key(secret.read_bytes(), None)
    assert pki.public_pem(key) == (tmp_path / "new/nrf-1.pub").read_bytes()
    assert b"PRIVATE" not in service.requests[0].content and pki.public_pem(key) in service.requests[0].content
    again = service.run("onboard", "nrf-1", "--generate", "--directory", tmp_path / "new")
    assert again.status == 1 and "exists already" in again.err
    assert pki.private_pem(key) == secret.read_bytes()


def test_a_new_key_outlives_a_failed_onboarding(tmp_path):
    service = Service({"POST /devices": (403, None)})
    done = service.run("onboard", "nrf-1", "--generate", "--directory", tmp_path)
    assert done.status == 1 and f"repeat with --public-key {tmp_path}/nrf-1.pub" in done.err
    nokey = Service()
    done = nokey.run("onboard", "nrf-2", "--generate", "--directory", tmp_path, env={"GODWIT_CLOUD_KEY": None})
    assert done.status == 1 and not (tmp_path / "nrf-2.key").exists()


@pytest.mark.parametrize("option", ["--certificate", "--public-key"])
def test_a_private_key_never_leaves(files, option):
    service = Service()
    done = service.run("onboard", "nrf-1", option, files / "key.key")
    assert done.status == 1 and "private key" in done.err and service.requests == []


def _pem(files):
    return (files / "key.pub").read_text()


def test_csv_errors_stand_beside_their_rows(files, tmp_path):
    csv = tmp_path / "many.csv"
    lines = "".join(f'dev-{n},,,APP,"{_pem(files)}"\n' for n in range(3))
    csv.write_text("deviceId,subType,tags,supportedFirmwareTypes,certificate\n" + lines)
    failed = {"status": "FAILED", "errorSummaryUrl": "https://files.example.com/e.json"}
    service = Service({"POST /devices": (202, {"bulkOpsRequestId": "B"}), "GET /bulk-ops-requests/B": failed})
    service.on("GET /e.json", {"errors": ["[1]: device belongs to another team", "[1]: and more", "no row named"]})
    done = service.run("onboard", "--csv", csv)
    assert done.status == 1
    row = next(line for line in done.out.splitlines() if "dev-1" in line)
    assert "another team; and more" in row and row.split()[0] == "7"  # a row has five lines
    assert "dev-0" not in done.out and "no row named" in done.out and "other 2 went well" in done.err
    assert service.requests[0].content == csv.read_bytes()
    told = service.run("onboard", "--csv", csv, "--json").json
    assert [one["error"] is None for one in told["rows"]] == [True, False, True]


@pytest.mark.parametrize(
    "text, line, words",
    [
        ("dev 1,,,,PEM\n", 1, "device id not valid"),
        ("dev-1,,,,PEM\n\ndev-2,,,,PEM\n", 5, "a blank line"),
        ("dev-1,,,,PEM\ndev-1,,,,PEM\n", 5, "same device as on line 1"),
        ("dev-1,,,,\n", 1, "certificate (or public key) or an onboarding token"),
        ('dev-1,,,,"-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----"\n', 1, "last line end"),
        ("dev-1,,,,nothing\n", 1, "not a certificate or public key"),
        ("dev-1,a,b,c,PEM,more\n", 1, "6 cells"),
        ("deviceId,certificate,onboardingToken\ndev-1,PEM,tok\n", 2, "not both"),
    ],
)
def test_csv_is_checked_before_it_is_sent(tmp_path, text, line, words):
    one = "-----BEGIN PUBLIC KEY-----\rAAAA\r-----END PUBLIC KEY-----\r"
    csv = tmp_path / "x.csv"
    csv.write_bytes(text.replace("PEM", '"' + one + '"').encode())
    service = Service()
    done = service.run("onboard", "--csv", csv)
    assert done.status == 1 and service.requests == []
    found = [one for one in rows.read(csv.read_bytes()) if one.problem]
    assert words in found[0].problem and words.split()[0] in done.out
    assert found[0].line == line


@pytest.mark.parametrize("data", [b"", b"a" * 9, b'"', b"\xff\xfe", b"deviceId,colour\n"])
def test_csv_that_is_none(tmp_path, data):
    csv = tmp_path / "x.csv"
    csv.write_bytes(data)
    assert Service().run("onboard", "--csv", csv).status == 1
    with pytest.raises(CloudError):
        found = rows.read(data)
        raise CloudError(found[0].problem)


def _device(version, desired, reported=None):
    state = {"desired": desired, "reported": reported or {}, "version": version}
    state["delta"] = {key: value for key, value in desired.items() if (reported or {}).get(key) != value}
    return {"id": "nrf-1", "$meta": {"version": version}, "state": state}


def test_a_patch_carries_the_version():
    service = Service({"GET /devices/nrf-1": _device(7, {}), "PATCH /devices/nrf-1/state": (202, None)})
    done = service.run("shadow", "patch", "nrf-1", "config.interval=60", "config.name=hut", "/a~1b/c.d=null", "x=[1]")
    assert done.status == 0
    assert service.requests[-1].headers["if-match"] == "7"
    assert service.bodies("PATCH", "/devices/nrf-1/state") == [
        {"desired": {"config": {"interval": 60, "name": "hut"}, "a/b": {"c.d": None}, "x": [1]}}
    ]


def test_a_conflict_elsewhere_is_settled():
    service = Service({"PATCH /devices/nrf-1/state": [(409, {"message": "version is 8"}), (202, None)]})
    service.on("GET /devices/nrf-1", _device(7, {"a": 1}), _device(8, {"a": 1, "b": 2}))
    done = service.run("shadow", "patch", "nrf-1", "a=5")
    assert done.status == 0 and "changed meanwhile" in done.err
    assert [one.headers.get("if-match") for one in service.requests if one.method == "PATCH"] == ["7", "8"]


def test_a_conflict_at_the_same_key_is_the_operators():
    service = Service({"PATCH /devices/nrf-1/state": (409, None)})
    service.on("GET /devices/nrf-1", _device(7, {"config": {"a": 1}}), _device(8, {"config": {"a": 2}}))
    done = service.run("shadow", "patch", "nrf-1", "config.a=5")
    assert done.status == 1 and "desired config.a was changed by somebody else" in done.err and "--force" in done.err
    assert service.count("PATCH", "/devices/nrf-1/state") == 1


def test_a_change_that_is_there_already_is_done():
    service = Service({"PATCH /devices/nrf-1/state": (409, None)})
    service.on("GET /devices/nrf-1", _device(7, {"a": 1}), _device(8, {"a": 5}))
    assert service.run("shadow", "patch", "nrf-1", "a=5").status == 0


def test_conflicts_without_end_end():
    service = Service({"PATCH /devices/nrf-1/state": (409, None), "GET /devices/nrf-1": _device(7, {"a": 1})})
    done = service.run("shadow", "patch", "nrf-1", "a=5")
    assert done.status == 1 and service.count("PATCH", "/devices/nrf-1/state") == 5


def test_force_asks_nobody():
    service = Service({"PATCH /devices/nrf-1/state": (202, None)})
    assert service.run("shadow", "patch", "nrf-1", '{"a": {"b": 1}}', "--force").status == 0
    assert "if-match" not in service.requests[0].headers


def test_json_from_standard_input_and_file(tmp_path):
    file = tmp_path / "change.json"
    file.write_text('{"a": 1}')
    for argument, stdin in (("-", '{"a": 1}'), (f"@{file}", None)):
        service = Service({"GET /devices/nrf-1": _device(1, {}), "PATCH /devices/nrf-1/state": (202, None)})
        assert service.run("shadow", "patch", "nrf-1", argument, stdin=stdin).status == 0
        assert service.bodies("PATCH", "/devices/nrf-1/state") == [{"desired": {"a": 1}}]


@pytest.mark.parametrize(
    "changes, words",
    [
        (["{oops"], "no JSON"),
        (["{}"], "not empty"),
        (["a"], "key=value"),
        (["a..b=1"], "no path"),
        (["a=1", "a.b=2"], "a value of its own"),
        (["a.b=2", "a=1"], "values of their own"),
        (['{"a": NaN}'], "no JSON"),
        (["@/nowhere"], "No such file"),
    ],
)
def test_changes_that_are_none(changes, words):
    service = Service()
    done = service.run("shadow", "patch", "nrf-1", *changes)
    assert done.status == 1 and words in done.err and service.requests == []


def test_a_deleted_key_is_null_in_both_sections():
    service = Service({"GET /devices/nrf-1": _device(3, {"a": 1}), "PATCH /devices/nrf-1/state": (202, None)})
    assert service.run("shadow", "delete", "nrf-1", "config.gnss", "command").status == 0
    gone = {"config": {"gnss": None}, "command": None}
    assert service.bodies("PATCH", "/devices/nrf-1/state") == [{"desired": gone, "reported": gone}]


def test_a_shadow_is_shown_side_by_side():
    document = _device(3, {"config": {"a": 1, "b": 2}, "same": 1}, {"config": {"a": 1}, "same": 1, "own": "x"})
    document["state"]["delta"] = {"config": {"b": 2}}
    document["state"]["metadata"] = {"desired": {"config": {"b": {"timestamp": 1795273451}}}}
    service = Service({"GET /devices/nrf-1": document})
    done = service.run("shadow", "show", "nrf-1")
    lines = {line.split()[0]: line.split()[1:] for line in done.out.splitlines() if line.split()}
    assert lines["a"] == ["1", "1"] and lines["own"] == ["x"] and lines["same"] == ["1", "1"]
    assert lines["b"][:3] == ["2", "→", "2"] and "11-21" in lines["b"]
    assert "1 pending" in done.out
    below = service.run("shadow", "show", "nrf-1", "--path", "/config", "--json").json
    assert below == {"deviceId": "nrf-1", "version": 3, "desired": {"a": 1, "b": 2}, "reported": {"a": 1},
                     "delta": {"b": 2}}  # fmt: skip


def test_merge_and_reach():
    assert tree.reached({"a": {"b": 1}}, {"a": {"b": 1}, "c": None})
    assert not tree.reached({"a": 1, "c": 0}, {"c": None})
    assert not tree.reached({}, {"a": {"b": 1}})
    assert tree.touched({"a": {"b": 1}}, {"a": {"b": 1, "c": 1}}, {"a": {"b": 5}}) == []
    assert tree.touched({"a": {"b": 1}}, {}, {"a": {"b": 5}}) == [("a", "b")]


def test_tags_and_names():
    service = Service({"PUT /devices/d/.*": (202, None), "GET /devices/d": {"tags": ["a", "b"]}})
    assert service.run("devices", "tag", "d", "b", "c", "--add").status == 0
    assert service.run("devices", "tag", "d", "b", "--remove").status == 0
    assert service.run("devices", "tag", "d", "--clear").status == 0
    for wrong in ([], ["a", "--clear"], ["a", "--add", "--remove"], ["--add"]):
        assert service.run("devices", "tag", "d", *wrong).status == 2
    assert service.bodies("PUT", "/devices/d/tags") == [["a", "b", "c"], ["a"], []]
    assert service.run("devices", "rename", "d", "Pond-1").status == 0
    assert service.bodies("PUT", "/devices/d/name") == ["Pond-1"]
    assert service.run("devices", "rename", "d", "a b").status == 1
    assert service.run("devices", "tag", "d", "a b").status == 1
