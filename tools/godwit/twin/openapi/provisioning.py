"""The provisioning service: claims, commands, rules, tags (facts 13.3). Its handlers check for themselves."""

from .parts import DATE, FLAG, OBJECT, PAGE, TEXT, answer, array, op, page_of, query, record, ref

_TAG = "Provisioning"
_TAG_NAME = {"type": "string", "minLength": 1, "maxLength": 128}
_COMMAND_STATUS = {"type": "string", "enum": ["PENDING", "IN_PROGRESS", "SUCCEEDED", "FAILED", "DISCARDED"]}
_KINDS = ("certificateSigningRequest", "clientPrivateKeyGeneration", "cloudAccessKeyGeneration", "clientCertificate",
          "serverCertificate", "config", "finished")  # fmt: skip

SCHEMAS = {
    "ClaimedDevice": record(
        {
            "id": TEXT,
            "deviceType": TEXT,
            "ownerId": ref("UUID"),
            "ownershipStatus": TEXT,
            "tags": array(TEXT),
            "status": TEXT,
            "claimedAt": DATE,
        },
        {"firmwareId": TEXT, "imei": {"type": ["string", "null"]}},
    ),
    "Claim": record({"claimToken": {"type": "string", "minLength": 1}}, {"tags": array(_TAG_NAME)}),
    "Claims": record({"claimedIds": array(TEXT), "failed": array(OBJECT)}),
    "CommandRequest": {
        "type": "object",
        "properties": dict.fromkeys(_KINDS, OBJECT),
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    },
    "NewCommand": record({"request": ref("CommandRequest")}, {"description": {"type": "string", "maxLength": 1024}}),
    "Command": record(
        {
            "id": ref("UUID"),
            "deviceId": TEXT,
            "status": _COMMAND_STATUS,
            "request": OBJECT,
            "createdAt": DATE,
            "updatedAt": DATE,
        },
        {"description": TEXT, "response": OBJECT},
    ),
    "NewRule": record(
        {"name": {"type": "string", "minLength": 1, "maxLength": 128},
         "commands": array(record({"request": ref("CommandRequest")}, {"description": TEXT}), minItems=1, maxItems=20)},
        {"description": TEXT, "active": FLAG, "tags": array(_TAG_NAME, maxItems=100)},
    ),
    "Rule": record(
        {"id": ref("UUID"), "name": TEXT, "active": FLAG, "commands": array(OBJECT), "tags": array(TEXT),
         "createdAt": DATE},
        {"description": TEXT},
    ),
    "ProvisioningTag": record({"tag": _TAG_NAME}, {"description": TEXT}),
}  # fmt: skip

_CLAIM_BODY = {
    "required": True,
    "content": {"application/json": {"schema": ref("Claim")}, "text/csv": {"schema": TEXT}},
}
_CSV = {"required": True, "content": {"text/csv": {"schema": TEXT}}}
_ONE = "/claimed-devices/{deviceId}"
_CLAIMED = {
    201: answer("Claimed", {"anyOf": [ref("ClaimedDevice"), ref("Claims")]}),
    202: answer("It could be claimed (dryrun)"),
    422: answer("Validation failed, or no row of the CSV could be claimed", {"anyOf": [ref("Error"), ref("Claims")]}),
}


def _json(name):
    return {"required": True, "content": {"application/json": {"schema": ref(name)}}}


def _op(method, path, name, text, answers, parameters=(), body=None, errors=(404, 422)):
    return op(method, path, name, text, answers, _TAG, parameters, body, errors, **{"x-checks-itself": True})


_DRY = [query("dryrun", {**FLAG, "default": False}, "Only ask")]
_BY_TAGS = [query("tags", array(TEXT), "Only claims with one of these tags"), *PAGE]
OPERATIONS = [
    _op("POST", "/claimed-devices", "ClaimDevice", "Claim a device by its token, or many by a CSV", _CLAIMED, _DRY,
        _CLAIM_BODY, (404, 409, 422)),
    _op("GET", "/claimed-devices", "ListClaimedDevices", "Claimed devices, newest first",
        {200: answer("Claims", page_of(ref("ClaimedDevice")))}, _BY_TAGS),
    _op("POST", "/identities/claimed-devices", "ClaimDeviceIdentity", "The same", _CLAIMED, _DRY, _CLAIM_BODY,
        (404, 409, 422)),
    _op("GET", "/identities/claimed-devices", "ListClaimedDeviceIdentities", "The same",
        {200: answer("Claims", page_of(ref("ClaimedDevice")))}, _BY_TAGS),
    _op("POST", "/claimed-devices/bulk", "BulkClaimDevices", "A CSV as a bulk operation",
        {202: answer("Accepted", record({"bulkOpsRequestId": ref("ULID")}))}, body=_CSV),
    _op("GET", _ONE, "FetchClaimedDevice", "A claimed device", {200: answer("The claim", ref("ClaimedDevice"))}),
    _op("DELETE", _ONE, "UnclaimDevice", "Give a claim up", {204: answer("Done")}),
    _op("POST", _ONE + "/provisioning", "CreateProvisioningCommand", "Queue a command",
        {201: answer("The command", ref("Command"))}, body=_json("NewCommand")),
    _op("GET", _ONE + "/provisioning", "ListProvisioningCommands", "Commands, newest first",
        {200: answer("Commands", page_of(ref("Command")))}, [query("status", _COMMAND_STATUS), *PAGE]),
    _op("GET", _ONE + "/provisioning/{id}", "FetchProvisioningCommand", "One command",
        {200: answer("The command", ref("Command"))}),
    _op("DELETE", _ONE + "/provisioning/{id}", "DiscardProvisioningCommand", "Take a waiting command back",
        {204: answer("Done")}, errors=(404, 409)),
    _op("POST", "/provisioning-rules", "CreateProvisioningRule", "Commands for every claim with one of some tags",
        {201: answer("The rule", ref("Rule"))}, body=_json("NewRule")),
    _op("GET", "/provisioning-rules", "ListProvisioningRules", "Rules, newest first",
        {200: answer("Rules", page_of(ref("Rule")))}, PAGE),
    _op("GET", "/provisioning-rules/{id}", "FetchProvisioningRule", "One rule", {200: answer("The rule", ref("Rule"))}),
    _op("DELETE", "/provisioning-rules/{id}", "DeleteProvisioningRule", "Forget a rule", {204: answer("Done")}),
    _op("POST", "/provisioning/tags", "CreateProvisioningTag", "Name a tag",
        {201: answer("The tag", ref("ProvisioningTag"))}, body=_json("ProvisioningTag"), errors=(409, 422)),
    _op("GET", "/provisioning/tags", "ListProvisioningTags", "Tags, newest first",
        {200: answer("Tags", page_of(ref("ProvisioningTag")))}, PAGE),
]  # fmt: skip
