"""Account, service tokens, tags of the account, system status, this document (facts 14.2)."""

from .parts import DATE, INTEGER, NUMBER, OBJECT, TEXT, answer, array, op, page_of, record, ref

_TAG = "Account"

SCHEMAS = {
    "PlanLimits": record(
        {
            "devices": INTEGER,
            "monthlyLocationServiceRequests": INTEGER,
            "monthlyFOTAJobExecutions": INTEGER,
            "monthlyStoredDeviceMessages": INTEGER,
            "messageRoutingServiceDestinations": INTEGER,
        }
    ),
    "MonthCost": record(
        {"serviceId": TEXT, "serviceDescription": TEXT, "quantity": NUMBER, "price": NUMBER, "total": NUMBER}
    ),
    "Plan": record(
        {"name": {"type": "string", "enum": ["DEVELOPER", "PRO", "ENTERPRISE"]}, "limits": ref("PlanLimits")},
        {"currentMonthCosts": array(ref("MonthCost")), "currentMonthTotalCost": NUMBER},
    ),
    "Account": record(
        {
            "mqttEndpoint": TEXT,
            "mqttTopicPrefix": TEXT,
            "plan": ref("Plan"),
            "role": {"type": "string", "enum": ["owner", "admin", "editor", "viewer"]},
            "team": record({"name": TEXT, "tenantId": ref("UUID")}),
            "userId": ref("UUID"),
        },
        {"tags": array(ref("DeviceTag"))},
    ),
    "SystemStatus": record({"status": {"type": "string", "enum": ["online", "offline"]}, "login": {"type": "boolean"}}),
}

OPERATIONS = [
    op("GET", "/account", "FetchAccountInfo", "The team, its plan, the caller's role",
       {200: answer("The account", ref("Account"))}, _TAG),
    op("GET", "/account/tags", "ListTags", "Tags in use in the account",
       {200: answer("Tags", page_of(ref("DeviceTag")))}, _TAG),
    op("POST", "/account/service-key-and-token", "GenerateServiceKeyAndToken",
       "A new service key pair and a token of one year; the key before stops working",
       {200: answer("Private key and token", record({"key": TEXT, "token": TEXT}))}, _TAG),
    op("GET", "/account/service-token", "GetServiceToken", "The service token",
       {200: answer("The token", record({"createdAt": DATE, "token": TEXT}))}, _TAG, errors=(404,)),
    op("POST", "/account/service-evaluation-token", "GenerateServiceEvaluationToken",
       "A token to evaluate location services; the 30 days count from the first one",
       {200: answer("The token", record({"expires": DATE, "token": TEXT}))}, _TAG),
    op("GET", "/account/service-evaluation-token", "GetServiceEvaluationToken", "The evaluation token",
       {200: answer("The token", record({"expires": DATE, "token": TEXT}))}, _TAG, errors=(404,)),
    op("GET", "/status", "GetSystemStatus", "Is the service there?",
       {200: answer("The status", ref("SystemStatus"))}, "System Status", security=()),
    op("GET", "/openapi.json", "FetchOpenApiSpec", "This document",
       {200: answer("OpenAPI 3.1", OBJECT)}, "OpenAPI Specification", security=()),
]  # fmt: skip
