"""The twin's provisioning service: queue, rules, p/cmd and p/rsp with their limits and errors (facts 13).

The modem is provisioning_support.SoftModem; the device of this project is not in it (test_provisioning.py has that).
"""

import uuid

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from provisioning_support import KEYGEN, TAG, SoftModem
from twin_support import GET, POST, Client, Process, running

from godwit import pki

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    with running(tmp_path_factory.mktemp("twin")) as process:
        yield process
        assert process.records()["errors"] == []


@pytest.fixture
def modem(twin):
    return SoftModem().claimed(twin)


class Session:
    """A DTLS session in the provisioning scope."""

    def __init__(self, twin, modem):
        self.client = Client(twin.coap_port, twin.pki / "ca.pem")
        answer = self.client.request(POST, "p/auth-jwt", ("mver=mfw_1", "cver=v1"), modem.identity_token(), 60)
        assert answer.dotted == "2.01"

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.client.close()

    def get(self, *query):
        """GET p/cmd -> Answer."""
        return self.client.request(GET, "p/cmd", query)

    def commands(self, *query):
        """GET p/cmd -> decoded commands; all blocks of them."""
        answer = self.get(*query)
        body, number = answer.payload, 0
        while answer.uint(23) is not None and answer.uint(23) & 8:
            number += 1
            block = (number << 4) | (answer.uint(23) & 7)
            answer = self.client.request(GET, "p/cmd", query, options=((23, block),))
            body += answer.payload
        assert answer.dotted == "2.05"
        return cbor2.loads(body) if body else []

    def respond(self, *responses):
        """POST p/rsp -> code."""
        return self.client.request(POST, "p/rsp", payload=cbor2.dumps(list(responses)), cf=60).dotted


def queue(twin, modem, *requests):
    """Queue commands -> their ids."""
    path = f"/v1/claimed-devices/{modem.uuid}/provisioning"
    answers = [twin.rest.post(path, json={"description": "d", "request": request}) for request in requests]
    assert [answer.status_code for answer in answers] == [201] * len(requests)
    return [answer.json()["id"] for answer in answers]


def command(twin, modem, wanted):
    """GET one command."""
    return twin.rest.get(f"/v1/claimed-devices/{modem.uuid}/provisioning/{wanted}").raise_for_status().json()


def statuses(twin, modem, ids):
    return [command(twin, modem, one)["status"] for one in ids]


def config(value="1"):
    return {"config": {"sample_interval_s": value}}


# --- commands as a device gets them ---


def test_request_objects_become_commands(twin, modem):
    usage = {"attributes": "O=x,CN=y", "keyUsage": "101010000", "secTag": 7}
    queue(
        twin, modem, {"clientPrivateKeyGeneration": {"secTag": 5}}, {"cloudAccessKeyGeneration": {}},
        {"certificateSigningRequest": usage}, {"serverCertificate": {"content": PEM, "secTag": 5}},
        {"clientCertificate": {"content": PEM.replace("\n", "\\n")}}, {"config": {"a": "1", "b": "x"}},
        {"finished": {}},
    )  # fmt: skip
    with Session(twin, modem) as session:
        answer = session.get("after=", "rxMaxSize=2560", "txMaxSize=20480", "limit=20")
        assert answer.uint(12) == 60 and answer.dotted == "2.05"
        items = session.commands("after=", "rxMaxSize=2560", "txMaxSize=20480", "limit=20")
    assert len({item[0] for item in items}) == len(items) and all(len(item[0]) == 36 for item in items)
    assert [item[1:] for item in items] == [
        [0, "%CMNG", "3,5,2", [513]], [0, "%KEYGEN", "5,2,1", []],
        [0, "%CMNG", f"3,{TAG},2", [513]], [0, "%KEYGEN", f"{TAG},2,0", []],
        [0, "%CMNG", "3,7,2", [513]], [0, "%KEYGEN", '7,2,0,"O=x,CN=y","101010000"', []],
        [0, "%CMNG", f'0,5,0,"{PEM}"', []],
        [0, "%CMNG", f'0,{TAG},1,"{PEM}"', []],
        [1, {"a": "1", "b": "x"}],
        [2],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "request_object",
    [
        None, {}, {"a": 1, "b": 2}, {"reboot": {}}, {"finished": 1}, {"config": {}}, {"config": {"a": 1}},
        {"config": {str(n): "x" for n in range(11)}}, {"serverCertificate": {}},
        {"serverCertificate": {"content": "no PEM"}}, {"serverCertificate": {"content": PEM + '",1'}},
        {"cloudAccessKeyGeneration": {"secTag": -1}}, {"cloudAccessKeyGeneration": {"secTag": "5"}},
        {"certificateSigningRequest": {"keyUsage": "1"}}, {"certificateSigningRequest": {"attributes": 'CN="x"'}},
        {"preSharedKey": {"identity": "a", "secret": "xyz"}},
    ],
)  # fmt: skip
def test_request_objects_refused(twin, modem, request_object):
    answer = twin.rest.post(f"/v1/claimed-devices/{modem.uuid}/provisioning", json={"request": request_object})
    assert (answer.status_code, answer.json()["code"]) == (422, 42200)


