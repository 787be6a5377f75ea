"""What tests of the twin's REST share: its OpenAPI document, answers held against it, things that requests can name.

The check of answers is jsonschema's on the document as it is served, not the twin's own code.
"""

import base64
import csv
import io
import json
import re
import time

import httpx
from jsonschema import Draft202012Validator
from twin_support import POST, connected, make_bundle, make_jwt, public_pem

from godwit import pki

UNKNOWN = "9140bd5d-911c-496a-9393-4acfbdb6596c"
CELL = {"mcc": 262, "mnc": 1, "tac": 23056, "eci": 27440068}


class Document:
    """The document of a running twin: operations by name, and a check of answers."""

    def __init__(self, twin):
        self.json = twin.rest.get("/v1/openapi.json").raise_for_status().json()
        self.operations = {
            operation["operationId"]: (method.upper(), "/v1" + path, operation)
            for path, item in self.json["paths"].items()
            for method, operation in item.items()
        }

    def check(self, name, answer):
        """Is this answer one that the document promises? Raises AssertionError, ValidationError."""
        responses = self.operations[name][2]["responses"]
        assert str(answer.status_code) in responses, f"{name}: {answer.status_code} is not in the document"
        promised = responses[str(answer.status_code)]
        if "$ref" in promised:
            promised = self.json["components"]["responses"][promised["$ref"].rsplit("/", 1)[1]]
        content = promised.get("content")
        if content is None or answer.request.method == "HEAD":
            assert answer.content == b"", name
            return
        kind = answer.headers["content-type"].split(";")[0]
        assert kind in content, f"{name}: {kind}"
        if kind == "application/json":
            schema = {**content[kind]["schema"], "components": self.json["components"]}
            Draft202012Validator(schema).validate(answer.json())


def call(twin, document, name, path=None, token=None, **arguments):
    """Call an operation by its name; `path` are the values of its path parameters. The answer is checked."""
    method, template, _ = document.operations[name]
    url = re.sub(r"\{(\w+)\}", lambda found: path[found[1]], template)
    if token is not None:
        arguments["headers"] = {**arguments.get("headers", {}), "Authorization": f"Bearer {token}"}
    answer = twin.rest.request(method, url, **arguments)
    document.check(name, answer)
    return answer


def rows(*items):
    """Lists of texts as CSV text."""
    text = io.StringIO()
    csv.writer(text).writerows(items)
    return text.getvalue()


class World:
    """A twin with something of everything in it: devices, a job, an alert, a binary log, a location, a team device."""

    def __init__(self, twin):
        self.twin, self.device, self.key = twin, twin.device, twin.key
        rest = twin.rest
        self.pem = public_pem(pki.new_key())
        self.certificate = (twin.pki / "server.pem").read_text()
        rest.put("/v1/devices/" + self.device + "/tags", json=["east"]).raise_for_status()
        self.bundle, _ = twin.upload(b"image", "1.0.0")
        self.waiting = self._job(False)
        self.job = self._job(True)
        self.over = self._job(True)
        rest.put(f"/v1/fota-jobs/{self.over}/cancel").raise_for_status()
        with connected(twin) as client:
            alert = {"appId": "ALERT", "type": 5, "value": 81.5, "desc": "hot"}
            client.request(POST, "msg/d2c", payload=json.dumps(alert).encode(), cf=50)
            log = base64.b64decode("blJGQwAAAAAd2qCkkAEAAAEAAABoZWxsbyB3b3JsZA==")
            client.request(POST, "msg/d2c/bin", payload=log, cf=42)
            fix = {"appId": "GNSS", "data": {"lat": 1.5, "lng": 3, "acc": 5}}
            client.request(POST, "msg/d2c", payload=json.dumps(fix).encode(), cf=50)
        self.alert = rest.get("/v1/alerts").json()["items"][0]["id"]
        self.location = rest.get("/v1/location/history").json()["items"][0]["id"]
        self.team = rest.post("/v1/devices/mqtt-team").json()["clientId"]
        rows = f'csv-device,"{self.pem}"\n'
        self.bulk = rest.post("/v1/devices/public-keys", content=rows).json()["bulkOpsRequestId"]
        self.product("nrf-123456789012345", ownershipCode="PIN123")
        self.token = make_jwt(self.key, sub=self.device, exp=int(time.time()) + 86400).decode()
        self.zip = make_bundle({"a.bin": b"data"}, "2.0.0")

    def _job(self, apply):
        body = {"bundleId": self.bundle, "deviceIds": [self.device], "autoApply": apply}
        return self.twin.rest.post("/v1/fota-jobs", json=body).raise_for_status().json()["jobId"]

    def product(self, device, **value):
        """A product of the factory."""
        httpx.put(f"{self.twin.url}/twin/products/{device}", json={"publicKey": self.pem, **value}).raise_for_status()
