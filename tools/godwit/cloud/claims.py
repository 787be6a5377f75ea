"""`godwit cloud claim`, `claimed`, `unclaim`: whose a device is, by its attestation token (nrfcloud.md 13.3)."""

from pathlib import Path

import click

from . import bulk, doc, rows, times
from .api import part
from .command import command, confirm
from .errors import CloudError
from .screen import status
from .values import read_text

ONBOARDING_TAG = "nrf-cloud-onboarding"  # the tag of the service's own onboarding rule


@command()
@click.argument("token", required=False)
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="A file, one token a line.")
@click.option("--tag", "tags", multiple=True, help=f"A tag; rules go by it ({ONBOARDING_TAG}).")
@click.option("--dry-run", is_flag=True, help="Only ask whether it can be claimed.")
def claim(cloud, token, csv_file, tags, dry_run):
    """Claim the device that answered AT%ATTESTTOKEN with TOKEN (- reads it from stdin, @file from a file)."""
    if (token is None) == (csv_file is None):
        raise click.UsageError("TOKEN or --csv")
    if csv_file:
        if tags or dry_run:
            raise click.UsageError("--tag and --dry-run go with one TOKEN")
        return _many(cloud, csv_file)
    token = read_text(token, "token").strip().strip('"')
    if token.count(".") != 1 or any(c.isspace() for c in token):
        raise CloudError("not an attestation token: what AT%ATTESTTOKEN answers has two parts with a dot between")
    body = {"claimToken": token, "tags": list(tags)}
    api = cloud.provisioning
    if dry_run:
        answer = api.call("POST", "/claimed-devices", json=body, params={"dryrun": "true"})
    else:
        answer = api.call("POST", "/claimed-devices", json=body, makes="the claim (`godwit cloud claimed` shows it)")
    if cloud.as_json:
        return cloud.screen.json(answer if answer is not None else {"claimable": True})
    if dry_run:
        return cloud.screen.say("it can be claimed", "green")
    device = answer if isinstance(answer, dict) else {}
    cloud.screen.say(f"claimed {device.get('id', 'the device')}", "green")
    cloud.screen.fields(_fields(device))


@command()
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
def claimed(cloud, limit):
    """List claimed devices."""
    found = list(cloud.provisioning.pages("/claimed-devices", limit))
    if cloud.as_json:
        return cloud.screen.json(found)
    columns = ("device", "type", "status", "tags", "imei", "claimed")
    cloud.screen.table(columns, map(_row, found), "no claimed devices")


@command()
@click.argument("devices", nargs=-1, required=True, metavar="UUID...")
@click.option("--yes", is_flag=True, help="Do not ask.")
def unclaim(cloud, devices, yes):
    """Give up claimed devices: anybody with their token may claim them then."""
    confirm(yes, f"Give up {', '.join(devices)}?")
    for one in devices:
        cloud.provisioning.call("DELETE", f"/claimed-devices/{part(one)}")
        cloud.screen.say(f"{one} given up", "green")
    if cloud.as_json:
        cloud.screen.json({"unclaimed": list(devices)})


def _many(cloud, path):
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CloudError(f"{path}: {error.strerror}") from error
    tokens = [line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    if not 0 < len(tokens) <= rows.MAX_ROWS:
        raise CloudError(f"{path}: {len(tokens)} tokens, expected 1 to {rows.MAX_ROWS}")
    found = [rows.Row(line, token[:12] + "…") for line, token in enumerate(tokens, 1)]
    answer = cloud.provisioning.call(
        "POST", "/claimed-devices", content="\n".join(tokens) + "\n", headers={"Content-Type": "text/csv"},
        makes="the claims (`godwit cloud claimed` shows them)",
    )  # fmt: skip
    answer = answer if isinstance(answer, dict) else {}
    if isinstance(answer.get("bulkOpsRequestId"), str):
        state, stray = bulk.follow(cloud.provisioning, answer["bulkOpsRequestId"], found)
    else:
        failed = doc.objects(answer.get("failed"))
        state, stray = "FAILED" if failed else "SUCCEEDED", rows.place_errors(map(_failure, failed), found)
    return bulk.show(cloud, state, found, stray, "claimed")


def _failure(entry):
    """An entry of `failed`, {row, message}, in the form of the bulk operations' errors."""
    if isinstance(entry, dict) and isinstance(entry.get("row"), int):
        return f"[{entry['row']}]: {entry.get('message')}"
    return str(entry)


def _row(item):
    tags = ", ".join(doc.texts(item.get("tags")))
    when = times.show(item.get("claimedAt"))
    return item.get("id"), item.get("deviceType"), status(item.get("status")), tags, item.get("imei"), when


def _fields(device):
    names = ("deviceType", "firmwareId", "imei", "ownershipStatus", "status", "tags")
    return [(name, device.get(name)) for name in names]
