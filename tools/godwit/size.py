"""What the firmware takes: flash of its .mpy files, heap of its code, interned names. `godwit size`, `make size`.

The flash is what `godwit bundle` would ship. The heap is measured, not computed: a MicroPython of the board's word size
imports the same files one by one, dependencies first, and says after each what is in use once the garbage is gone.
What `cold.COLD` names is loaded when its time comes and dropped after; everything else stays. The sources are read
with ast; nothing of the device is imported here. The names of a module stay in the heap when its code goes, in tables
that double, so they are counted apart: what is left for each module does not depend on what came before it.
Buffers and objects that the running node makes come on top; they show in the peak of a day.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from . import bundle, keys, selection
from .places import BUILD, REPO
from .squeeze import module_name
from .unname import cold_modules

BOARD = "unix"
MOST_NAMES = 1260  # 20 + 40 + .. + 640: with one more, MicroPython adds a table of 1280
FACTORY, FROZEN = "factory", "asyncio"
DAY_COMMAND = 'make run ARGS="--bits 32 --heap 160k"'
_ASYNCIO = ("asyncio", "asyncio.event", "asyncio.funcs", "asyncio.lock", "asyncio.stream")  # in the interpreter
_BACKENDS = ("modem.{0}.endpoint", "modem.{0}", "cloud.nrfcloud")  # app.py loads them by the names in the settings
_FAMILY = "nrf91"  # the board's own
# What is to be imported comes from a file: names in the script would be interned by it.
_LIST, _MEASURE = "list.txt", "measure.py"
_SCRIPT = """\
import gc, micropython, sys
def tell(name):
    gc.collect()
    print("@", name, gc.mem_alloc())
    micropython.qstr_info()
with open(sys.argv[1]) as f:
    for name in f:
        name = name.strip()
        tell("")
        __import__(name)
        tell(name)
"""
_REPORT = re.compile(r"^@ (\S*) ?(\d+)\r?\n.*?n_qstr=(\d+).*?n_total_bytes=(\d+)", re.MULTILINE | re.DOTALL)


class SizeError(click.ClickException):
    """No figures, and why, in one line."""


@dataclass(frozen=True)
class Module:
    """One module's share. `kind`: "start", "cold" (in cold.COLD) or "asked": neither, loaded only if something asks."""

    name: str
    package: str  # row of the table: package of lib, "firmware", "board", "factory" or "asyncio"
    kind: str
    flash: int  # bytes of .mpy
    heap: int  # bytes of code and data, without names
    names: int  # bytes that its new names took


@dataclass(frozen=True)
class Size:
    """All that was found. Names are those of the interpreter's start, of Godwit and of this measurement."""

    bits: int
    modules: tuple[Module, ...]
    other_flash: dict[str, int]  # package -> bytes of files that are no modules
    slot: int
    bundle: int
    names_start: int
    names_all: int


# --- reading the sources


def sources(repo: Path = REPO, family: str | None = None) -> dict[str, Path]:
    """-> {module name: source} of what a node imports: a slot, and the boot selector from the root of its flash."""
    found = {}
    for folder in (repo / "lib", repo / "firmware"):
        for path in sorted(folder.rglob("*.py")):
            found[path.relative_to(folder).as_posix()] = path
    for name in ("boot.py", "main.py"):
        found.pop(name, None)
    try:
        found = selection.selected(found, selection.board_parts(BOARD, family, repo))
    except selection.SelectionError as error:
        raise SizeError(str(error)) from error
    return {module_name(path): source for path, source in found.items()} | {
        "board": repo / "boards" / BOARD / "board.py"
    }


def literal(path: Path, name: str) -> tuple[str, ...]:
    """-> the tuple of strings that the module at `path` binds to `name`. Raises SizeError."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [name] == [getattr(target, "id", None) for target in node.targets]:
            try:
                return tuple(ast.literal_eval(node.value))
            except ValueError:
                break
    raise SizeError(f"{path.name} has no literal tuple {name}")


def imports(name: str, path: Path) -> set[str]:
    """-> names that the module's own level imports, and its package; what functions import comes later."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = {name.rpartition(".")[0]} - {""}
    pending = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            home = ".".join([*base, *filter(None, [node.module])])
            found |= {home} | {f"{home}.{alias.name}" for alias in node.names}
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            pending += ast.iter_child_nodes(node)
    return found


