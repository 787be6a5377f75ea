"""`godwit cloud account`: the team behind the API key (GET /account; nrfcloud.md 14.2); a first test of it."""

from .command import command


@command()
def account(cloud):
    """Show team, role, plan and limits."""
    found = cloud.api.call("GET", "/account") or {}
    if cloud.as_json:
        return cloud.screen.json(found)
    team, plan = found.get("team") or {}, found.get("plan") or {}
    cloud.screen.fields(
        [
            ("service", cloud.base),
            ("team", team.get("name")),
            ("tenant id", team.get("tenantId")),
            ("role", found.get("role")),
            ("your tags", ", ".join(found.get("tags") or [])),
            ("plan", plan.get("name")),
            *((f"  {name}", value) for name, value in (plan.get("limits") or {}).items()),
            ("mqtt", found.get("mqttEndpoint")),
            ("topic prefix", found.get("mqttTopicPrefix")),
        ]
    )
