"""`godwit cloud onboard`: devices into the account, by certificate, public key, a key made here, or a CSV file.

A certificate goes to OnboardDevice, a public key as a CSV of one row to OnboardDevices (the JSON call takes
certificates only), a replacement to RegisterCertificates or RegisterPublicKeys (nrfcloud.md 14.2).
"""

from pathlib import Path

import click

from . import bulk, rows
from .api import part
from .command import command
from .errors import CloudError

_TYPES = ("APP", "MODEM", "BOOT", "SOFTDEVICE", "BOOTLOADER", "MDM_FULL", "SMP", "CUSTOM")
_FILE = click.Path(dir_okay=False, path_type=Path)


@command()
@click.argument("device", required=False)
@click.option("--certificate", type=_FILE, help="Its certificate, PEM.")
@click.option("--public-key", type=_FILE, help="Its public key, PEM.")
@click.option("--generate", is_flag=True, help="Make a P-256 key here: DEVICE.key (0600) and DEVICE.pub.")
@click.option("--directory", type=click.Path(file_okay=False, path_type=Path), default=".", help="Where to make it.")
@click.option("--csv", "csv_file", type=_FILE, help="Many devices: OnboardDevices' CSV, at most 1000 rows.")
@click.option("--replace", is_flag=True, help="The device is there already: give it this key or certificate.")
@click.option("--sub-type", default="", help="Own device type.")
@click.option("--tag", "tags", multiple=True, help="A tag; may be repeated.")
@click.option("--firmware-type", "types", multiple=True, type=click.Choice(_TYPES), help="Updates that it can take.")
def onboard(cloud, device, certificate, public_key, generate, directory, csv_file, replace, sub_type, tags, types):
    """Add DEVICE to the account, or the devices of a CSV file."""
    ways = [certificate, public_key, generate or None, csv_file]
    if sum(way is not None for way in ways) != 1:
        raise click.UsageError("exactly one of --certificate, --public-key, --generate and --csv")
    if csv_file:
        if device or replace or sub_type or tags or types:
            raise click.UsageError("with --csv, devices and what belongs to them are in the file")
        return _csv(cloud, csv_file)
    if not device:
        raise click.UsageError("which device? (an id like nrf-351358811124484 or a UUID)")
    rows.check_device_id(device)
    if replace and (sub_type or tags or types):
        raise click.UsageError("--replace changes the key only")
    from . import keyfiles

    files = []
    if certificate:
        pem, kind = keyfiles.read_pem(certificate, "certificate"), "certificate"
    elif public_key:
        pem, kind = keyfiles.read_pem(public_key, "public key"), "key"
    else:
        cloud.screen, cloud.api  # noqa: B018 - a missing API key is told before a key is made
        (pem, files), kind = keyfiles.generate(directory, device), "key"
        cloud.screen.note(f"made {files[0]} (keep it secret: it goes to the device) and {files[1].name}")
    if replace:
        path = "/devices/certificates" if kind == "certificate" else "/devices/public-keys"
        return _one(cloud, device, path, rows.key_row(device, pem), files)
    if kind == "key":
        return _one(cloud, device, "/devices", rows.one_row(device, pem, sub_type, tags, types), files)
    return _certificate(cloud, device, pem, sub_type, tags, types)


def _certificate(cloud, device, pem, sub_type, tags, types):
    body = {"certificate": pem}
    for name, value in (("subType", sub_type), ("tags", list(tags)), ("supportedFirmwareTypes", list(types))):
        if value:
            body[name] = value
    answer = cloud.api.call("POST", f"/devices/{part(device)}", json=body, makes="the device")
    if cloud.as_json:
        cloud.screen.json(answer if isinstance(answer, dict) else {"id": device})
    cloud.screen.say(f"{device} onboarded", "green")
    return 0


def _one(cloud, device, path, data, files):
    found = [rows.Row(1, device)]
    try:
        status, stray = bulk.send(cloud, path, data, found)
    except CloudError as error:
        if files:
            raise CloudError(f"{error.message}. The key stays: repeat with --public-key {files[1]}") from error
        raise
    return bulk.show(cloud, status, found, stray)


def _csv(cloud, path):
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CloudError(f"{path}: {error.strerror}") from error
    found = rows.read(data)
    if any(row.problem for row in found):
        bulk.show(cloud, "NOT SENT", found, [])
        return 1
    status, stray = bulk.send(cloud, "/devices", data, found)
    return bulk.show(cloud, status, found, stray)