def order(roots: list[str], files: dict[str, Path], done: list[str]) -> list[str]:
    """-> `roots` and what they import but `done` has, dependencies first, in an order that the sources alone decide."""
    result, seen = [], set(done)

    def visit(name):
        if name in seen or name not in files:
            return
        seen.add(name)
        for needed in sorted(imports(name, files[name])):
            visit(needed)
        result.append(name)

    for root in roots:
        visit(root)
    return result


def kinds(repo: Path = REPO, family: str | None = None) -> dict[str, str]:
    """-> {module: kind} in the order of measuring. Raises SizeError when the lists in firmware/ name no module."""
    files = sources(repo, family)
    cold = cold_modules((repo / "firmware" / "cold.py").read_text(encoding="utf-8"))
    resident = literal(repo / "firmware" / "app.py", "_RESIDENT")
    whole = {module_name(path.relative_to(repo / "lib").as_posix()) for path in (repo / "lib").rglob("*.py")}
    backends = [name.format(family or _FAMILY) for name in _BACKENDS]
    unknown = sorted({*cold, *resident, *backends} - set(files) - whole)
    if unknown:
        raise SizeError(f"there is no module {', '.join(unknown)} (cold.COLD, app._RESIDENT)")
    cold &= set(files)  # of the other families there is nothing to forget
    start = order([*resident, *backends, "app"], files, [])
    rest = order(sorted(cold), files, start)
    rest += order(sorted(files), files, [*start, *rest])
    return dict.fromkeys(start, "start") | {name: "cold" if name in cold else "asked" for name in rest}


# --- measuring


def package_of(name: str, files: dict[str, Path], repo: Path = REPO) -> str:
    """-> row of the table that a module belongs to."""
    if name in ("bootsafe", "bootsel"):
        return FACTORY
    if name in _ASYNCIO:
        return FROZEN
    return "firmware" if files[name].is_relative_to(repo / "firmware") else name.partition(".")[0]


def load(folder: Path, names: list[str], bits: int) -> list[tuple[int, int, int]]:
    """Import `names` from `folder` -> per name (bytes of code and data, bytes of names, names so far)."""
    program = BUILD / "bin" / f"micropython{bits}"
    if not program.exists():
        raise SizeError(f"no {bits}-bit MicroPython: `make setup` says why, --bits {96 - bits} may do")
    (folder / _LIST).write_text("\n".join(names), encoding="utf-8")
    (folder / _MEASURE).write_text(_SCRIPT, encoding="utf-8")
    command = [program, "-X", "heapsize=1m", folder / _MEASURE, folder / _LIST]
    env = {"PATH": os.environ["PATH"], "MICROPYPATH": f"{folder}:.frozen"}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SizeError(f"{program.name}: {error}") from error
    if done.returncode:
        words = (done.stdout + done.stderr).strip().splitlines() or [f"status {done.returncode}"]
        raise SizeError(f"{program.name}: {words[-1].strip()}")
    told = [(name, *map(int, figures)) for name, *figures in _REPORT.findall(done.stdout)]
    if [name for name, *_ in told] != [word for name in names for word in ("", name)]:
        raise SizeError(f"{program.name} does not report its interned names: a build without micropython.qstr_info")
    return [
        (heap - heap_before - (names - names_before), names - names_before, count)
        for (_, heap_before, _, names_before), (_, heap, count, names) in zip(told[::2], told[1::2], strict=True)
    ]


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def measure(bits: int = 32, repo: Path = REPO, family: str | None = None) -> Size:
    """Compile, import, and count, with the modem `family` (the board's when None). Raises SizeError, BundleError."""
    slot, factory = bundle.firmware_files(BOARD, repo, family), bundle.factory_files(BOARD, repo)
    files, kind = sources(repo, family), kinds(repo, family)
    compiled = {path: code for path, code in (slot | factory).items() if path.endswith(".mpy")}
    flash = {module_name(path[:-4] + ".py"): len(code) for path, code in compiled.items()}
    names = [*_ASYNCIO, *kind]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        # board.py takes the desk's flash from its neighbour, which counts as part of it.
        near = (repo / "boards" / BOARD).glob("*.py")
        _write(folder, bundle.compile_files({path.name: path for path in near}))
        _write(folder, compiled)
        figures = load(folder, names, bits)
    modules = tuple(
        Module(name, package_of(name, files, repo), kind.get(name, "start"), flash.get(name, 0), heap, taken)
        for name, (heap, taken, _) in zip(names, figures, strict=True)
    )
    image = bundle.build_bundle(
        slot, version="0.0.0", sequence=1, device_class=bundle.device_class(BOARD, repo), key=keys.make_key()
    )
    counts = {name: count for name, (_, _, count) in zip(names, figures, strict=True)}
    return Size(
        bits,
        modules,
        {FACTORY: sum(len(content) for path, content in factory.items() if path.endswith(".py"))},
        sum(map(len, slot.values())),
        len(image),
        counts[[name for name in kind if kind[name] == "start"][-1]],
        figures[-1][2],
    )


