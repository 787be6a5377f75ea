"""`godwit cloud alerts`: list, archive, restore (nrfcloud.md 6.3, 14.2; PATCH /alerts/{id}/archive and /restore)."""

import click

from . import times
from .api import part
from .command import command
from .message_line import alert_words
from .screen import status as status_text


@click.group()
def alerts():
    """List alerts, archive and restore them."""


@command(alerts, "list")
@click.argument("devices", nargs=-1)
@click.option("--status", type=click.Choice(["ACTIVE", "ARCHIVED"], case_sensitive=False), help="Only these.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
def list_alerts(cloud, devices, status, limit):
    """List the alerts of DEVICES, or of all, the newest first."""
    query = {"deviceIds": list(devices) or None, "status": status.upper() if status else None}
    found = list(cloud.api.pages("/alerts", limit, **query))
    if cloud.as_json:
        return cloud.screen.json(found)
    columns = ("received", "device", "status", "alert", "measured", "id")
    cloud.screen.table(columns, map(_row, found), "no alerts")


@command(alerts)
@click.argument("alert_ids", nargs=-1, required=True, metavar="ID...")
def archive(cloud, alert_ids):
    """Archive alerts: they are dealt with."""
    _change(cloud, alert_ids, "archive", "archived")


@command(alerts)
@click.argument("alert_ids", nargs=-1, required=True, metavar="ID...")
def restore(cloud, alert_ids):
    """Make archived alerts active again."""
    _change(cloud, alert_ids, "restore", "active again")


def _change(cloud, alert_ids, verb, done):
    answers = []
    for one in alert_ids:
        answers.append(cloud.api.call("PATCH", f"/alerts/{part(one)}/{verb}"))
        cloud.screen.say(f"{one} is {done}", "green")
    if cloud.as_json:
        cloud.screen.json(answers)


def _row(item):
    message = item.get("originalMessage")
    message = message if isinstance(message, dict) else {}
    received = times.show(item.get("receivedAt") or item.get("createdAt"))
    words = alert_words(message)
    state = status_text(item.get("status"))
    return received, item.get("deviceId"), state, words, times.show_ms(message.get("ts")), item.get("id")