def test_pages_and_after(twin, modem):
    ids = queue(twin, modem, *[config(str(n)) for n in range(7)])
    with Session(twin, modem) as session:
        first = session.commands("limit=3")
        assert [item[2]["sample_interval_s"] for item in first] == ["0", "1", "2"]
        assert statuses(twin, modem, ids) == ["IN_PROGRESS"] * 3 + ["PENDING"] * 4
        assert session.commands("limit=3") == first  # asked again without an answer: the same again
        second = session.commands("limit=3", f"after={first[-1][0]}")
        assert [item[2]["sample_interval_s"] for item in second] == ["3", "4", "5"]
        assert session.respond(*[[item[0], 101] for item in first]) == "2.04"
        assert [item[2]["sample_interval_s"] for item in session.commands("limit=3")] == ["3", "4", "5"]
        last = session.commands(f"after={second[-1][0]}")
        assert session.respond(*[[item[0], 101] for item in second + last]) == "2.04"
        answer = session.get(f"after={last[-1][0]}")
        assert (answer.dotted, answer.payload, answer.option(12)) == ("2.05", b"", None)
    assert statuses(twin, modem, ids) == ["SUCCEEDED"] * 7


def test_never_more_than_the_device_can_take(twin, modem):
    queue(twin, modem, *[{"serverCertificate": {"content": PEM, "secTag": n}} for n in range(4)])
    with Session(twin, modem) as session:
        everything = session.commands()
        assert len(everything) == 4
        for count in (1, 2, 3):
            size = len(cbor2.dumps(everything[:count]))
            assert len(session.commands(f"rxMaxSize={size}")) == count
            assert len(session.commands(f"rxMaxSize={size + 1}")) == count
        assert session.get(f"rxMaxSize={len(cbor2.dumps(everything[:1])) - 1}").dotted == "4.00"
        assert session.get("txMaxSize=10").dotted == "4.00"
        queue(twin, modem, KEYGEN)
        assert [item[2] for item in session.commands("txMaxSize=1000")] == ["%CMNG"] * 5
        for wrong in ("rxMaxSize=", "rxMaxSize=x", "rxMaxSize=0", "txMaxSize=-1", "limit=0", "limit=1.5"):
            assert session.get(wrong).dotted == "4.00", wrong


def test_block_wise_commands(twin, modem):
    queue(twin, modem, {"serverCertificate": {"content": PEM.replace("MIIB", "MIIB" * 500)}})
    with Session(twin, modem) as session:
        (item,) = session.commands("rxMaxSize=2560")
        assert item[3].count("MIIB") == 500
        block = session.client.request(GET, "p/cmd", ("rxMaxSize=2560",), options=((23, 5),))  # hint: 512
        assert (len(block.payload), block.uint(23)) == (512, 0 << 4 | 8 | 5)


