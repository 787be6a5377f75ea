"""Onboarding by certificate, token and CSV, association by ownership code: who gets in, what the others are told."""

import time

import httpx
import pytest
from openapi_support import Document, call, rows
from twin_support import Client, b64url, make_jwt, public_pem

from godwit import pki


@pytest.fixture(scope="module")
def document(twin):
    return Document(twin)


@pytest.fixture(scope="module")
def pem():
    return public_pem(pki.new_key())


def bulk(twin, path, content):
    """(status, errors) of a CSV; (422, message) when it is refused as a whole."""
    answer = twin.rest.post(path, content=content, headers={"Content-Type": "text/csv"})
    if answer.status_code == 422:
        return 422, answer.json()["message"]
    found = twin.rest.get("/v1/bulk-ops-requests/" + answer.json()["bulkOpsRequestId"]).json()
    if found["status"] == "SUCCEEDED":
        assert "errorSummaryUrl" not in found
        return "SUCCEEDED", []
    return found["status"], httpx.get(found["errorSummaryUrl"]).json()["errors"]


def test_csv_with_a_header_in_any_order(twin, pem):
    token = onboarding_token(pki.new_key(), "head-2", twin.rest.get("/v1/account").json()["team"]["tenantId"])
    header = ["onboardingToken", "tags", "certificate", "deviceId"]
    content = rows(header, ["", "a|b", pem, "head-1"], [token, "", "", "head-2"])
    assert bulk(twin, "/v1/devices", content) == ("SUCCEEDED", [])
    assert twin.rest.get("/v1/devices/head-1").json()["tags"] == ["a", "b"]
    assert twin.rest.get("/v1/devices/head-2").status_code == 200


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ([["deviceId", "certificate", "colour"], ["a", "PEM", "red"]], "colour"),
        ([["deviceId", "deviceId", "certificate"], ["a", "b", "PEM"]], "twice"),
        ([["deviceId", "certificate"]], "no rows"),
        ([["a", "", "", ""]], "[0]: 4 columns"),
        ([["a", "", "", "", "PEM", "token"]], "6 columns"),  # tokens need a header
        ([["a", "", "", "", "SHORT"]], "last line break"),
        ([["a", "", "", "", "nonsense"]], "[0]: certificate"),
        ([["deviceId", "certificate"], *[["a", "PEM"]] * 1001], "1000"),
    ],
)
def test_csv_that_is_refused_as_a_whole(twin, pem, content, word):
    texts = {"PEM": pem, "SHORT": pem.rstrip()}
    status, message = bulk(twin, "/v1/devices", rows(*[[texts.get(item, item) for item in row] for row in content]))
    assert status == 422 and word in message


def test_a_thousand_rows_below_a_header_are_taken(twin, pem):
    content = rows(["deviceId", "certificate"], *[[f"many-{n}", pem] for n in range(1000)])
    assert bulk(twin, "/v1/devices", content) == ("SUCCEEDED", [])
    assert twin.rest.get("/v1/devices", params={"deviceNameFuzzy": "MANY-999"}).json()["total"] == 1


def test_rows_that_are_wrong_are_named_and_the_others_done(twin, pem):
    content = rows(
        ["row-1", "", "", "", pem], ["row 2", "", "", "", pem], ["row-3", "", "<", "", pem],
        ["row-4", "", "", "FANCY", pem], ["row-1", "", "", "", pem], ["row-6", "", "", "", ""],
    )  # fmt: skip
    status, errors = bulk(twin, "/v1/devices", content)
    assert (status, [text[:3] for text in errors]) == ("FAILED", ["[1]", "[2]", "[3]", "[4]", "[5]"])
    assert twin.rest.get("/v1/devices/row-1").status_code == 200
    certificate = (twin.pki / "server.pem").read_text()
    status, errors = bulk(twin, "/v1/devices/certificates", rows(["row-1", certificate], ["nobody", certificate]))
    assert (status, len(errors)) == ("FAILED", 1) and errors[0].startswith("[1]: device nobody")
    # a private key is no certificate, whatever stands in the middle
    assert bulk(twin, "/v1/devices/public-keys", rows(["row-1", pem.replace("PUBLIC", "PRIVATE")]))[0] == "FAILED"


def test_content_types_of_a_csv(twin, pem):
    for kind, status in (
        ("text/plain;charset=UTF8", 202),
        ("application/octet-stream", 202),
        ("application/json", 422),
    ):
        answer = twin.rest.post("/v1/devices/public-keys", content=rows(["row-1", pem]), headers={"Content-Type": kind})
        assert answer.status_code == status, kind


