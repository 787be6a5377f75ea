"""The file system of BG95 in AT (modems.md 2C.5): upload after CONNECT, list, read back, delete."""

from godwit.modem.grammar import CmeError
from godwit.modem.quectel.format import checksum
from godwit.modem.registry import Block, Registry, Reply

COMMANDS = Registry()
command = COMMANDS.command

STORAGE = "UFS:"
_NOT_FOUND, _BAD_NAME, _EXISTS, _FULL, _TIMEOUT = 405, 406, 407, 403, 421
_CAPACITY = 262144
_NAME_MAX = 80


def path_of(name):
    """Name in the modem's NVM of a file as the host calls it; `UFS:` before it changes nothing. Raises CmeError."""
    name = name.removeprefix(STORAGE)
    if not 0 < len(name) <= _NAME_MAX or set(name) & set('"*:\\\r\n'):
        raise CmeError(_BAD_NAME)
    return name


def content(dev, name):
    """Bytes of a stored file, or None."""
    return dev.core.nvs.read_file(path_of(name))


def _used(dev):
    return sum(len(dev.core.nvs.read_file(name)) for name in dev.core.nvs.file_names())


@command("+QFUPL", "set")
async def _upload(dev, params):
    name, size = path_of(params.text(0)), params.number(1, 1, _CAPACITY)
    window = params.number(2, 1, 65535, default=5)
    if dev.core.nvs.read_file(name) is not None:
        raise CmeError(_EXISTS)
    if _used(dev) + size > _CAPACITY:
        raise CmeError(_FULL)
    data = await dev.prompt("\r\nCONNECT\r\n", size, window)
    dev.core.nvs.write_file(name, data)
    dev.core.log.event("file", file=name, size=size)
    return f"+QFUPL: {size},{checksum(data):x}"


@command("+QFLST", "set", "exec")
def _list(dev, params):
    pattern = params.text(0, default="*")
    names = dev.core.nvs.file_names()
    if pattern not in ("*", STORAGE, STORAGE + "*"):
        wanted = path_of(pattern)
        names = [name for name in names if name == wanted]
        if not names:
            raise CmeError(_NOT_FOUND)
    return [f'+QFLST: "{name}",{len(dev.core.nvs.read_file(name))}' for name in names]


@command("+QFLDS", "set", "exec")
def _space(dev, params):
    params.text(0, default="UFS")
    return f"+QFLDS: {_CAPACITY - _used(dev)},{_CAPACITY}"


@command("+QFDWL", "set")
def _download(dev, params):
    data = content(dev, params.text(0))
    if data is None:
        raise CmeError(_NOT_FOUND)
    return Reply(raw=Block("CONNECT\r\n", data, f"\r\n+QFDWL: {len(data)},{checksum(data):x}\r\n".encode()))


@command("+QFDEL", "set")
def _delete(dev, params):
    if params.text(0) == "*":
        for name in dev.core.nvs.file_names():
            dev.core.nvs.delete_file(name)
        return
    if not dev.core.nvs.delete_file(path_of(params.text(0))):
        raise CmeError(_NOT_FOUND)
