"""`godwit cloud logs`: text logs are messages of appId LOG, binary ones a zip file (nrfcloud.md 6.4, 14.2)."""

from pathlib import Path

import click

from . import times
from .command import command
from .errors import CloudError
from .message_line import line
from .screen import size

_LEVELS = {"err": 1, "wrn": 2, "inf": 3, "dbg": 4}


@command()
@click.argument("device")
@click.option("--level", type=click.Choice(list(_LEVELS)), default="dbg", show_default=True, help="This and worse.")
@click.option("--start", help="From: 2026-11-21, 2026-11-21T15:04:05Z, 2h (ago).")
@click.option("--end", help="Until.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@click.option("--binary", type=click.Path(dir_okay=False, path_type=Path), help="Fetch binary logs (24 h) as a zip.")
def logs(cloud, device, level, start, end, limit, binary):
    """Show the text logs of DEVICE, oldest first; or fetch its binary logs."""
    if binary:
        return _binary(cloud, device, times.given(start), times.given(end), binary)
    query = {"deviceId": device, "appId": "LOG", "start": times.given(start), "end": times.given(end)}
    found = []
    for item in cloud.api.pages("/messages", None, pageSort="desc", **query):
        if _level(item) <= _LEVELS[level]:
            found.append(item)
            if len(found) >= limit:
                break
    found.reverse()
    if cloud.as_json:
        return cloud.screen.json(found)
    for item in found:
        cloud.screen.out.print(line(item), soft_wrap=True)
    if not found:
        cloud.screen.say("no logs: does the shadow's control.logLvl ask for any?", "dim")


def _binary(cloud, device, start, end, path):
    query = {name: value for name, value in (("deviceId", device), ("start", start), ("end", end)) if value}
    answer = cloud.api.call("GET", "/binary-logs/url", params=query)
    url = answer.get("url") if isinstance(answer, dict) else None
    if not isinstance(url, str):
        raise CloudError("the service gives no address for the binary logs")
    data = cloud.api.download(url)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise CloudError(f"{path}: {error.strerror}") from error
    if cloud.as_json:
        return cloud.screen.json({"file": str(path), "bytes": len(data)})
    cloud.screen.say(f"{path}: {size(len(data))}", "green")


def _level(item):
    message = item.get("message")
    level = message.get("lvl") if isinstance(message, dict) else None
    return level if isinstance(level, int) else 4
