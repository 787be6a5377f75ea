"""`godwit bundle`: make a release. Compiles the firmware for a board, signs it, and packs it for each cloud.

nRF Cloud takes the zip (--zip); ThingsBoard and Exosite take the bundle as it is, and their forms want what --json,
or the end of the output, says: title, version, size, SHA-256. Called by cli.py.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path

import click

from . import appimage, keys, keys_command, selection
from . import bundle as packing
from .bundle import BundleError

_TRUST = "Key that nodes trust once they have confirmed this release, instead of theirs; up to 3 times."

_IMAGE = "ESP32 app image to pack instead: for boards with app partitions, where the firmware is frozen into it."


@click.command()
@click.option("--version", required=True, help="Version of the firmware, e.g. 1.1.0.")
@click.option("--sequence", required=True, type=click.IntRange(1, 2**32 - 1), help="Release number; must grow.")
@click.option("--board", default="unix", show_default=True, help="Folder below boards/.")
@click.option("--modem", type=click.Choice(selection.FAMILIES), help="Another modem family than the board's.")
@click.option("--image", "image_file", type=click.Path(path_type=Path), help=_IMAGE)
@click.option("--key", "key_file", required=True, type=click.Path(path_type=Path), help="RSA-3072 signing key, PEM.")
@click.option("--new-key", is_flag=True, help="Make the key first; refuses to overwrite one.")
@click.option("--trust", multiple=True, type=click.Path(path_type=Path), help=_TRUST)
@click.option("--min-from", default=0, help="Lowest release number that may update to this one.")
@click.option("--no-deflate", is_flag=True, help="Leave the payload as it is: half as many bytes again on the air.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Bundle to write.")
@click.option("--zip", "zip_file", type=click.Path(path_type=Path), help="Also write what nRF Cloud takes.")
@click.option("--json", "as_json", is_flag=True, help="Say what was made as a JSON document.")
def bundle(
    version, sequence, board, modem, image_file, key_file, new_key, trust, min_from, no_deflate, out, zip_file, as_json
):
    """Compile the firmware for a board, or take a whole ESP32 image, and pack it into a signed bundle."""
    if image_file and modem:
        raise BundleError("--image is the whole firmware: --modem says what goes into a compiled one")
    try:
        if new_key:
            keys.make_key(key_file)
        key = keys_command.open_key(key_file)
        packed = {"deflate": not no_deflate}
        if image_file:
            files, _ = appimage.files(image_file, board)
            packed = {"component": appimage.COMPONENT}
        else:
            files = packing.firmware_files(board, modem=modem)
        if trust:
            files[packing.TRUST_FILE] = keys.trust_list(trust)
        terms = {"version": version, "sequence": sequence, "device_class": packing.device_class(board)}
        image = packing.build_bundle(files, key=key, min_from=min_from, **packed, **terms)
        out.write_bytes(image)
        if zip_file:
            zip_file.write_bytes(packing.nrfcloud_zip(image, f"godwit-{board}", version))
    except (OSError, keys.KeyFileError) as error:
        raise BundleError(str(error)) from error
    _tell(about(image), files, out, zip_file, as_json)
    if trust and keys.modulus(key) not in files[packing.TRUST_FILE]:
        note = "nodes will not trust this release's own key any more: sign the next one with another"
        click.echo(f"note: {note}", err=True)


def about(image: bytes) -> dict:
    """What the forms of ThingsBoard and Exosite ask about a bundle, and what it says about itself."""
    doc, _, _, payload = packing.parse_bundle(image)
    return {
        "title": doc[4],
        "version": doc[3],
        "size": len(image),
        "checksum_algorithm": "SHA256",
        "checksum": hashlib.sha256(image).hexdigest(),
        "sequence": doc[2],
        "device_class": doc[4],
        "min_from": doc[5],
        "component": doc[6],
        "files": len(doc[11]),
        "unpacked": sum(size for _, size, _ in doc[11]),
        "payload": len(payload),
        "deflate": f"zlib {zlib.ZLIB_RUNTIME_VERSION}" if doc[12] & packing.FLAG_DEFLATE else None,
        "key_id": doc[13].hex(),
    }


def _tell(told: dict, files: dict[str, bytes], out: Path, zip_file: Path | None, as_json: bool) -> None:
    trusted = files.get(packing.TRUST_FILE, b"")
    told["trusts"] = [
        keys.key_id(trusted[at : at + keys.KEY_BYTES]).hex() for at in range(0, len(trusted), keys.KEY_BYTES)
    ]
    if as_json:
        places = {"file": str(out), "zip": str(zip_file) if zip_file else None}
        click.echo(json.dumps(told | places, indent=2))
        return
    what = f"{told['version']}, release {told['sequence']}, {told['device_class']}"
    size = f"{told['files']} files of {told['unpacked']} bytes"
    if told["deflate"]:
        size += f", deflated to {told['payload']} ({told['deflate']})"
    rows = [("bundle", f"{out}: {what}"), ("payload", size), ("signed by", f"key {told['key_id']}")]
    if told["trusts"]:
        rows.append(("trusts", "after it " + ", ".join(told["trusts"]) + ", nothing else"))
    rows += [("title", told["title"]), ("version", told["version"]), ("size", f"{told['size']} bytes")]
    rows.append(("SHA-256", told["checksum"]))
    if zip_file:
        rows.append(("nRF Cloud", f"godwit cloud firmware upload {zip_file}"))
    rows.append(("others", f"upload {out} itself; ThingsBoard asks for title, version and SHA-256"))
    for name, value in rows:
        click.echo(f"{name:<10} {value}")