# --- what becomes of them ---


def test_cloud_access_key_onboards(twin, modem):
    (wanted,) = queue(twin, modem, KEYGEN)
    assert twin.rest.get(f"/v1/devices/{modem.uuid}").status_code == 404
    with Session(twin, modem) as session:
        delete, keygen = session.commands()
        assert session.respond([delete[0], 100, "OK\r\n"]) == "2.04"
        assert command(twin, modem, wanted)["status"] == "IN_PROGRESS"
        answer = modem.keygen()
        assert session.respond([keygen[0], 100, answer]) == "2.04"
        assert session.respond([delete[0], 100, "OK\r\n"], [keygen[0], 100, answer]) == "2.04"  # said twice
    document = command(twin, modem, wanted)
    assert document["status"] == "SUCCEEDED"
    assert document["response"]["cloudAccessKeyGeneration"]["csr"] == answer.split('"')[1]
    device = twin.rest.get(f"/v1/devices/{modem.uuid}").json()
    assert device["state"]["desired"]["pairing"]["state"] == "paired"
    with Client(twin.coap_port) as client:
        assert client.authenticate(modem.access_token(sub=modem.uuid)).dotted == "2.01"
        message = b'{"appId":"TEMP","data":"1","messageType":"DATA"}'
        assert client.request(POST, "msg/d2c", payload=message, cf=50).dotted == "2.01"
    queue(twin, modem, KEYGEN)  # a new key for a device that is there keeps its shadow
    old = modem.access_token()
    with Session(twin, modem) as session:
        delete, keygen = session.commands()
        assert session.respond([delete[0], 100, ""], [keygen[0], 100, modem.keygen(csr=False)]) == "2.04"
    with Client(twin.coap_port) as client:
        assert [client.authenticate(token).dotted for token in (old, modem.access_token())] == ["4.03", "2.01"]
    assert twin.rest.delete(f"/v1/claimed-devices/{modem.uuid}").status_code == 204
    assert twin.rest.get(f"/v1/devices/{modem.uuid}").status_code == 404  # goes with the claim


@pytest.mark.parametrize(
    "spoil",
    [
        lambda modem: modem.keygen(signer=ec.generate_private_key(ec.SECP256R1())),
        lambda modem: modem.keygen(device=str(uuid.uuid4())),
        lambda modem: modem.keygen(tag_in_proof=5),
        lambda modem: modem.keygen(digest=bytes(32)),
        lambda modem: modem.keygen().split(".")[0] + '"',
        lambda modem: "OK\r\n",
        lambda modem: modem.keygen()[:-30] + '"',
    ],
)
def test_a_key_without_proof_onboards_nobody(twin, modem, spoil):
    ids = queue(twin, modem, KEYGEN, {"finished": {}})
    with Session(twin, modem) as session:
        delete, keygen, finished = session.commands()
        assert session.respond([delete[0], 100, ""], [keygen[0], 100, spoil(modem)], [finished[0], 102]) == "2.04"
        assert session.commands() == []
    assert statuses(twin, modem, ids) == ["FAILED", "DISCARDED"]
    assert twin.rest.get(f"/v1/devices/{modem.uuid}").status_code == 404


def test_a_failed_command_takes_the_later_ones_with_it(twin, modem):
    ids = queue(twin, modem, config("1"), {"serverCertificate": {"content": PEM}}, config("2"), {"finished": {}})
    with Session(twin, modem) as session:
        items = session.commands()
        answers = [[items[0][0], 101], [items[1][0], 99, 518, "+CME ERROR: 518\r\n"]]
        assert session.respond(*answers) == "2.04"
        assert session.commands() == [] and session.commands(f"after={items[0][0]}") == []
        assert session.respond(*answers) == "2.04"  # repeated
    assert statuses(twin, modem, ids) == ["SUCCEEDED", "FAILED", "DISCARDED", "DISCARDED"]
    assert command(twin, modem, ids[1])["response"] == {"error": {"code": 518, "message": "+CME ERROR: 518\r\n"}}
    assert queue(twin, modem, config("3"))  # and there is room again
    with Session(twin, modem) as session:
        assert [item[2] for item in session.commands()] == [{"sample_interval_s": "3"}]


