"""`godwit cloud`, below the commands: who is asked, with which key, what is repeated, and what errors say."""

import ssl

import httpx
import pytest
from cloud_support import KEY, URL, Service, page
from cryptography.hazmat.primitives import serialization
from twin_support import make_bundle

from godwit import pki
from godwit.cloud import places
from godwit.cloud.api import part
from godwit.cloud.errors import CloudError

ACCOUNT = {"team": {"name": "Waders", "tenantId": "t-1"}, "role": "owner", "plan": {"name": "PRO"}}


def _tls():
    error = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed (_ssl.c:1)")
    error.__cause__ = ssl.SSLCertVerificationError(1, "self-signed")
    return error


ERRORS = {
    "401": ((401, {"code": 40100, "message": "bad token"}), ["API key", "GODWIT_CLOUD_KEY", "bad token"]),
    "403": ((403, {"message": "no"}), ["not allowed", "role"]),
    "404": ((404, {"code": 40410, "message": "Device not found"}), ["check the id", "nRF code 40410"]),
    "409": ((409, {"message": "version is 8"}), ["conflict", "version is 8"]),
    "422": ((422, {"code": 42200, "message": "deviceId not valid"}), ["not valid", "deviceId not valid"]),
    "array": ((422, ["one thing", "another"]), ["one thing; another"]),
    "quota": ((400, {"code": 40005, "message": "limit"}), ["usage limit of the plan", "40005"]),
    "not json": (httpx.Response(200, html="<html>Sign in</html>"), ["not the service", "--url"]),
    "redirect": (httpx.Response(302, headers={"location": "https://elsewhere/"}), ["points elsewhere", "302"]),
    "500": ((500, {"message": "oops"}), ["problem", "later", "oops"]),
    "refused": (httpx.ConnectError("[Errno 111] Connection refused"), ["nobody listens", "api.nrfcloud.com"]),
    "dns": (httpx.ConnectError("[Errno -2] Name or service not known"), ["no network"]),
    "tls": (_tls(), ["not trusted", "self-signed", "SSL_CERT_FILE"]),
    "silent": (httpx.ReadTimeout("timed out"), ["no answer in time", "--timeout"]),
    "unreachable": (httpx.ConnectTimeout("timed out"), ["no answer to the connection attempt"]),
    "cut": (httpx.RemoteProtocolError("peer closed"), ["ended in mid-answer"]),
    "escape": ((422, {"message": "\x1b[31mred\n\n\x07bell"}), ['"[31mred bell"']),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_one_line_that_says_what_to_do(name):
    answer, words = ERRORS[name]
    done = Service({"GET /account": answer}).run("account")
    last = done.err.splitlines()[-1]
    assert done.status == 1 and done.out == ""
    assert last.startswith("Error: GET /account: ")
    for word in words:
        assert word in last
    assert "Traceback" not in done.err and "\x1b" not in last


@pytest.mark.parametrize("failure", [(500, None), (502, None), (503, None), (504, None), httpx.ReadTimeout("x")])
def test_what_may_be_repeated_is_repeated_with_growing_waits(failure):
    service = Service({"GET /account": [failure, failure, ACCOUNT]})
    assert service.run("account", "--json").json == ACCOUNT
    assert service.count("GET", "/account") == 3
    assert service.waits == [0.5, 1.0]


def test_waits_grow_to_a_cap_with_jitter_and_end():
    service = Service({"GET /account": (503, None)})
    assert service.run("account").status == 1
    assert service.waits == [0.5, 1.0, 2.0, 4.0, 4.0] and service.count("GET", "/account") == 6


def test_the_service_says_how_long_to_wait():
    service = Service({"GET /account": [httpx.Response(429, headers={"retry-after": "7"}), ACCOUNT]})
    assert service.run("account").status == 0
    assert service.waits == [7.0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_a_refusal_is_not_repeated(status):
    service = Service({"GET /account": (status, None)})
    assert service.run("account").status == 1
    assert len(service.requests) == 1


def test_tls_failures_are_not_repeated():
    service = Service({"GET /account": _tls()})
    assert service.run("account").status == 1
    assert len(service.requests) == 1


@pytest.mark.parametrize("failure", [(502, None), (500, None), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x")])
def test_a_job_that_may_have_been_made_is_not_made_again(failure):
    service = Service({"POST /fota-jobs": failure})
    done = service.run("fota", "create", "APP*1*2", "--device", "nrf-1")
    assert done.status == 1 and len(service.requests) == 1
    assert "Not repeated: the service may have made the job" in done.err
    assert "fota list" in done.err


MAKERS = {
    "POST /devices": ["onboard", "d", "--generate", "--directory", "DIR"],
    "POST /devices/d": ["onboard", "d", "--certificate", "DIR/cert.pem"],
    "POST /devices/d/messages": ["messages", "send", "d", "{}"],
    "POST /firmwares": ["firmware", "upload", "DIR/app.zip"],
    "POST /fota-jobs/j/apply": ["fota", "apply", "j"],
    "POST /claimed-devices": ["claim", "a.b"],
    "POST /claimed-devices/u/provisioning": ["provision", "u"],
}


@pytest.mark.parametrize("what", MAKERS)
def test_nothing_is_made_twice_by_itself(what, tmp_path):
    certificate = pki.make_server(pki.make_ca())[0].public_bytes(serialization.Encoding.PEM)
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "app.zip").write_bytes(make_bundle({"app.bin": b"x"}))
    service = Service({what: (503, None)})
    done = service.run(*[word.replace("DIR", str(tmp_path)) for word in MAKERS[what]])
    assert done.status == 1 and len(service.requests) == 1 and "look before you repeat" in done.err


def test_a_job_that_cannot_have_arrived_is_sent_again():
    service = Service({"POST /fota-jobs": [httpx.ConnectError("Connection refused"), {"jobId": "j-1"}]})
    done = service.run("fota", "create", "APP*1*2", "--device", "nrf-1", "--json")
    assert done.json == {"jobId": "j-1"} and len(service.requests) == 2


def test_a_deletion_whose_answer_was_lost_is_done():
    service = Service({"DELETE /devices/nrf-1": [httpx.ReadTimeout("x"), (404, {"code": 40414})]})
    assert service.run("devices", "delete", "nrf-1", "--yes").status == 0
    first = Service({"DELETE /devices/nrf-1": (404, {"code": 40414})})
    assert first.run("devices", "delete", "nrf-1", "--yes").status == 1


def test_nothing_is_deleted_unasked():
    service = Service()
    done = service.run("devices", "delete", "nrf-1", stdin="")
    assert done.status == 1 and "--yes" in done.err
    assert service.run("devices", "delete", "nrf-1", stdin="n\n").status == 1
    assert service.requests == []


def _messages(count):
    return [{"deviceId": "d", "receivedAt": f"2026-11-21T00:00:{i % 60:02d}.000Z", "message": i} for i in range(count)]


def test_pages_are_asked_for_as_far_as_needed():
    service = Service({"GET /messages": [page(*_messages(100), token="a+b/c="), page(*_messages(50), token="d")]})
    done = service.run("messages", "list", "d", "--limit", 150, "--json")
    assert len(done.json) == 150
    queries = [dict(one.url.params) for one in service.requests]
    assert [(one["pageLimit"], one.get("pageNextToken")) for one in queries] == [("100", None), ("50", "a+b/c=")]
    assert b"a%2Bb%2Fc%3D" in service.requests[1].url.query


def test_all_pages_until_the_last():
    service = Service({"GET /messages": [page(*_messages(2), token="x"), page(*_messages(1))]})
    assert len(service.run("messages", "list", "--all", "--json").json) == 3


def test_a_service_that_repeats_its_pages_is_left():
    service = Service({"GET /messages": page(*_messages(2), token="x")})
    done = service.run("messages", "list", "--all")
    assert done.status == 1 and "repeats its pages" in done.err


def test_a_list_that_is_none():
    done = Service({"GET /messages": {"hello": "world"}}).run("messages", "list")
    assert done.status == 1 and "not a list" in done.err


def test_the_key_comes_from_env_file_or_stdin(tmp_path):
    file = tmp_path / "key"
    file.write_text("from-file\n")
    file.chmod(0o600)
    cases = [
        ({}, [], None, KEY),
        ({"GODWIT_CLOUD_KEY": None, "GODWIT_CLOUD_KEY_FILE": str(file)}, [], None, "from-file"),
        ({}, ["--key-file", str(file)], None, "from-file"),  # what is typed beats the environment
        ({}, ["--key-file", "-"], "from-stdin\n", "from-stdin"),
        ({}, ["--key", "typed"], None, "typed"),
    ]
    for env, options, stdin, expected in cases:
        service = Service({"GET /account": ACCOUNT})
        assert service.run(*options, "account", env=env, stdin=stdin).status == 0
        assert service.requests[0].headers["authorization"] == f"Bearer {expected}"


def test_a_key_file_that_others_can_read_is_mentioned(tmp_path, capfd):
    file = tmp_path / "key"
    file.write_text("k")
    file.chmod(0o644)
    done = Service({"GET /account": ACCOUNT}).run("--key-file", file, "account")
    assert done.status == 0 and "chmod 600" in done.err


@pytest.mark.parametrize(
    "options, env, words",
    [
        ([], {"GODWIT_CLOUD_KEY": None}, "no API key"),
        (["--key-file", "/nowhere/key"], {}, "No such file"),
        ([], {"GODWIT_CLOUD_KEY": "two words"}, "characters that no key has"),
        ([], {"GODWIT_CLOUD_KEY": "a\nX-Other: b"}, "characters that no key has"),
        (["--url", "http://example.org/v1"], {}, "unencrypted"),
        (["--url", "ftp://example.org"], {}, "expected https"),
        (["--url", "https://user:pw@example.org"], {}, "no user or password"),
        (["--url", "https://exa mple"], {}, "expected https"),
    ],
)
def test_nothing_is_sent_without_a_usable_key_and_address(options, env, words):
    service = Service()
    done = service.run(*options, "account", env=env)
    assert done.status == 1 and words in done.err and service.requests == []


def test_addresses():
    assert places.base_url("http://127.0.0.1:8080") == "http://127.0.0.1:8080/v1"
    assert places.base_url("http://[::1]:80/v1/") == "http://[::1]/v1"
    assert places.base_url("http://lab:8080/v1", plain_http=True) == "http://lab:8080/v1"
    assert places.provisioning_url(URL) == "https://api.provisioning.nrfcloud.com/v1"
    assert places.provisioning_url("https://api.beta.nrfcloud.com/v1") == "https://api.provisioning.beta.nrfcloud.com/v1"
    assert places.provisioning_url("http://127.0.0.1:8080/v1") == "http://127.0.0.1:8080/v1"
    assert places.is_real(URL) and not places.is_real("https://nrfcloud.com.example.org/v1")


def test_an_id_cannot_become_another_address():
    assert part("nrf-1") == "nrf-1" and part("APP*c5*v1.3") == "APP*c5*v1.3"
    assert part("../account?x#y") == "..%2Faccount%3Fx%23y"
    assert part("a b%41\n") == "a%20b%2541%0A"
    for text in ("", ".", ".."):
        with pytest.raises(CloudError):
            part(text)


def test_the_key_is_not_given_to_other_hosts():
    csv = 'deviceId,certificate\nd,"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n"\n'
    for url, expected in (("https://bucket.example.com/errors?sig=1", None), ("/v1/bulk/errors", f"Bearer {KEY}")):
        bulk = {"status": "FAILED", "errorSummaryUrl": url}
        service = Service({"POST /devices": (202, {"bulkOpsRequestId": "B"}), "GET /bulk-ops-requests/B": bulk})
        service.on("GET .*/?errors", {"errors": ["[0]: key is not P-256"]})
        with CsvFile(csv) as path:
            done = service.run("onboard", "--csv", path)
        assert done.status == 1 and "key is not P-256" in done.out
        assert service.requests[-1].headers.get("authorization") == expected


class CsvFile:
    """A file with a text, for a while."""

    def __init__(self, text):
        self.text = text

    def __enter__(self):
        import tempfile

        self.file = tempfile.NamedTemporaryFile("w", suffix=".csv")
        self.file.write(self.text)
        self.file.flush()
        return self.file.name

    def __exit__(self, *exc):
        self.file.close()
