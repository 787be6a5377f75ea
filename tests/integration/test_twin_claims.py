"""The twin's claimed devices: tokens that are checked, single and CSV claims, the factory's identities (facts 13.3)."""

import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from provisioning_support import SoftModem
from twin_support import running

from godwit.twin import provisioning_cose

# Published by Nordic with its tools (nRFCloud/utils, README): a claim token and two keys of one modem. Its identity
# key is nowhere published; this is the only one under which all three signatures hold (an ECDSA signature and its
# message leave two candidates).
REAL_UUID = "50363154-3931-44f0-8022-121b6401627d"
REAL_CLAIM = (
    "2dn3hQFQUDYxVDkxRPCAIhIbZAFifQNQGv86y_GmR2SiY0wmRsHGVFDT791_BPH8YOWFiyCHND1q.0oRDoQEmoQRBIfZYQGuXwJliinHc6xDPruiy"
    "jsaXyXZbZVpUuOhHG9YS8L05VuglCcJhMN4EUhWVGpaHgNnHHno6ahi-d5tOeZmAcNY"
)
REAL_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZKgDx0O0FKa7i1yFoxYngNdV5Csyi4rEPHcFTfeBVtkkJX-G0QZs-yesfzIaPs91b4x5xYN_g28k63gk"
    "eVMJwA.0oRDoQEmoQRBIVhL2dn3hQhQUDYxVDkxRPCAIhIbZAFifUEQWCDlovwqMVoJ1W-x93Tqypy2v_1ALv3-GCF1R9gYIy2WVlBQXvxKqA9JTveFh"
    "3nVwce-WEAMltwSSkVh8jSBPhP79ndSG0HJTOaTF9SExIq-FstjdLUW2inxdvVfqzLa05rgXqxshN5vfQIs22QT-swCt30h"
)
REAL_CSR = (  # AT%KEYGEN=17,2,0 of the same modem, of a firmware that wrote a NULL beside ecdsa-with-SHA256
    "MIIBCjCBrwIBADAvMS0wKwYDVQQDDCQ1MDM2MzE1NC0zOTMxLTQ0ZjAtODAyMi0xMjFiNjQwMTYyN2QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQq"
    "D6pNfa29o_EXnw62bnQWr8-JqsNh_HZxS3k3bMD4KZ8-qxnvgeoiqQ5zAycEP_Wcmzqypvwyf3qWMrZ2VB5aoB4wHAYJKoZIhvcNAQkOMQ8wDTALBgNV"
    "HQ8EBAMCA-gwDAYIKoZIzj0EAwIFAANIADBFAiEAv7OLZ_dXbszfhhjcLMUT72wTmw-z6GlgWxVhyWgR27ACIAvY_lPu3yfYZY5AL6uYTkUFp4GQkbSO"
    "UC_lsHyCxOuG.0oRDoQEmoQRBIVhL2dn3hQlQUDYxVDkxRPCAIhIbZAFifUERWCBwKj1W8FsvclMdZQgl4gBB4unZMYw0toU6uQZuXHLoDFAbhyLuHe"
    "tYFWbiyxNZsnzSWEDUiTl7wwFt0hEsCiEQsxj-hCtpBk8Za8UXfdAycpx2faCOPJIrkfmiSS8-Y6_2tTAoAMN1BiWiTOimY1wZE3Ud"
)
REAL_IDENTITY = """\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEe3b/ywM5pZwJFlGv4Bml+a5dDcRC
mUIHu7JI90zYCEhhuYp7Do3qaOz7BMsJhdHuGGhu57Pwr0vR3lFDnB+XvQ==
-----END PUBLIC KEY-----
"""


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    with running(tmp_path_factory.mktemp("twin")) as process:
        yield process
        assert process.records()["errors"] == []


def test_published_tokens_of_a_real_modem():
    found = provisioning_cose.claim_token(REAL_CLAIM)
    assert (found.uuid, found.device_type, found.firmware) == (REAL_UUID, 3, "1aff3acb-f1a6-4764-a263-4c2646c1c654")
    found.check(REAL_IDENTITY)
    key = provisioning_cose.public_key(REAL_KEY, REAL_IDENTITY, REAL_UUID, 16)
    assert "i4rEPHcFTfeBVtkkJX+G0QZs+yesfzIaPs91b4x5xYN/g28k63gkeVMJwA==" in key
    key = provisioning_cose.public_key(REAL_CSR, REAL_IDENTITY, REAL_UUID, 17)
    assert "Yfx2cUt5N2zA+CmfPqsZ74HqIqkOcwMnBD/1nJs6sqb8Mn96ljK2dlQeWg==" in key
    other = SoftModem()
    for wrong in ((REAL_KEY, REAL_IDENTITY, REAL_UUID, 17), (REAL_KEY, REAL_IDENTITY, other.uuid, 16)):
        with pytest.raises(provisioning_cose.ProofError):
            provisioning_cose.public_key(*wrong)