def test_an_ignored_error_is_success(twin, modem):
    (wanted,) = queue(twin, modem, KEYGEN)
    with Session(twin, modem) as session:
        delete, keygen = session.commands()
        assert session.respond([delete[0], 99, 513, ""], [keygen[0], 100, modem.keygen()]) == "2.04"
    assert command(twin, modem, wanted)["status"] == "SUCCEEDED"


def test_malformed_responses(twin, modem):
    ids = queue(twin, modem, config(), {"finished": {}})
    with Session(twin, modem) as session:
        settings, finished = [item[0] for item in session.commands()]
        right = [settings, 101]
        for wrong in (
            [], {}, 5, "x", [5], [[]], [[settings]], [[5, 101]], [[settings, "101"]], [[settings, 101, 1]],
            [[settings, 99, 1]], [[settings, 99, -1, "x"]], [[settings, 99, 1, 5]], [[settings, 98]],
            [[settings, True]],
            [["unknown", 101]], [[finished, 101]], [[settings, 100, "OK"]], [right, ["unknown", 101]], [right, 5],
        ):  # fmt: skip
            answer = session.client.request(POST, "p/rsp", payload=cbor2.dumps(wrong), cf=60)
            assert answer.dotted == "4.00", wrong
        for body in (b"", b"\xff", cbor2.dumps([right]) + b"\x00", cbor2.dumps([right])[:-1]):
            assert session.client.request(POST, "p/rsp", payload=body, cf=60).dotted == "4.00"
        body = cbor2.dumps([right])
        assert session.client.request(POST, "p/rsp", payload=body, cf=50).dotted == "4.15"
        assert statuses(twin, modem, ids) == ["IN_PROGRESS"] * 2  # none of it was taken, not even its good parts
        assert session.client.request(POST, "p/rsp", payload=body).dotted == "2.04"  # without a label
    assert statuses(twin, modem, ids) == ["SUCCEEDED", "IN_PROGRESS"]


def test_another_devices_commands_are_not_ours(twin, modem):
    other = SoftModem().claimed(twin)
    queue(twin, modem, config())
    with Session(twin, modem) as session, Session(twin, other) as stranger:
        ((correlation, *_),) = session.commands()
        assert stranger.commands() == []
        assert stranger.respond([correlation, 101]) == "4.00"
        assert len(session.commands()) == 1


# --- the operator's side of the queue; rules; tags ---


def test_queue_limits_and_lists(twin, modem):
    ids = queue(twin, modem, *[config(str(n)) for n in range(20)])
    path = f"/v1/claimed-devices/{modem.uuid}/provisioning"
    assert twin.rest.post(path, json={"request": config()}).status_code == 422
    page = twin.rest.get(path, params={"pageLimit": "15"}).json()
    rest = twin.rest.get(path, params={"pageLimit": "15", "pageNextToken": page["pageNextToken"]}).json()
    assert [row["id"] for row in page["items"] + rest["items"]] == ids[::-1]
    assert twin.rest.delete(f"{path}/{ids[0]}").status_code == 204
    assert twin.rest.get(f"{path}/{ids[0]}").status_code == 404
    with Session(twin, modem) as session:
        assert session.commands("limit=1")[0][2] == {"sample_interval_s": "1"}
    assert twin.rest.delete(f"{path}/{ids[1]}").status_code == 409
    assert len(twin.rest.get(path, params={"status": "PENDING", "pageLimit": "50"}).json()["items"]) == 18
    for missing in ("nobody", str(uuid.uuid4())):
        there = f"/v1/claimed-devices/{missing}/provisioning"
        assert twin.rest.post(there, json={"request": KEYGEN}).status_code == 404
        assert twin.rest.get(there).status_code == 404
        assert twin.rest.get(f"{path}/{missing}").status_code == 404