def onboarding_token(key, device, tenant, jwk=True, **claims):
    """What AT%REGJWT gives: the device's ES256 token for a team."""
    header = {"alg": "ES256", "typ": "JWT"}
    if jwk:
        numbers = key.public_key().public_numbers()
        header["jwk"] = {
            "kty": "EC",
            "crv": "P-256",
            **{n: b64url(getattr(numbers, n).to_bytes(32, "big")) for n in "xy"},
        }
    claims = {"sub": device, "aud": tenant, "exp": int(time.time()) + 600, **claims}
    return make_jwt(key, header, **claims).decode()


def test_onboarding_by_token(twin):
    """A token of the device's own key; after that the device authenticates with this key."""
    tenant = twin.rest.get("/v1/account").json()["team"]["tenantId"]
    key, device = pki.new_key(), "1c9f1b4a-0c8e-4b5d-9f69-7cf1c3c0a001"
    good = onboarding_token(key, device, tenant)
    bad = {
        "other device": onboarding_token(key, "another", tenant),
        "other team": onboarding_token(key, device, "9140bd5d-911c-496a-9393-4acfbdb6596c"),
        "expired": onboarding_token(key, device, tenant, exp=1),
        "no key": onboarding_token(key, device, tenant, jwk=False),
        "not signed by it": good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"),
        "no token": "a.b",
    }
    for case, token in bad.items():
        answer = twin.rest.post(f"/v1/devices/{device}", json={"onboardingToken": token})
        assert (answer.status_code, answer.json()["code"]) == (422, 42200), case
    assert twin.rest.get(f"/v1/devices/{device}").status_code == 404
    body = {"onboardingToken": good, "subType": "nRF93M1", "supportedFirmwareTypes": ["MODEM"]}
    assert twin.rest.post(f"/v1/devices/{device}", json=body).status_code == 202
    with Client(twin.coap_port) as client:
        assert client.authenticate(make_jwt(key, sub=device, exp=int(time.time()) + 600)).dotted == "2.01"
    # one whose manufacture is known needs no key in the token, and no other key will do
    key, other, device = pki.new_key(), pki.new_key(), "1c9f1b4a-0c8e-4b5d-9f69-7cf1c3c0a002"
    httpx.put(f"{twin.url}/twin/identities/{device}", json={"publicKey": public_pem(key)}).raise_for_status()
    for signer, status in ((other, 422), (key, 202)):
        token = onboarding_token(signer, device, tenant, jwk=signer is other)
        assert twin.rest.post(f"/v1/devices/{device}", json={"onboardingToken": token}).status_code == status


# --- association


def product(twin, device, **value):
    httpx.put(f"{twin.url}/twin/products/{device}", json={"ownershipCode": "PIN123", **value}).raise_for_status()


def test_association(twin, document, pem):
    ids = {name: f"nrf-35265610000000{n}" for n, name in enumerate(("good", "new", "taken", "bare"))}
    product(twin, ids["good"], publicKey=pem)
    product(twin, ids["new"], publicKey=pem, provisioned=False)
    product(twin, ids["taken"], publicKey=pem, elsewhere=True)
    product(twin, ids["bare"])
    cases = [
        ("good", "WRONG", 401, 40102), ("new", "PIN123", 404, 40412), ("taken", "PIN123", 401, 40101),
        ("bare", "PIN123", 400, 40001), ("my-own", "PIN123", 404, 40412), ("nrf-350000000000000", "PIN123", 404, 40411),
    ]  # fmt: skip
    for name, code, status, number in cases:
        path = {"deviceId": ids.get(name, name)}
        answer = call(twin, document, "AssociateDevice", path, content=code)
        assert (answer.status_code, answer.json()["code"]) == (status, number), name
    path = {"deviceId": ids["good"]}
    for sub_type in ("thingy", "thingy-2"):  # idempotent: a second time is how the subType is changed
        answer = call(twin, document, "AssociateDevice", path, content="PIN123", params={"subType": sub_type})
        assert answer.status_code == 202
        assert twin.rest.get("/v1/devices/" + ids["good"]).json()["subType"] == sub_type
    # a product that is in no account is deleted with its code
    product(twin, "nrf-352656100000009", publicKey=pem)
    for code, status in ((b"", 401), (b"PIN123", 202), (b"PIN123", 404)):
        answer = twin.rest.request("DELETE", "/v1/devices/nrf-352656100000009", content=code)
        assert answer.status_code == status


def test_a_full_account_fails_row_by_row(twin, pem):
    twin.rest.put("/twin/limits", json={"devices": 0}).raise_for_status()
    assert bulk(twin, "/v1/devices", rows(["limit-3", "", "", "", pem]))[1][0].startswith("[0]: usage limit")
    assert twin.rest.put("/twin/limits", json={"devices": None}).json() == {}


def test_nothing_of_this_was_an_error(twin):
    assert twin.records()["errors"] == []
