"""The twin's OpenAPI document is true of it: every route is in it, every operation of the specification answers as it
says, in success and in error."""

import re
from unittest.mock import MagicMock

import jsonschema
import pytest
from openapi_support import CELL, UNKNOWN, Document, World, call
from twin_support import running

from godwit.twin.openapi import document as make_document
from godwit.twin.rest_tables import tables

_PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """Its own twin, because of all that the table creates."""
    with running(tmp_path_factory.mktemp("twin")) as process:
        yield process


@pytest.fixture(scope="module")
def document(twin):
    return Document(twin)


@pytest.fixture(scope="module")
def world(twin):
    return World(twin)


def test_every_route_is_in_the_document_and_the_reverse():
    def bare(path):
        return re.sub(r"\{[^}]*\}", "{}", path)

    routes = {(row[0], bare(row[1])) for table in tables(MagicMock()) for row in table.routes()}
    served = {route for route in routes if route[1].startswith("/v1/")}
    written = {
        (method.upper(), "/v1" + bare(path)) for path, item in make_document()["paths"].items() for method in item
    }
    assert served == written


def test_the_document_is_a_good_one(document):
    for schema in document.json["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    names = [operation["operationId"] for item in document.json["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names)) >= 79
    references = set(re.findall(r"'#/components/(\w+)/(\w+)'", str(document.json)))
    assert all(name in document.json["components"][kind] for kind, name in references)
    used = {name for kind, name in references if kind == "schemas"}
    assert used == set(document.json["components"]["schemas"]), "schemas that nothing refers to"


def test_security_of_the_document_is_that_of_the_routes(twin, document):
    """No token at all: 401 wherever the document asks for one, and nowhere else."""
    for name, (method, path, operation) in document.operations.items():
        url = re.sub(r"\{(\w+)\}", UNKNOWN, path)
        answer = twin.rest.request(method, url, headers={"Authorization": "Bearer nobody"})
        assert (answer.status_code == 401) == bool(operation["security"]), name