def test_rule_is_applied_when_the_device_asks(twin):
    tag = f"onboarding-{uuid.uuid4()}"
    rule = {
        "name": "nRF Cloud Onboarding", "description": "Onboarding rule for nRF Cloud", "active": True,
        "commands": [{"request": {"clientPrivateKeyGeneration": {"secTag": TAG}}}, {"request": KEYGEN},
                     {"request": {"serverCertificate": {"secTag": TAG, "content": PEM}}}],
        "tags": [tag],
    }  # fmt: skip
    made = twin.rest.post("/v1/provisioning-rules", json=rule)
    assert made.status_code == 201 and {**made.json(), **rule} == made.json()
    assert twin.rest.post("/v1/provisioning-rules", json={**rule, "active": False, "name": "off"}).status_code == 201
    modem, stranger = SoftModem().claimed(twin, tag), SoftModem().claimed(twin, "other")
    path = f"/v1/claimed-devices/{modem.uuid}/provisioning"
    assert twin.rest.get(path).json()["items"] == []  # not before the device is there
    with Session(twin, modem) as session, Session(twin, stranger) as other:
        items = session.commands("limit=20")
        assert [item[1] for item in items] == [0, 0, 0, 0, 0, 2]  # "finished" ends a rule that does not say it
        assert session.commands("limit=20") == items  # once
        assert other.commands() == []
    kinds = [next(iter(row["request"])) for row in twin.rest.get(path).json()["items"]]
    assert kinds == ["finished", "serverCertificate", "cloudAccessKeyGeneration", "clientPrivateKeyGeneration"]
    listed = twin.rest.get("/v1/provisioning-rules").json()["items"]
    assert [row["name"] for row in listed if row["tags"] == [tag]] == ["off", "nRF Cloud Onboarding"]
    for row in listed:
        assert twin.rest.get(f"/v1/provisioning-rules/{row['id']}").json() == row
        assert twin.rest.delete(f"/v1/provisioning-rules/{row['id']}").status_code == 204
        assert twin.rest.delete(f"/v1/provisioning-rules/{row['id']}").status_code == 404
    for wrong in ({"name": ""}, {"active": 1}, {"commands": []}, {"commands": [{"request": {}}]}, {"tags": [1]}):
        assert twin.rest.post("/v1/provisioning-rules", json={**rule, **wrong}).status_code == 422, wrong


def test_tags(twin):
    tag = {"tag": "nrf-cloud-onboarding", "description": "Generated tag"}
    assert twin.rest.post("/v1/provisioning/tags", json=tag).status_code == 201
    assert twin.rest.post("/v1/provisioning/tags", json=tag).status_code == 409
    assert twin.rest.get("/v1/provisioning/tags").json()["items"] == [tag]
    assert twin.rest.post("/v1/provisioning/tags", json={"tag": ""}).status_code == 422


def test_a_restarted_twin_continues(tmp_path):
    pki.make_pki(tmp_path)
    database = str(tmp_path / "twin.db")
    with Process(tmp_path, "--db", database) as twin:
        modem = SoftModem().claimed(twin)
        ids = queue(twin, modem, config("1"), config("2"))
        twin.pki = tmp_path
        with Session(twin, modem) as session:
            first = session.commands("limit=1")
            assert session.respond([first[0][0], 101]) == "2.04"
    with Process(tmp_path, "--db", database) as twin:
        twin.pki = tmp_path
        with Session(twin, modem) as session:
            assert [item[2] for item in session.commands(f"after={first[0][0]}")] == [{"sample_interval_s": "2"}]
        assert statuses(twin, modem, ids) == ["SUCCEEDED", "IN_PROGRESS"]
