"""`godwit cloud account`: the team behind the API key (GET /account; nrfcloud.md 14.2); a first test of it."""

from .command import command
from .doc import obj, texts


@command()
def account(cloud):
    """Show team, role, plan and limits."""
    found = cloud.api.object("GET", "/account")
    if cloud.as_json:
        return cloud.screen.json(found)
    team, plan = obj(found, "team"), obj(found, "plan")
    cloud.screen.fields(
        [
            ("service", cloud.base),
            ("team", team.get("name")),
            ("tenant id", team.get("tenantId")),
            ("role", found.get("role")),
            ("your tags", ", ".join(texts(found.get("tags")))),
            ("plan", plan.get("name")),
            *((f"  {name}", value) for name, value in obj(plan, "limits").items()),
            ("mqtt", found.get("mqttEndpoint")),
            ("topic prefix", found.get("mqttTopicPrefix")),
        ]
    )
