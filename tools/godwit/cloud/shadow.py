"""`godwit cloud shadow`: show, patch, delete keys (nrfcloud.md 7 and 14.2).

A change carries the version it was made from (If-Match). When somebody else changed the shadow meanwhile (409), it is
sent again only if what it touches is still as it was; else the operator decides.
"""

import json

import click

from . import shadow_view, tree
from .api import part
from .command import command
from .devices import fetch, version
from .doc import obj
from .errors import CloudError
from .values import load, read_text

_TRIES = 5
_CONFLICT = (409, 412)
_DEVICE_KEYS = ("pairing", "nrfcloud_mqtt_topic_prefix")


@click.group()
def shadow():
    """Show, patch and clean a device's shadow."""


@command(shadow)
@click.argument("device")
@click.option("--path", "text", help="Only what is below: config, config.gnss, /config.")
@click.option("--pending", is_flag=True, help="Only what the device has not taken over.")
def show(cloud, device, text, pending):
    """Show desired, reported and pending values side by side."""
    document = fetch(cloud, device)
    state = obj(document, "state")
    below = tree.path(text.strip("/") and text) if text and text.strip("/") else ()
    if below and below[0] in ("state", "desired", "reported", "delta"):
        raise CloudError(f"--path {text}: a path within the sections, such as config: all of them are shown")
    if pending:
        delta = obj(state, "delta")
        state = {"desired": delta, "delta": delta, "metadata": obj(state, "metadata")}
    if cloud.as_json:
        sections = {name: tree.at(obj(state, name), below) for name in ("desired", "reported", "delta")}
        found = {name: value for name, value in sections.items() if value is not tree.ABSENT}
        return cloud.screen.json({"deviceId": device, "version": version(document), **found})
    waiting = shadow_view.pending(state)
    words = f"{waiting} pending" if waiting else "nothing pending"
    cloud.screen.say(f"{device}  version {version(document)}  {words}", "bold")
    cloud.screen.out.print(shadow_view.table(state, below))


@command(shadow)
@click.argument("device")
@click.argument("changes", nargs=-1, required=True)
@click.option("--reported", is_flag=True, help="Change reported in place of desired (to repair; devices do that).")
@click.option("--force", is_flag=True, help="Whoever changed it meanwhile: ours wins (no If-Match).")
def patch(cloud, device, changes, reported, force):
    """Merge CHANGES into desired: key=value pairs, a JSON object, @file, or - for stdin.

    `godwit cloud shadow patch nrf-1 config.interval=60 control.alertsEn=true`; a value is JSON, else a text; null
    deletes the key (of this section; `shadow delete` cleans both).
    """
    section = "reported" if reported else "desired"
    merged = _parse(changes)
    if section == "desired" and any(key in merged for key in _DEVICE_KEYS):
        cloud.screen.note("pairing and the topic prefix are the service's own: devices may lose their way")
    return _change(cloud, device, {section: merged}, force)


@command(shadow)
@click.argument("device")
@click.argument("keys", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Whoever changed it meanwhile: ours wins (no If-Match).")
def delete(cloud, device, keys, force):
    """Delete KEYS from desired and reported: a key that stays in one of them comes back (null in both)."""
    gone = {}
    for key in keys:
        tree.merge_in(gone, tree.path(key), None)
    return _change(cloud, device, {"desired": gone, "reported": gone}, force)


def _parse(changes):
    if len(changes) == 1 and (changes[0].lstrip().startswith("{") or changes[0] == "-" or changes[0].startswith("@")):
        value = load(read_text(changes[0], "changes"), "the change")
        if not isinstance(value, dict) or not value:
            raise CloudError("a change is a JSON object that is not empty")
        return value
    merged = {}
    for change in changes:
        tree.merge_in(merged, *tree.assignment(change))
    return merged


def _change(cloud, device, changes, force):
    """PATCH with If-Match until it is in, or somebody else's change is in the way."""
    path = f"/devices/{part(device)}/state"
    if force:
        cloud.api.call("PATCH", path, json=changes)
        return _tell(cloud, device, changes, None)
    first = document = fetch(cloud, device)
    for _ in range(_TRIES):
        number = version(document)
        headers = {} if number is None else {"If-Match": str(number)}
        try:
            cloud.api.call("PATCH", path, json=changes, headers=headers)
            return _tell(cloud, device, changes, number)
        except CloudError as error:
            if error.status not in _CONFLICT:
                raise
        document = fetch(cloud, device)
        if _reached(document, changes):
            return _tell(cloud, device, changes, version(document))  # the answer to our own was lost
        _refuse_conflict(first, document, changes)
        cloud.screen.note(f"the shadow changed meanwhile (version {number} to {version(document)}), elsewhere: again")
    raise CloudError(f"{device}: the shadow changes all the time; --force writes without asking", 409)


def _reached(document, changes):
    state = obj(document, "state")
    return all(tree.reached(obj(state, section), patch) for section, patch in changes.items())


def _refuse_conflict(before, after, changes):
    for section, patch in changes.items():
        old, new = (obj(one, "state", section) for one in (before, after))
        names = [".".join(keys) for keys in tree.touched(old, new, patch)]
        if names:
            text = f"conflict (409): {section} {', '.join(names)} was changed by somebody else meanwhile"
            raise CloudError(f"{text}; look at it, then repeat or use --force", 409)


def _tell(cloud, device, changes, number):
    if cloud.as_json:
        return cloud.screen.json({"deviceId": device, "version": number, **changes})
    for section, patch in changes.items():
        for keys, value in tree.leaves(patch):
            what = "deleted" if value is None else f"= {json.dumps(value, ensure_ascii=False)}"
            cloud.screen.say(f"{section} {'.'.join(keys)} {what}", "green")
    cloud.screen.say(f"{device} takes it over when it asks next", "dim")
    return 0