# operation of the specification: (path values, arguments, status), the same for an error with its nRF code.
# Values that begin with @ are attributes of the World.
_D, _U, _J = {"deviceId": "@device"}, {"deviceId": "ghost"}, {"jobId": "@job"}
_GONE, _BAD = {"jobId": UNKNOWN}, {"deviceId": "a b"}
_PAGE = {"params": {"pageLimit": 0}}
_TABLE = {
    "FetchAccountInfo": (({}, {}, 200), ({}, {"token": "wrong"}, 401, 40100)),
    "GetServiceToken": (None, ({}, {}, 404, 40420)),
    "GenerateServiceKeyAndToken": (({}, {}, 200), ({}, {"token": "wrong"}, 401, 40100)),
    "GetServiceEvaluationToken": (None, ({}, {}, 404, 40420)),
    "GenerateServiceEvaluationToken": (({}, {}, 200), ({}, {"token": "a.b.c"}, 401, 40100)),
    "ListTags": (({}, {}, 200), ({}, {"token": "@token"}, 401, 40100)),
    "GetSystemStatus": (({}, {"token": "nobody"}, 200), None),
    "FetchOpenApiSpec": (({}, {"token": "nobody"}, 200), None),
    "ListDevices": (({}, {"params": {"firmwareSupport": "APP", "tags": "east"}}, 200), ({}, _PAGE, 422, 42200)),
    "FetchDevice": ((_D, {}, 200), (_U, {}, 404, 40410)),
    "ListDeviceTags": (({}, {"params": {"pageLimit": 5}}, 200), ({}, {}, 422, 42200)),
    "UpdateDeviceName": ((_D, {"json": "barn.1"}, 202), (_D, {"json": "no spaces"}, 422, 42200)),
    "UpdateDeviceTags": ((_D, {"json": ["east", "x@1"]}, 202), (_D, {"json": ["<"]}, 422, 42200)),
    "UpdateDeviceImage": ((_D, {"content": _PNG}, 202), (_D, {"content": b"GIF89a"}, 422, 42200)),
    "DeleteDeviceImage": ((_D, {}, 202), (_U, {}, 404, 40410)),
    "CreateTeamDevice": (({}, {}, 201), ({}, {"token": "wrong"}, 401, 40100)),
    "GetTeamDeviceCertificate": (({"deviceId": "@team"}, {}, 200), (_U, {}, 404, 40410)),
    "RotateTeamDeviceCertificate": (({"deviceId": "@team"}, {}, 201), (_U, {}, 404, 40410)),
    "AssociateDevice": (
        ({"deviceId": "nrf-123456789012345"}, {"content": "PIN123"}, 202),
        ({"deviceId": "nrf-999999999999999"}, {"content": "PIN123"}, 404, 40411),
    ),
    "OnboardDevices": (({}, {"content": "@csv"}, 202), ({}, {"content": "a\n\nb"}, 422, 42200)),
    "OnboardDevice": (
        ({"deviceId": "new-1"}, {"json": {"certificate": "@certificate"}}, 202),
        ({"deviceId": "new-1"}, {"json": {"certificate": "x", "onboardingToken": "y"}}, 422, 42200),
    ),
    "RegisterPublicKeys": (({}, {"content": "@keys"}, 202), ({}, {"content": b"\xff"}, 422, 42200)),
    "RegisterCertificates": (({}, {"content": "@certificates"}, 202), ({}, {"content": b'"open'}, 422, 42200)),
    "UpdateDeviceState": ((_D, {"json": {"desired": {"a": 1}}}, 202), (_D, {"json": {"delta": {}}}, 422, 42200)),
    "SendDeviceMessage": ((_D, {"json": {"message": {"a": 1}}}, 202), (_U, {"json": {"message": {}}}, 404, 40410)),
    "ListMessages": (({}, {}, 200), ({}, {"params": {"appId": "A", "topic": "b"}}, 422, 42200)),
    "ListDeviceAlerts": (({}, {}, 200), ({}, {"params": {"status": "OPEN"}}, 422, 42200)),
    "ArchiveDeviceAlert": (({"id": "@alert"}, {}, 200), ({"id": UNKNOWN}, {}, 404, 40420)),
    "RestoreDeviceAlert": (({"id": "@alert"}, {}, 200), ({"id": UNKNOWN}, {}, 404, 40420)),
    "FetchBinaryLogsUrl": (({}, {"params": {"deviceId": "@device"}}, 200), ({}, {}, 422, 42200)),
    "UploadFirmware": (({}, {"content": "@zip"}, 202), ({}, {"content": b"no zip"}, 400, 40000)),
    "ListFirmware": (({}, {}, 200), ({}, {"params": {"modemOnly": "maybe"}}, 422, 42200)),
    "CreateFOTAJob": (
        ({}, {"json": {"bundleId": "@bundle", "tags": ["east"], "autoApply": False}}, 201),
        ({}, {"json": {"bundleId": "APP*x*1", "deviceIds": ["a"]}}, 404, 40420),
    ),
    "ListFOTAJobs": (({}, {}, 200), ({}, {"params": {"pageNextToken": "!"}}, 422, 42200)),
    "FetchFOTAJob": ((_J, {}, 200), (_GONE, {}, 404, 40420)),
    "ApplyFOTAJob": (({"jobId": "@waiting"}, {}, 202), ({"jobId": "@over"}, {}, 400, 40000)),
    "CancelFOTAJob": (({"jobId": "@waiting"}, {"params": {"reason": "no"}}, 202), ({"jobId": "@over"}, {}, 400, 40000)),
    "ListFOTAJobExecutionStatuses": ((_J, {}, 200), (_J, {"params": {"status": "DONE"}}, 422, 42200)),
    "ListFOTAJobExecutionsForDevice": ((_D, {}, 200), (_BAD, {}, 422, 42200)),
    "FetchCurrentPendingFOTAJobExecution": ((_D, {"token": "@token"}, 200), (_U, {}, 404, 40499)),
    "FetchFOTAJobExecution": (({**_D, **_J}, {}, 200), ({**_D, **_GONE}, {}, 404, 40420)),
    "UpdateFOTAJobExecutionStatus": (
        ({**_D, **_J}, {"json": {"status": "IN_PROGRESS"}, "token": "@token"}, 202),
        ({**_U, **_J}, {"json": {"status": "IN_PROGRESS"}, "token": "@token"}, 403, 40100),
    ),
    "GetLocationFromCellsOrWifiNetworks": (({}, {"json": {"lte": [CELL]}}, 200), ({}, {"json": {}}, 400, 40000)),
    "GetLocationFromCells": (({}, {"json": {"lte": [CELL]}}, 200), ({}, {"content": b"{"}, 400, 40000)),
    "GetLocationFromWifiNetworks": (
        ({}, {"json": {"accessPoints": [{"macAddress": f"00:18:39:59:8c:5{n}"} for n in range(3)]}}, 200),
        ({}, {"json": {}}, 400, 40000),
    ),
    "GetSingleCellLocation": (({}, {"params": {**CELL, "format": "json"}}, 200), ({}, {}, 422, 42200)),
    "RecordGnssCoordinates": (
        ({}, {"json": {"lat": 1, "lon": 2}}, 202), ({}, {"json": {"lat": 91, "lon": 2}}, 422, 42200)),
    "GetAssistanceData": (({}, {"json": {"types": [6, 7]}}, 200), ({}, {"json": {"types": [99]}}, 422, 42200)),
    "GetAssistanceDataSize": (({}, {}, 200), None),
    "GetAgpsData": (({}, {"headers": {"range": "bytes=0-9"}}, 206), ({}, {"headers": {"range": "x"}}, 416, 41600)),
    "GetFileSize": (({}, {}, 200), None),
    "GetPredictionData": (({}, {}, 200), ({}, {"params": {"predictionCount": 99}}, 422, 42200)),
    "GetPredictedAssistanceData": (({}, {}, 200), ({}, {"params": {"predictionIntervalMinutes": 1}}, 422, 42200)),
    "GetAddressDataFromCoordinates": (
        ({}, {"params": {"lat": 63.42, "lon": 10.4}}, 200), ({}, {"params": {"lat": 0, "lon": -150}}, 404, 40420)),
    "GetLocationHistory": (({}, {"params": {"latest": "true"}}, 200), ({}, {"params": {"end": "soon"}}, 422, 42200)),
    "DeleteLocationHistory": (
        ({**_D, "id": "@location"}, {}, 202), ({**_D, "id": UNKNOWN}, {}, 404, 40420)),
    "ListBulkOpsRequests": (({}, {}, 200), ({}, {"params": {"status": "DONE"}}, 422, 42200)),
    "FetchBulkOpsRequest": (({"bulkOpsRequestId": "@bulk"}, {}, 200), ({"bulkOpsRequestId": "1"}, {}, 422, 42200)),
    # last, because they take away what the others use
    "DeleteFOTAJob": (({"jobId": "@over"}, {}, 202), (_GONE, {}, 404, 40420)),
    "DeleteFirmware": (({"bundleId": "@bundle"}, {}, 202), ({"bundleId": "APP*x*1"}, {}, 404, 40420)),
    "DeleteTeamDevice": (({"deviceId": "@team"}, {}, 202), (_U, {}, 404, 40410)),
    "DeleteDevice": (({"deviceId": "csv-device"}, {}, 202), (_U, {}, 404, 40414)),
}  # fmt: skip
# what the service has beside (older forms of the same), and the provisioning service, whose tests are test_twin_claims
_MORE = {"Provisioning"}


