"""Which module may import which (design.md, "Direction of imports"): every arrow is a line here, all others fail.

A name stands for a top-level module or package of the device and everything below it; `cloud.base` and `modem.base`
are the contracts, which a task may know while it may not know who implements them.
"""

import ast
import sys

from tree import parsed, sources

_LEAVES = {"cbor", "clock", "es256", "log", "retry", "store"}
_CONTRACTS = {"cloud.base", "modem.base"}

# package of the device -> the packages of ours that it may import beside itself
ARROWS = {
    "cbor": set(),
    "clock": set(),
    "es256": set(),
    "retry": set(),
    "shadow": set(),
    "log": {"clock"},
    "store": {"log"},
    "jwt": {"es256"},
    "journal": {"log", "store"},
    "coap": {"clock", "log", "retry"},
    "at": {"log"},
    "gnss": {"cbor", "clock", "log", "store"},
    "net": {"at", "log", "retry"},
    "modem": {"at", "clock", "gnss", "log", "retry"},
    "fota": {"cbor", "log", "retry", "store"},
    "cloud": {"cbor", "clock", "coap", "gnss", "jwt", "log", "retry", "shadow"},
    "state": {"clock"},
    "config": {"log", "schema", "store"},
    "schema": {"log", "store"},
    "records": {"cbor", "clock", "log"},
    "logbook": {"clock"},
    "cold": set(),
    "errands": {"clock", "cloud.base", "coap", "cold", "log", "retry", "tasks"},
    "tasks": _LEAVES | _CONTRACTS | {"coap", "cold", "config", "fota", "journal", "records", "shadow", "state"},
    "boot": {"bootsel"},  # must start whatever the slots hold, so these stand alone
    "bootsel": {"bootsafe"},
    "bootsafe": {"bootsel"},
    "partboot": {"bootsafe", "bootsel", "fota"},  # frozen into each image, as they are
    "main": {"app", "boot", "bootsafe", "bootsel"},
    "board": {"at", "flashdev", "gnss", "log", "modempower", "net"},
    "flashdev": set(),
    "modempower": set(),
    "_boot": {"boot", "flashdev", "machine", "main", "modempower", "skip"},
    "machine": set(),
    "skip": set(),
    "mkflash": {"flashdev"},
    "life": None,
    "parts": None,
    "session": None,
    "app": None,  # the composition root knows everything
}

# Pure: bytes in, values out. Whatever touches a clock, a device or the scheduler is passed in or lives elsewhere.
PURE = ("cbor", "coap.codec", "coap.options", "coap.writer", "at.parser", "at.fields", "gnss.nmea", "gnss.agnss",
        "gnss.offline", "gnss.pgps", "gnss.walk", "gnss.date", "gnss.ubx", "gnss.ubx_need", "gnss.ubx_stream",
        "gnss.agnss_ubx", "gnss.agnss_nrf91", "shadow", "fota.image", "fota.manifest", "es256")  # fmt: skip
IMPURE = {"asyncio", "machine", "network", "os", "random", "select", "socket", "sys", "threading", "time", "tls", "vfs"}


def device_name(path):
    """Dotted module name of a device file as the device imports it, or None for a file that it does not import."""
    parts = list(path.with_suffix("").parts)
    if parts[0] == "boards":
        return parts[2] if len(parts) == 3 and parts[2] != "manifest" else None
    parts = parts[1:-1] if parts[-1] == "__init__" else parts[1:]
    return ".".join(parts) if parts and parts[-1] != "manifest" else None


def imports(path):
    """(line, dotted name) of everything that a file imports, at any depth; relative imports stay in their package."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.lineno, node.module
            for alias in node.names:
                yield node.lineno, node.module + "." + alias.name


def _may(name, imported, ours):
    package = name.split(".")[0]
    target = imported.split(".")[0]
    allowed = ARROWS[package]
    if target == "machine":
        return name in ("board", "boot", "bootsafe", "_boot")
    if target == package or target not in ours or allowed is None:
        return True
    return target in allowed or imported in allowed or imported.rpartition(".")[0] in allowed


def _device_problems():
    found = {path: device_name(path) for path in sources("lib", "firmware", "boards")}
    ours = {name.split(".")[0] for name in found.values() if name} | set(ARROWS)
    for path, name in found.items():
        if name is None:
            continue
        if name.split(".")[0] not in ARROWS:
            yield path, 1, f"new package {name}: say in tools/lint/direction.py what it may import"
            continue
        pure = any(name == one or name.startswith(one + ".") for one in PURE)
        for line, imported in imports(path):
            root = imported.split(".")[0]
            # `from cloud.base import X` also yields cloud.base.X: the first form decides for packages with contracts.
            if not _may(name, imported, ours):
                yield path, line, f"{name} must not import {imported}"
            if pure and root in IMPURE:
                yield path, line, f"{name} is pure and must not import {root}"


def _host_problems():
    device = {name.split(".")[0] for name in map(device_name, sources("lib", "firmware", "boards")) if name}
    on_device = ("tests/unit", "tests/harness", "tests/device", "tests/faults/device", "tools/bench/device_")
    for path in sources("tools", "tests"):
        if str(path).startswith(on_device) or path.stem.endswith("_device"):
            continue  # *_device.py, device_*.py: what an integration test or the bench runs under MicroPython
        siblings = {other.stem for other in sources("tools", "tests") if other.parent == path.parent}
        for line, imported in imports(path):
            root = imported.split(".")[0]
            if root in device and root not in siblings and root not in sys.stdlib_module_names:
                yield path, line, f"host code must not import device code ({imported}): both ends could share a mistake"


def problems():
    """(path, line, text) of each import against the direction."""
    yield from _device_problems()
    yield from _host_problems()
