"""The modem's NVM: credentials by security tag, files, settings, and the factory identity key.

One JSON file in the --nvs directory, replaced atomically; without a directory everything lives in RAM.
%CMNG's rules on top of it: writes only while LTE is off (checked by the command), 513 not found, secrets unreadable.
"""

import copy
import hashlib
import json
import os
import pathlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT_CA, CLIENT_CERT, CLIENT_KEY, PSK, PSK_ID, PUBLIC_KEY = range(6)
READABLE = (ROOT_CA, CLIENT_CERT, PUBLIC_KEY)
TYPES = range(11)


class Nvs:
    """Load once, write through."""

    def __init__(self, directory=None):
        self._path = None
        self._data = {"credentials": {}, "settings": {}, "identity": None, "files": {}, "values": {}}
        if directory is not None:
            folder = pathlib.Path(directory)
            folder.mkdir(parents=True, exist_ok=True)
            self._path = folder / "nvm.json"
            if self._path.exists():
                self._data.update(json.loads(self._path.read_text()))
        if self._data["identity"] is None:
            key = ec.generate_private_key(ec.SECP256R1())
            self._data["identity"] = private_pem(key)
            self._write()

    # credentials

    def put(self, tag, kind, content):
        """Store one credential."""
        self._data["credentials"].setdefault(str(tag), {})[str(kind)] = content
        self._write()

    def get(self, tag, kind):
        """Content, or None."""
        return self._data["credentials"].get(str(tag), {}).get(str(kind))

    def delete(self, tag, kind):
        """True when there was one."""
        entry = self._data["credentials"].get(str(tag), {})
        if entry.pop(str(kind), None) is None:
            return False
        if not entry:
            del self._data["credentials"][str(tag)]
        self._write()
        return True

    def listing(self, tag=None, kind=None):
        """Sorted (tag, type, sha256 hex) of what is stored."""
        rows = [(int(t), int(k), hashlib.sha256(content.encode()).hexdigest())
                for t, entry in self._data["credentials"].items() for k, content in entry.items()]
        return sorted(r for r in rows if tag in (None, r[0]) and kind in (None, r[1]))

    def identity_key(self):
        """The factory device identity key."""
        return load_private(self._data["identity"])

    # files (latin-1 text stands for bytes)

    def write_file(self, name, data):
        """Store a file."""
        self._data["files"][name] = data.decode("latin-1")
        self._write()

    def read_file(self, name):
        """Its bytes, or None."""
        content = self._data["files"].get(name)
        return None if content is None else content.encode("latin-1")

    def delete_file(self, name):
        """True when there was one."""
        was = self._data["files"].pop(name, None) is not None
        if was:
            self._write()
        return was

    def file_names(self):
        """Sorted names."""
        return sorted(self._data["files"])

    # small things that are neither settings nor files

    def value(self, name, default):
        """What keep() kept, or `default`."""
        return self._data["values"].get(name, default)

    def keep(self, name, value):
        """Keep a value over power cuts."""
        self._data["values"][name] = value
        self._write()

    # settings

    def settings(self, defaults):
        """What a boot finds: the stored settings over the factory ones."""
        return {**copy.deepcopy(defaults), **copy.deepcopy(self._data["settings"])}

    def save_settings(self, settings):
        """Keep the settings over a power cut."""
        self._data["settings"] = copy.deepcopy(settings)
        self._write()

    def _write(self):
        if self._path is None:
            return
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self._data, indent=1))
        os.replace(temporary, self._path)


def private_pem(key):
    """PKCS#8 PEM text of a private key."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption()).decode()


def public_pem(key):
    """SubjectPublicKeyInfo PEM text of a private key's other half."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def load_private(pem):
    """P-256 private key from PEM text. Raises ValueError for anything else."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), None)
    except TypeError as err:
        raise ValueError("encrypted key") from err
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("not a P-256 key")
    return key
