"""SIM7080: its file system and its download to a file (modems.md 2B.5, 2B.7)."""

import asyncio
import urllib.parse

from godwit.modem.grammar import CommandError
from godwit.modem.simcom.registry import Block, Reply, command

_FOLDERS = {"custapp": 0, "fota": 1, "datatx": 2, "customer": 3}
_WRITE_MAX, _NAME_MAX, _SPACE = 10240, 230, 3_000_000
_HTTP_S = 10.0
_NO_NETWORK, _NO_NAME, _NOT_HTTP = 601, 603, 600


def _path(dev, params):
    """Folder and name, while the file system is open."""
    name = params.text(1)
    if not dev.files_open or not 0 < len(name) <= _NAME_MAX:
        raise CommandError
    return f"{params.number(0, 0, 3)}/{name}"


@command("+CFSINIT", "exec")
def _begin(dev, params):
    if dev.files_open:
        raise CommandError
    dev.files_open = True


@command("+CFSTERM", "exec")
def _end(dev, params):
    if not dev.files_open:
        raise CommandError
    dev.files_open = False


@command("+CFSWFILE", "set")
async def _write(dev, params):
    path, append = _path(dev, params), params.number(2, 0, 1)
    size, window_ms = params.number(3, 1, _WRITE_MAX), params.number(4, 100, 10000)
    data = await dev.prompt("\r\nDOWNLOAD\r\n", size, window_ms / 1000)
    old = (dev.core.nvs.read_file(path) or b"") if append else b""
    await dev.core.clock.sleep(dev.core.timing["flash"])
    dev.core.nvs.write_file(path, old + data)
    dev.core.log.event("file", path=path, size=len(old) + len(data))


@command("+CFSRFILE", "set")
def _read(dev, params):
    path, whole = _path(dev, params), params.number(2, 0, 1) == 0
    size, start = params.number(3, 1, _WRITE_MAX), params.number(4, 0, default=0)
    data = dev.core.nvs.read_file(path)
    if data is None:
        raise CommandError
    start = 0 if whole else start
    return Reply(raw=Block("+CFSRFILE: {n}\r\n", data[start : start + size]))


@command("+CFSGFIS", "set")
def _size(dev, params):
    data = dev.core.nvs.read_file(_path(dev, params))
    if data is None:
        raise CommandError
    return f"+CFSGFIS: {len(data)}"


@command("+CFSDFILE", "set")
def _delete(dev, params):
    if not dev.core.nvs.delete_file(_path(dev, params)):
        raise CommandError


@command("+CFSGFRS", "read")
def _free(dev, params):
    used = sum(len(dev.core.nvs.read_file(name)) for name in dev.core.nvs.file_names())
    return f"+CFSGFRS: {_SPACE - used}"


@command("+HTTPTOFS", "set")
def _download(dev, params):
    url, path = urllib.parse.urlsplit(params.text(0)), params.text(1).split("/")
    if url.scheme != "http" or not url.hostname or len(path) != 3 or path[1] not in _FOLDERS or not path[2]:
        raise CommandError
    if not dev.core.radio.pdn_up:
        raise CommandError

    async def work():
        status, body = await _fetch(dev, url)
        if status == 200:
            dev.core.nvs.write_file(f"{_FOLDERS[path[1]]}/{path[2]}", body)
        dev.announce(f"+HTTPTOFS: {status},{len(body)}")

    dev.core.spawn(work())


async def _fetch(dev, url):
    """(status, body): a URL that --file has filled, or a real server behind --resolve."""
    core = dev.core
    stored = core.nvs.read_file(url.geturl())
    try:
        address = await core.net.resolve(url.hostname)
    except OSError:
        address = None
    if stored is not None:
        core.log.count("bytes_down", len(stored))
        return 200, stored
    target = core.net.resolver.target(address, url.port or 80) if address else None
    if target is None:
        return (_NO_NETWORK if address else _NO_NAME), b""
    try:
        async with asyncio.timeout(_HTTP_S):
            status, body = await _get(target, url)
    except (OSError, ValueError, TimeoutError):
        return _NOT_HTTP, b""
    core.log.count("bytes_down", len(body))
    return status, body if status == 200 else b""


async def _get(target, url):
    reader, writer = await asyncio.open_connection(*target)
    try:
        request = f"GET {url.path or '/'} HTTP/1.0\r\nHost: {url.hostname}\r\n\r\n"
        writer.write(request.encode())
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), body
    except IndexError as err:
        raise ValueError("not HTTP") from err
    finally:
        writer.close()