# --- telling


def package_rows(size: Size) -> list[tuple[str, int, int, int, int]]:
    """(package, modules, bytes of flash, heap from the start, heap when needed), a row of names, then the total."""
    rows = []
    for package in sorted({module.package for module in size.modules}):
        mine = [module for module in size.modules if module.package == package]
        heap = {kind: sum(module.heap for module in mine if module.kind == kind) for kind in ("start", "cold", "asked")}
        stored = sum(module.flash for module in mine) + size.other_flash.get(package, 0)
        rows.append((package, len(mine), stored, heap["start"], heap["cold"] + heap["asked"]))
    taken = {start: sum(m.names for m in size.modules if (m.kind == "start") is start) for start in (True, False)}
    rows.append(("names", 0, 0, taken[True], taken[False]))
    return [*rows, ("total", *(sum(row[i] for row in rows) for i in range(1, 5)))]


def module_rows(size: Size) -> list[tuple[str, int, int, str]]:
    """(module, bytes of flash, heap, what becomes of it) of everything that is not loaded at start, largest first."""
    fate = {"cold": "forgotten", "asked": "stays"}
    found = [(m.name, m.flash, m.heap, fate[m.kind]) for m in size.modules if m.kind in fate]
    return sorted(found, key=lambda row: (row[3], -row[2], row[0]))


def tables(size: Size) -> list[tuple[tuple[str, ...], list[tuple]]]:
    """-> [(heads, rows)] of everything there is to show."""
    heap = f"heap, {size.bits}-bit"
    return [
        (("package", "modules", "flash", f"{heap}, from start", "when needed"), package_rows(size)),
        (("loaded when needed", "flash", heap, "then"), module_rows(size)),
    ]


def remarks(size: Size) -> list[str]:
    """-> sentences that no table holds."""
    return [
        f"A slot takes {size.slot:,} bytes, its signed bundle {size.bundle:,}.",
        f"Interned names: {size.names_start:,} at start, {size.names_all:,} when all is loaded; {MOST_NAMES:,} fit.",
        f"Peak of a whole day: {DAY_COMMAND}",
    ]


def _cells(row: tuple) -> list[str]:
    return [f"{cell:,}" if isinstance(cell, int) else cell for cell in row]


def markdown(size: Size) -> str:
    """Both tables and the remarks, to be pasted into a page."""
    parts = []
    for heads, rows in tables(size):
        marks = ["---:" if isinstance(cell, int) else "---" for cell in rows[0]]
        lines = [heads, marks, *map(_cells, rows)]
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join([*parts, "\n".join("- " + text for text in remarks(size))])


def plain(size: Size) -> str:
    """The same in columns of text."""
    parts = []
    for heads, rows in tables(size):
        lines = [list(heads), *map(_cells, rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        right = [isinstance(cell, int) for cell in rows[0]]
        for line in lines:
            columns = zip(line, widths, right, strict=True)
            parts.append("  ".join(cell.rjust(w) if r else cell.ljust(w) for cell, w, r in columns).rstrip())
        parts.append("")
    return "\n".join([*parts, *remarks(size)])


def _show(size: Size) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    for heads, rows in tables(size):
        table = Table(header_style="bold")
        for head, cell in zip(heads, rows[0], strict=True):
            table.add_column(head, justify="right" if isinstance(cell, int) else "left")
        for row in rows:
            table.add_row(*_cells(row), style="bold" if row[0] == "total" else None)
        console.print(table)
    for text in remarks(size):
        console.print(text, markup=False, soft_wrap=True)


@click.command()
@click.option("--bits", type=click.Choice(["32", "64"]), default="32", show_default=True, help="Word size.")
@click.option("--modem", type=click.Choice(selection.FAMILIES), help="With this modem family.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Tables for a page.")
@click.option("--day", is_flag=True, help="Only say how the peak of a whole day is measured.")
def size(bits, modem, as_markdown, day):
    """What the firmware takes: flash and heap of each package, measured, and interned names."""
    if day:
        click.echo(DAY_COMMAND)
        return
    found = measure(int(bits), family=modem)
    if as_markdown:
        click.echo(markdown(found))
    elif sys.stdout.isatty():
        _show(found)
    else:
        click.echo(plain(found))
