"""`godwit size`: every package is there, the sums are sums, and an import of everything at once takes as much heap."""

import os
import re
import subprocess
import sys

import pytest

from godwit import bundle, size
from godwit.places import BUILD, REPO
from godwit.unname import cold_modules

pytestmark = pytest.mark.limit(60)
needs_32_bit = pytest.mark.skipif(
    not (BUILD / "bin" / "micropython32").exists(), reason="no 32-bit MicroPython on this machine"
)
COLD = cold_modules((REPO / "firmware" / "cold.py").read_text()) & set(size.sources())


def godwit(*words, env=None):
    command = [sys.executable, "-m", "godwit", "size", *words]
    env = os.environ | {"PYTHONPATH": str(REPO / "tools")} | (env or {})
    return subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def numbers(text):
    return [int(word.replace(",", "")) for word in re.findall(r"\d[\d,]*", text)]


def rows(text):
    """-> [{first cell: other cells, numbers as such}] of the tables of a markdown text."""
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        body = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
        found.append({name: [numbers(cell)[0] if numbers(cell) else cell for cell in cells] for name, *cells in body})
    return found


@pytest.fixture(scope="module")
def told():
    done = godwit("--markdown")
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_32_bit
def test_every_package_is_there_and_the_totals_add_up(told):
    packages, _ = rows(told)
    lib = {path.stem for path in (REPO / "lib").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert set(packages) == lib | {"firmware", "board", "factory", "asyncio", "names", "total"}
    total = packages.pop("total")
    assert total == [sum(column) for column in zip(*packages.values(), strict=True)]
    for name in lib | {"firmware", "board"}:
        count, flash, *heap = packages[name]
        assert count and flash and sum(heap) > flash // 2 and min(heap) >= 0, (name, packages[name])


@needs_32_bit
def test_slot_and_bundle(told):
    packages, _ = rows(told)
    slot, image = numbers(re.search(r"A slot takes .*", told).group())
    assert slot == packages["total"][1] - packages["factory"][1]
    assert slot + 384 < image < slot + 8192 + 384 + 1024  # and a signature, a manifest, padding
    assert packages["factory"][1] == sum(map(len, bundle.factory_files("unix").values()))


@needs_32_bit
def test_what_is_loaded_when_needed(told):
    packages, modules = rows(told)
    assert {name for name, (_, _, then) in modules.items() if then == "forgotten"} == COLD
    later = sum(heap for _, heap, _ in modules.values())
    assert later == packages["total"][3] - packages["names"][3]


@needs_32_bit
def test_few_enough_names(told):
    at_start, everything, most = numbers(re.search(r"Interned names: .*", told).group())
    assert 300 < at_start < everything < most == size.MOST_NAMES <= 1270, "look for long lists of new public names"


@needs_32_bit
def test_an_import_of_everything_at_once_takes_as_much(told, tmp_path):
    files = bundle.firmware_files("unix") | bundle.factory_files("unix")
    files |= bundle.compile_files({"flashdev.py": REPO / "boards" / "unix" / "flashdev.py"})
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    (tmp_path / "boot.py").unlink()
    names = sorted(path[:-4].replace("/__init__", "").replace("/", ".") for path in files if path.endswith(".mpy"))
    lines = ["import gc", "gc.collect()", "free = gc.mem_alloc()", *(f"__import__({name!r})" for name in names)]
    (tmp_path / "all.py").write_text("\n".join([*lines, "gc.collect()", "print(gc.mem_alloc() - free)"]))
    command = [BUILD / "bin" / "micropython32", "-X", "heapsize=1m", tmp_path / "all.py"]
    env = os.environ | {"MICROPYPATH": f"{tmp_path}:.frozen"}
    taken = int(subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=True).stdout)
    packages, _ = rows(told)
    found = packages["total"][2] + packages["total"][3]
    assert abs(found - taken) < taken * 0.05, (found, taken)  # asyncio's rarer parts, and a table of names in between


@needs_32_bit
def test_plain_lines_hold_the_same_figures(told):
    done = godwit()
    assert done.returncode == 0, done.stderr
    assert "|" not in done.stdout and "\x1b" not in done.stdout
    for table in rows(told):
        for name, cells in table.items():
            lines = re.findall(rf"^{re.escape(name)} +(\d.*)", done.stdout, re.MULTILINE)
            assert [cell for cell in cells if isinstance(cell, int)] in map(numbers, lines)


def test_nothing_cold_is_loaded_at_start():
    started = {name for name, kind in size.kinds().items() if kind == "start"}
    assert {"app", "at.client", "coap.client", "cloud.nrfcloud", "modem.nrf91", "tasks.link"} <= started
    assert not started & COLD, "imported at the top of a module that stays: cold.forget() cannot take it back"


def test_day_only_names_the_command(tmp_path):
    done = godwit("--day", env={"GODWIT_BUILD": str(tmp_path)})
    assert (done.returncode, done.stdout) == (0, 'make run ARGS="--bits 32 --heap 160k"\n')


# --- parts


def test_dependencies_come_first_and_functions_imports_do_not_count(tmp_path):
    texts = {
        "a/__init__.py": "from a.one import x\n",
        "a/one.py": "from . import two\nfrom .two import y as x\n",
        "a/two.py": "try:\n    import b\nexcept ImportError:\n    b = None\ny = 1\n",
        "b.py": "import os\ndef f():\n    import c\nclass C:\n    import d\n",
        "c.py": "import a\n",
        "d.py": "",
    }
    files = {}
    for path, text in texts.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
        files[path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")] = tmp_path / path
    start = size.order(["a"], files, [])
    assert start == ["d", "b", "a.two", "a.one", "a"]
    assert size.order(sorted(files), files, start) == ["c"]


@pytest.mark.parametrize("text", ["LIST = tuple(range(3))\n", "OTHER = ('a',)\n"])
def test_a_list_that_cannot_be_read(tmp_path, text):
    (tmp_path / "app.py").write_text(text)
    with pytest.raises(size.SizeError, match="app.py has no literal tuple LIST"):
        size.literal(tmp_path / "app.py", "LIST")


@pytest.mark.parametrize("cold, resident", [("a gone", "a"), ("a", "gone")])
def test_lists_that_name_what_is_not_there(tmp_path, monkeypatch, cold, resident):
    monkeypatch.setattr(size, "_BACKENDS", ())
    (tmp_path / "firmware").mkdir()
    for name, text in (("a", ""), ("app", f"_RESIDENT = ('{resident}',)\n"), ("cold", f"COLD = (('', '{cold}'),)\n")):
        (tmp_path / "firmware" / f"{name}.py").write_text(text)
    (tmp_path / "boards" / "unix").mkdir(parents=True)
    (tmp_path / "boards" / "unix" / "board.json").write_text('{"modem": {"family": "nrf91"}}')
    with pytest.raises(size.SizeError, match="no module gone"):
        size.kinds(tmp_path)


def test_no_interpreter_is_one_line(tmp_path):
    done = godwit(env={"GODWIT_BUILD": str(tmp_path)})
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == "Error: no 32-bit MicroPython: `make setup` says why, --bits 64 may do\n"


@pytest.mark.parametrize("text, words", [
    ("raise ValueError('no')\n", r"^micropython64: ValueError: no$"),
    ("import sys\nsys.exit(0)\n", "does not report"),
])  # fmt: skip
def test_a_module_that_cannot_be_measured_is_one_line(tmp_path, text, words):
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(size.SizeError, match=words):
        size.load(tmp_path, ["bad"], 64)
