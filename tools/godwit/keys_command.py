"""`godwit keys`: make, show, publish and rotate the keys that updates are signed with, and check a bundle.

A private key is never printed, written only where it was asked for (mode 0600, never over another file), and may be
encrypted: the passphrase comes from GODWIT_KEY_PASSPHRASE or is asked for on a terminal. Called by cli.py.
"""

from __future__ import annotations

import hashlib
import io
import os
import shlex
import stat
import sys
import zipfile
from pathlib import Path

import click
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa

from . import bundle as packing
from . import keys

_FILE = click.Path(path_type=Path, dir_okay=False)
_encrypt = click.option("--encrypt", is_flag=True, help=f"Encrypt it: asks, unless {keys.PASSPHRASE} is set.")


class KeysError(click.ClickException):
    """A key that cannot be made or used, in one line."""


@click.group("keys")
def group():
    """The keys that updates are signed with: make, show, publish, rotate; check a bundle."""


@group.command()
@click.argument("file", type=_FILE)
@_encrypt
def make(file, encrypt):
    """Make a signing key in FILE."""
    key = _make(file, encrypt)
    click.echo(f"{file}: key {_id(keys.modulus(key))}. Who has this file can update every node that trusts it.")


@group.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option("--pem", is_flag=True, help="As PEM, for openssl and others.")
def show(files, pem):
    """Show whose keys are in FILES: private, public, or an update.pub."""
    for file in files:
        kind = _kind(file)
        for one in _moduli(file):
            if pem:
                click.echo(keys.public_pem(keys.public_key(one)).decode(), nl=False)
            else:
                click.echo(f"{_id(one)}  {kind:<7}  RSA-{keys.KEY_BITS}  {hashlib.sha256(one).hexdigest()}  {file}")


@group.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option("--out", required=True, type=_FILE, help="File to write: the node's /data/update.pub.")
def public(files, out):
    """Write the public halves of the keys in FILES for the factory; a node trusts each of them."""
    try:
        trusted = keys.trust_list(files)
        keys.write_new(out, trusted)
    except (OSError, keys.KeyFileError) as error:
        raise _failed(out, error) from error
    ids = ", ".join(_id(trusted[at : at + keys.KEY_BYTES]) for at in range(0, len(trusted), keys.KEY_BYTES))
    click.echo(f"{out}: {ids}")


@group.command()
@click.argument("old", type=_FILE)
@click.option("--to", "new", required=True, type=_FILE, help="File for the new key, which is made.")
@_encrypt
def rotate(old, new, encrypt):
    """Make a new key, and say which two releases bring nodes from OLD to it."""
    try:
        before = keys.modulus(open_key(old))
    except keys.KeyFileError as error:
        raise KeysError(str(error)) from error
    after = keys.modulus(_make(new, encrypt))
    old, new = shlex.quote(str(old)), shlex.quote(str(new))
    click.echo(
        f"""{new}: key {_id(after)}, to take the place of {_id(before)}.

1. A release signed with the old key, after which nodes trust both:
   godwit bundle --key {old} --trust {new} --trust {old} --version ... --sequence N --out ...
2. When every node has confirmed it, one signed with the new key, after which they trust nothing else:
   godwit bundle --key {new} --trust {new} --min-from N --version ... --sequence N+1 --out ...

A node keeps the old keys until it has confirmed the release that carries the new ones. One that has missed
release 1 refuses release 2 (key) and still takes release 1: keep both on the cloud, and keep the old key until then.
Nodes that leave the factory from now on: godwit keys public {new} --out update.pub"""
    )


@group.command()
@click.argument("bundle", type=_FILE)
@click.option("--public", "trusted", required=True, type=_FILE, help="Keys to trust: update.pub, or PEM.")
def verify(bundle, trusted):
    """Check a BUNDLE (or the zip for nRF Cloud) as a node that trusts these keys would; exit status 1 when not good."""
    moduli = _moduli(trusted)
    doc, manifest, signature, payload = packing.parse_bundle(_image(bundle))
    found = [one for one in moduli if keys.key_id(one) == doc.get(13)]
    if not found:
        raise KeysError(f"{bundle}: signed with a key that is not in {trusted}")
    try:
        keys.verify(keys.public_key(found[0]), manifest, signature)
    except InvalidSignature as error:
        raise KeysError(f"{bundle}: the signature is not of key {_id(found[0])}") from error
    files = packing.bundle_files(doc, payload)
    click.echo(f"{bundle}: good. {doc[3]}, release {doc[2]}, {doc[4]}, {len(files)} files, by key {_id(found[0])}")


def open_key(file: Path) -> rsa.RSAPrivateKey:
    """The signing key in `file`; asks for its passphrase where somebody can answer. KeyFileError."""
    try:
        return keys.load_key(file)
    except keys.LockedError:
        if not sys.stdin.isatty():
            raise
        return keys.load_key(file, click.prompt(f"Passphrase of {file}", hide_input=True, err=True).encode())


def _make(file: Path, encrypt: bool) -> rsa.RSAPrivateKey:
    password = None
    if encrypt:
        password = os.environ.get(keys.PASSPHRASE, "").encode()
        if not password:
            if not sys.stdin.isatty():
                raise KeysError(f"{keys.PASSPHRASE} holds no passphrase, and there is no terminal to ask on")
            password = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True).encode()
    try:
        return keys.make_key(file, password)
    except OSError as error:
        raise _failed(file, error) from error


def _moduli(file: Path) -> list[bytes]:
    try:
        try:
            return keys.load_moduli(file)
        except keys.LockedError:
            return [keys.modulus(open_key(file))]
    except keys.KeyFileError as error:
        raise KeysError(str(error)) from error


def _kind(file: Path) -> str:
    """What a file is; a private key that others can read is mentioned."""
    try:
        private = b"PRIVATE KEY-----" in file.read_bytes()
        if private and file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            click.echo(f"note: others can read {file}: chmod 600 {shlex.quote(str(file))}", err=True)
    except OSError as error:
        raise _failed(file, error) from error
    return "private" if private else "public"


def _image(file: Path) -> bytes:
    """The bundle in a file: the file itself, or the only .bin of a zip."""
    try:
        raw = file.read_bytes()
        if not raw.startswith(b"PK"):
            return raw
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            names = [name for name in archive.namelist() if name.endswith(".bin")]
            if len(names) != 1:
                raise KeysError(f"{file}: {len(names)} .bin files in the zip, not one")
            return archive.read(names[0])
    except OSError as error:
        raise _failed(file, error) from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError) as error:
        raise KeysError(f"{file}: a damaged zip file: {error}") from error


def _id(modulus: bytes) -> str:
    return keys.key_id(modulus).hex()


def _failed(file: Path, error: Exception) -> KeysError:
    if isinstance(error, FileExistsError):
        return KeysError(f"{file} is there already; nothing is overwritten")
    return KeysError(f"{file}: {error.strerror}" if isinstance(error, OSError) else str(error))
