"""`godwit cloud messages`: list, watch, send (nrfcloud.md 6 and 14.2). What a line shows is in message_line.py."""

import base64
from pathlib import Path

import click

from . import times
from .api import part
from .command import command
from .errors import CloudError
from .message_line import COLUMNS, line, row
from .values import guess, load, read_text
from .watch import Watch

_TOPICS = {"c2d": "d/{}/c2d", "d2c": "d/{}/d2c", "bulk": "d/{}/d2c/bulk", "bin": "d/{}/d2c/bin"}
_MAX_APP_ID = 64


@click.group()
def messages():
    """List, watch and send messages."""


@command(messages, "list")
@click.argument("device", required=False)
@click.option("--app-id", help="Of this appId: TEMP, GNSS, LOG ...")
@click.option("--topic", help="Of this topic: d/DEVICE/d2c/bulk ... (not with --app-id).")
@click.option("--start", help="From: 2026-11-21, 2026-11-21T15:04:05Z, 2h (ago).")
@click.option("--end", help="Until.")
@click.option("--oldest-first", is_flag=True, help="In the order of arrival.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@click.option("--all", "everything", is_flag=True, help="No limit.")
def list_messages(cloud, device, app_id, topic, start, end, oldest_first, limit, everything):
    """List stored messages, of one DEVICE or of all, the newest first."""
    if app_id and topic:
        raise click.UsageError("the service takes --app-id or --topic, not both")
    query = {"deviceId": device, "appId": app_id, "topic": topic, "start": times.given(start), "end": times.given(end)}
    query["pageSort"] = "asc" if oldest_first else "desc"
    found = list(cloud.api.pages("/messages", None if everything else limit, **query))
    if cloud.as_json:
        return cloud.screen.json(found)
    cloud.screen.table(COLUMNS, map(row, found), "no messages")
    if len(found) == limit and not everything:
        cloud.screen.note(f"the first {limit}; --limit or --all for more")


@command(messages)
@click.argument("device", required=False)
@click.option("--app-id", help="Of this appId only.")
@click.option("--last", type=click.IntRange(0, 100), default=10, show_default=True, help="So many old ones first.")
@click.option("--interval", type=click.FloatRange(0.2, 600), default=2.0, show_default=True, help="Look every .. s.")
@click.option("--count", type=click.IntRange(1), help="End after so many.")
@click.option("--for", "seconds", type=click.FloatRange(0), help="End after so many seconds.")
def watch(cloud, device, app_id, last, interval, count, seconds):
    """Show messages as they arrive, until Ctrl-C; each once. It looks less often while nothing comes."""
    follow = Watch(cloud.api, device, app_id, interval, note=cloud.screen.note)
    shown = 0
    for item in follow.items(last, seconds):
        if cloud.as_json:
            cloud.screen.json_line(item)
        else:
            cloud.screen.out.print(line(item, with_device=not device), soft_wrap=True)
        shown += 1
        if count and shown >= count:
            return


@command(messages)
@click.argument("device")
@click.argument("message", required=False)
@click.option("--app-id", help="Make it {appId, messageType, data}: with --data.")
@click.option("--data", help="Its data: JSON, or a text.")
@click.option("--as", "way", type=click.Choice(list(_TOPICS)), default="c2d", show_default=True, help="Which topic.")
@click.option("--topic", help="Another topic, whole.")
@click.option("--binary", type=click.Path(dir_okay=False, path_type=Path), help="A file, to d2c/bin (binary log).")
def send(cloud, device, message, app_id, data, way, topic, binary):
    """Send a MESSAGE (JSON, @file or - for stdin) to DEVICE, or with --as d2c on its behalf.

    A device on CoAP has nothing pushed to it: what is sent to it on c2d is stored, and reaches devices on MQTT.
    """
    given = [message is not None, app_id is not None, binary is not None]
    if sum(given) != 1 or (data is not None) != (app_id is not None):
        raise click.UsageError("one of MESSAGE, --app-id with --data, and --binary")
    if binary:
        way = "bin"
        try:
            value = base64.b64encode(binary.read_bytes()).decode()
        except OSError as error:
            raise CloudError(f"{binary}: {error.strerror}") from error
    elif app_id is not None:
        if not 0 < len(app_id) <= _MAX_APP_ID:
            raise CloudError(f"--app-id has 1 to {_MAX_APP_ID} characters")
        value = {"appId": app_id, "messageType": "DATA", "data": guess(data)}
    else:
        value = load(read_text(message, "message"), "the message")
        if not isinstance(value, (dict, list)) and way != "bin":
            raise CloudError("a message is a JSON object or an array of them")
    topic = topic or _TOPICS[way].format(device)
    body = {"topic": topic, "message": value}
    cloud.api.call("POST", f"/devices/{part(device)}/messages", json=body, makes="the message")
    if cloud.as_json:
        return cloud.screen.json({"deviceId": device, **body})
    cloud.screen.say(f"sent to {topic}", "green")
