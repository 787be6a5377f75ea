"""`godwit cloud devices`: list, show, rename, tag, delete (nrfcloud.md 14.2)."""

import re

import click

from . import times
from .api import part
from .command import command, confirm
from .doc import obj, texts, words
from .errors import CloudError

_NAME = re.compile(r"[a-zA-Z0-9.@:#-]{1,128}")
_BOOKKEEPING = ("pairing", "nrfcloud_mqtt_topic_prefix")  # what the service itself tells a new device
_TAG = re.compile(r"[a-zA-Z0-9_.@:#-]{1,}")


@click.group()
def devices():
    """List, show, rename, tag and delete devices."""


@command(devices, "list")
@click.option("--name", help="Part of the name.")
@click.option("--tag", "tags", multiple=True, help="With one of these tags.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
def list_devices(cloud, limit, name, tags):
    """List devices."""
    query = {"deviceNameFuzzy": name, "tags": list(tags) or None, "includeState": "true"}
    found = list(cloud.api.pages("/devices", limit, **query))
    if cloud.as_json:
        return cloud.screen.json(found)
    columns = ("device", "name", "tags", "firmware", "modem", "updates", "changed", "waiting")
    cloud.screen.table(columns, map(_row, found), "no devices: add one with `godwit cloud onboard`")


@command(devices)
@click.argument("device")
def show(cloud, device):
    """Show one device; `godwit cloud shadow show` has its state."""
    found = fetch(cloud, device)
    if cloud.as_json:
        return cloud.screen.json(found)
    state, meta = obj(found, "state"), obj(found, "$meta")
    reported = obj(state, "reported", "device")
    cloud.screen.fields(
        [
            ("device", found.get("id")),
            ("name", found.get("name")),
            ("type", words(found, "type", "subType")),
            ("tags", ", ".join(texts(found.get("tags")))),
            ("onboarded", times.show(meta.get("createdAt"))),
            ("changed", times.show(meta.get("updatedAt"))),
            ("shadow version", version(found)),
            ("firmware", _app(found)),
            ("modem firmware", obj(found, "firmware").get("modem")),
            ("takes updates", ", ".join(_supports(found))),
            *obj(reported, "deviceInfo").items(),
            *obj(reported, "simInfo").items(),
            *obj(reported, "networkInfo").items(),
            ("waiting for it", ", ".join(obj(state, "delta"))),
        ]
    )


@command(devices)
@click.argument("device")
@click.argument("name")
def rename(cloud, device, name):
    """Give a device a friendly NAME."""
    if not _NAME.fullmatch(name):
        raise CloudError(f"name {name!r}: 1 to 128 of A-Z a-z 0-9 . @ : # -")
    cloud.api.call("PUT", f"/devices/{part(device)}/name", json=name)
    _done(cloud, {"deviceId": device, "name": name}, f"{device} is now called {name}")


@command(devices)
@click.argument("device")
@click.argument("tags", nargs=-1)
@click.option("--add", is_flag=True, help="Keep the tags that it has.")
@click.option("--remove", is_flag=True, help="Take these away, keep the others.")
@click.option("--clear", is_flag=True, help="Take all away.")
def tag(cloud, device, tags, add, remove, clear):
    """Set the TAGS of a device; they choose targets of updates."""
    if bool(tags) == clear or add + remove + clear > 1:
        raise click.UsageError("TAGS, with --add or --remove or neither; or --clear alone")
    for one in tags:
        if not _TAG.fullmatch(one):
            raise CloudError(f"tag {one!r}: of A-Z a-z 0-9 _ . @ : # -")
    wanted = list(dict.fromkeys(tags))
    if add or remove:
        present = texts(fetch(cloud, device).get("tags"))
        wanted = [one for one in present if one not in tags] if remove else list(dict.fromkeys([*present, *tags]))
    cloud.api.call("PUT", f"/devices/{part(device)}/tags", json=wanted)
    _done(cloud, {"deviceId": device, "tags": wanted}, f"{device}: {', '.join(wanted) or 'no tags'}")


@command(devices)
@click.argument("device", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(cloud, device, yes):
    """Delete devices from the account; messages and location history stay until they expire."""
    confirm(yes, f"Delete {', '.join(device)} from {cloud.base}?")
    for one in device:
        cloud.api.call("DELETE", f"/devices/{part(one)}")
        cloud.screen.say(f"{one} deleted", "green")
    if cloud.as_json:
        cloud.screen.json({"deleted": list(device)})


def fetch(cloud, device):
    """The device document, a dict. Raises CloudError."""
    return cloud.api.object("GET", f"/devices/{part(device)}")


def version(document):
    """The number that If-Match wants: $meta.version (UpdateDeviceState's own sample), or None."""
    found = obj(document, "$meta").get("version", obj(document, "state").get("version"))
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _row(document):
    state = obj(document, "state")
    firmware = obj(document, "firmware")
    name = document.get("name")
    return (
        document.get("id"),
        name if name != document.get("id") else None,
        ", ".join(texts(document.get("tags"))),
        _app(document),
        firmware.get("modem"),
        " ".join(_supports(document)),
        times.show(obj(document, "$meta").get("updatedAt")),
        ", ".join(key for key in obj(state, "delta") if key not in _BOOKKEEPING),
    )


def _app(document):
    app = obj(document, "firmware").get("app")
    if isinstance(app, dict):
        return words(app, "name", "version")
    return app


def _supports(document):
    return texts(obj(document, "firmware").get("supports"))


def _done(cloud, document, text):
    if cloud.as_json:
        cloud.screen.json(document)
    cloud.screen.say(text, "green")
