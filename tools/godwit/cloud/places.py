"""Where the service is and who we are: base addresses and the API key, checked before anything is sent.

nrfcloud.md 1 and 13.3: REST at https://api[.stage].nrfcloud.com/v1, provisioning at
https://api.provisioning[.stage].nrfcloud.com/v1; a twin serves both below one base.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
import sys
from pathlib import Path

import httpx

from .errors import CloudError

REAL_URL = "https://api.nrfcloud.com/v1"
_REAL = re.compile(r"api\.((?:[a-z]+\.)?nrfcloud\.com)")
_HOST = re.compile(r"[a-z0-9.:_-]+")
_KEY = re.compile(r"[\x21-\x7e]{1,4096}")


def base_url(text: str, plain_http: bool = False) -> str:
    """A base address without a slash at its end; `/v1` is added to one that has no path.

    CloudError when it is no address, or would carry the key unencrypted to another machine.
    """
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, TypeError) as error:
        raise CloudError(f"--url {text}: not an address: {error}") from error
    if url.userinfo:
        raise CloudError("--url: no user or password in it; the API key is what counts")
    if url.scheme not in ("http", "https") or not _HOST.fullmatch(url.host) or url.query or url.fragment:
        raise CloudError(f"--url {text}: expected https://host[:port]/v1")
    if url.scheme == "http" and not plain_http and not is_loopback(url.host):
        raise CloudError(f"--url {text}: the API key would travel unencrypted; use https, or --plain-http on a desk")
    path = url.path.rstrip("/") or "/v1"
    return str(url.copy_with(path=path))


def provisioning_url(base: str) -> str:
    """The provisioning service that belongs to a base address: its own host for the real one, else the same."""
    url = httpx.URL(base)
    found = _REAL.fullmatch(url.host)
    return str(url.copy_with(host=f"api.provisioning.{found[1]}")) if found else base


def is_real(base: str) -> bool:
    """Is this the real service (any stage of it)? It has no /twin."""
    host = httpx.URL(base).host
    return host == "nrfcloud.com" or host.endswith(".nrfcloud.com")


def is_loopback(host: str) -> bool:
    """Does a host name stand for this machine? Names are not looked up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def api_key(key: str | None, key_file: str | None) -> str:
    """The API key from an option, a file ("-": standard input) or neither. CloudError says how to give one."""
    if key_file and not key:
        key = _from_file(key_file)
    if not key:
        raise CloudError("no API key: set GODWIT_CLOUD_KEY or --key-file (nrfcloud.com, User Account, shows it)")
    if not _KEY.fullmatch(key):
        raise CloudError("the API key has characters that no key has: a space or a line end?")
    return key


def _from_file(name: str) -> str:
    if name == "-":
        return sys.stdin.readline().strip()
    path = Path(name).expanduser()
    try:
        with path.open(encoding="utf-8") as file:
            shared = os.fstat(file.fileno()).st_mode & (stat.S_IRGRP | stat.S_IROTH)
            text = file.read(8192).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CloudError(f"--key-file {name}: {getattr(error, 'strerror', None) or 'not a text file'}") from error
    if shared:
        print(f"warning: {name} can be read by others: chmod 600 {name}", file=sys.stderr)
    if not text:
        raise CloudError(f"--key-file {name}: empty")
    return text