def filled(value, world):
    """A table's value with the World's attributes in it."""
    if isinstance(value, dict):
        return {key: filled(item, world) for key, item in value.items()}
    if isinstance(value, str) and value.startswith("@"):
        texts = {
            "@csv": f'new-2,,east|west,APP,"{world.pem}"\n',
            "@keys": f'new-3,"{world.pem}"\n',
            "@certificates": f'{world.device}-x,"{world.certificate}"\n',
        }
        return texts[value] if value in texts else getattr(world, value[1:])
    return value


def test_the_table_has_every_operation(document):
    assert _TABLE.keys() == {
        name for name, (_, _, operation) in document.operations.items() if not _MORE & set(operation["tags"])
    }


@pytest.mark.parametrize("name", _TABLE)
def test_operation(twin, document, world, name):
    """The error first, so that what a success takes away is still there."""
    success, error = _TABLE[name]
    if error:
        path, arguments, status, code = filled(error[0], world), filled(error[1], world), *error[2:]
        answer = call(twin, document, name, path, **arguments)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert answer.json()["message"]
    if success:
        answer = call(twin, document, name, filled(success[0], world), **filled(success[1], world))
        assert answer.status_code == success[2], answer.text


def test_tokens_after_they_were_made(twin, document, world):
    """What generate answers is what get answers, and it opens location services and nothing else."""
    for make, get in (
        ("GenerateServiceKeyAndToken", "GetServiceToken"),
        ("GenerateServiceEvaluationToken", "GetServiceEvaluationToken"),
    ):
        made = call(twin, document, make).json()
        assert call(twin, document, get).json()["token"] == made["token"]
        fix = {"json": {"lte": [CELL]}, "token": made["token"]}
        answer = call(twin, document, "GetLocationFromCells", **fix)
        assert answer.json()["fulfilledWith"] == ("SCELL_EVAL" if "Evaluation" in make else "SCELL")
        assert call(twin, document, "ListDevices", token=made["token"]).status_code == 401
        call(twin, document, make)
        again = call(twin, document, "GetLocationFromCells", **fix).status_code
        assert again == (200 if "Evaluation" in make else 401)  # a new service key ends the old one


def test_nothing_of_this_was_an_error(twin):
    assert twin.records()["errors"] == []
