"""`godwit cloud firmware`: upload, list, delete bundles (nrfcloud.md 14.2)."""

import click

from . import package, times
from .api import part
from .command import command, confirm
from .screen import size


@click.group()
def firmware():
    """Upload, list and delete firmware bundles."""


@command(firmware)
@click.argument("bundle", type=click.Path(dir_okay=False))
@click.option("--version", help="Version to write into the manifest (Zephyr's zip has none).")
@click.option("--name", help="Name to write into the manifest.")
def upload(cloud, bundle, version, name):
    """Upload a BUNDLE.zip: what `godwit bundle --zip` or Zephyr's build makes. Prints its bundle id."""
    data, manifest = package.read(bundle, version, name)
    headers = {"Content-Type": "application/zip"}
    if cloud.screen.live:
        with cloud.screen.out.status(f"sending {size(len(data))} ..."):
            answer = cloud.api.call("POST", "/firmwares", content=data, headers=headers, makes="the bundle")
    else:
        answer = cloud.api.call("POST", "/firmwares", content=data, headers=headers, makes="the bundle")
    uris = answer.get("uris") if isinstance(answer, dict) else None
    bundle_id = package.bundle_id(uris)
    if cloud.as_json:
        return cloud.screen.json({"bundleId": bundle_id, "version": manifest["fwversion"], "uris": uris})
    cloud.screen.fields(
        [
            ("bundle id", bundle_id),
            ("version", manifest["fwversion"]),
            ("name", manifest.get("name")),
            ("files", ", ".join(f"{entry['file']} ({size(entry['size'])})" for entry in manifest["files"])),
            ("sent", size(len(data))),
        ]
    )


@command(firmware, "list")
@click.option("--modem", is_flag=True, help="Modem firmware, which Nordic provides.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
def list_firmware(cloud, modem, limit):
    """List bundles."""
    found = list(cloud.api.pages("/firmwares", limit, modemOnly="true" if modem else None))
    if cloud.as_json:
        return cloud.screen.json(found)
    columns = ("bundle id", "type", "version", "name", "size>", "files", "uploaded")
    cloud.screen.table(columns, map(_row, found), "no bundles")


@command(firmware)
@click.argument("bundle_ids", nargs=-1, required=True, metavar="BUNDLE_ID...")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(cloud, bundle_ids, yes):
    """Delete bundles. Jobs that devices have not finished lose their files."""
    confirm(yes, f"Delete {', '.join(bundle_ids)}?")
    for one in bundle_ids:
        cloud.api.call("DELETE", f"/firmwares/{part(one)}")
        cloud.screen.say(f"{one} deleted", "green")
    if cloud.as_json:
        cloud.screen.json({"deleted": list(bundle_ids)})


def _row(item):
    files = item.get("filenames")
    return (
        item.get("bundleId"),
        item.get("type"),
        item.get("version"),
        item.get("name"),
        size(item.get("size")),
        ", ".join(map(str, files)) if isinstance(files, list) else files,
        times.show(item.get("lastModified")),
    )