def test_claim(twin):
    modem = SoftModem().register(twin)
    token = modem.claim_token()
    ask = {"claimToken": token, "tags": ["location=Trondheim", "a,b"]}
    dry = twin.rest.post("/v1/claimed-devices", params={"dryrun": "true"}, json=ask)
    assert (dry.status_code, dry.content) == (202, b"")
    assert twin.rest.get(f"/v1/claimed-devices/{modem.uuid}").status_code == 404
    answer = twin.rest.post("/v1/claimed-devices", json=ask)
    document = answer.json()
    assert answer.status_code == 201
    assert document.pop("claimedAt").endswith("Z") and document.pop("firmwareId") and document.pop("ownerId")
    assert document == {
        "id": modem.uuid, "deviceType": "nrf9160_SICA", "imei": "352656106118683", "ownershipStatus": "IDENTIFIED",
        "tags": ["location=Trondheim", "a", "b"], "status": "READY",
    }  # fmt: skip
    for params in ({}, {"dryrun": "true"}):
        again = twin.rest.post("/v1/claimed-devices", params=params, json=ask)
        assert (again.status_code, again.json()["code"]) == (409, 40101)
    listed = twin.rest.get("/v1/claimed-devices", params={"tags": "b"}).json()["items"]
    assert [row["id"] for row in listed] == [modem.uuid]
    assert twin.rest.get("/v1/identities/claimed-devices").json()["items"][0]["id"] == modem.uuid
    assert twin.rest.delete(f"/v1/claimed-devices/{modem.uuid}").status_code == 204
    assert twin.rest.delete(f"/v1/claimed-devices/{modem.uuid}").status_code == 404
    assert twin.rest.post("/v1/claimed-devices", json=ask).status_code == 201


def test_claim_refused(twin):
    modem = SoftModem().register(twin)
    good = modem.claim_token()
    payload, proof = good.split(".")
    here, firmware, nonce = uuid.UUID(modem.uuid).bytes, bytes(16), bytes(16)
    tokens = {
        "signed by another key": modem.claim_token(signer=ec.generate_private_key(ec.SECP256R1())),
        "a proof of another token": payload + "." + modem.claim_token().split(".")[1],
        "no proof": payload,
        "three parts": good + ".x",
        "not base64url": "??." + proof,
        "not CBOR": "QUJD." + proof,
        "cut": good[:-8],
        "another message": modem.claim_token(items=[8, here, 3, firmware, nonce]),
        "four items": modem.claim_token(items=[1, here, 3, firmware]),
        "short uuid": modem.claim_token(items=[1, here[:8], 3, firmware, nonce]),
        "device type true": modem.claim_token(items=[1, here, True, firmware, nonce]),
        "empty": "",
        "long": "A" * 20000 + "." + proof,
    }
    for case, token in tokens.items():
        answer = twin.rest.post("/v1/claimed-devices", json={"claimToken": token})
        assert (answer.status_code, answer.json()["code"]) == (422, 42200), case
    unknown = twin.rest.post("/v1/claimed-devices", json={"claimToken": SoftModem().claim_token()})
    assert (unknown.status_code, unknown.json()["code"]) == (404, 40410)
    for body in ({}, {"claimToken": 5}, {"claimToken": good, "tags": ["?"]}, {"claimToken": good, "tags": "a"}):
        assert twin.rest.post("/v1/claimed-devices", json=body).status_code == 422, body
    bare = {"Authorization": "Bearer wrong"}
    assert twin.rest.post("/v1/claimed-devices", json={"claimToken": good}, headers=bare).status_code == 401
    assert twin.rest.get(f"/v1/claimed-devices/{modem.uuid}").status_code == 404


def test_claim_csv(twin):
    modems = [SoftModem().register(twin) for _ in range(3)]
    rows = [f'"{modem.claim_token()}","nrf-cloud-onboarding,x"' for modem in modems[:2]]
    answer = twin.rest.post("/v1/claimed-devices", content="\n".join([*rows, '"nonsense"']).encode())
    assert answer.status_code == 201
    assert answer.json()["claimedIds"] == [modem.uuid for modem in modems[:2]]
    assert [row["row"] for row in answer.json()["failed"]] == [2]
    assert twin.rest.get(f"/v1/claimed-devices/{modems[0].uuid}").json()["tags"] == ["nrf-cloud-onboarding", "x"]
    assert twin.rest.post("/v1/claimed-devices", content=b'"nonsense"').status_code == 422
    answer = twin.rest.post("/v1/claimed-devices/bulk", content=(modems[2].claim_token() + "\nx\n").encode())
    bulk = twin.rest.get("/v1/bulk-ops-requests/" + answer.json()["bulkOpsRequestId"]).json()
    assert (answer.status_code, bulk["status"]) == (202, "FAILED")
    assert twin.rest.get(bulk["errorSummaryUrl"]).json()["errors"][0].startswith("[1]: ")
    assert twin.rest.get(f"/v1/claimed-devices/{modems[2].uuid}").status_code == 200


def test_identities_are_checked(twin):
    here = f"/twin/identities/{uuid.uuid4()}"
    certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    for body in ({}, {"publicKey": "x"}, {"publicKey": certificate}, {"publicKey": REAL_IDENTITY, "imei": 5}):
        assert twin.rest.put(here, json=body).status_code == 422
    assert twin.rest.put("/twin/identities/nrf-1", json={"publicKey": REAL_IDENTITY}).status_code == 422
    assert twin.rest.put(f"/twin/identities/{REAL_UUID}", json={"publicKey": REAL_IDENTITY}).status_code == 204
    assert twin.rest.post("/v1/claimed-devices", json={"claimToken": REAL_CLAIM}).status_code == 201
