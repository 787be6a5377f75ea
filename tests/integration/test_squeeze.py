"""Squeezed sources must do what the originals do: on small trees, under both interpreters, and on the real firmware.

The trees of squeeze_support.py name what has to become short and what has to stay; the real tree is compiled by
bundle.py, imported whole on 32-bit MicroPython, and put under unit files that know public names only.
"""

import io
import os
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest
from squeeze_support import TREES

from godwit import bundle, squeeze
from godwit.places import BUILD

REPO = Path(__file__).resolve().parents[2]
MICROPYTHON = BUILD / "bin" / "micropython32"
MOST_NAMES = 1260  # with one more, the pools double
# Unit files that reach no private name, so that they run on squeezed modules as they are.
UNIT_FILES = "at_parser at_edges cbor coap_codec coap_block fota_manifest nrfcloud shadow tasks net store jwt".split()


def words_of(texts):
    return set(re.findall(r"\w+", "\n".join(texts.values())))


def rows(text):
    """Everything about a text's tokens but how long they are."""
    return [(token.type, token.start[0]) for token in tokenize.generate_tokens(io.StringIO(text).readline)]


def write(folder, files):
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, bytes):
            target.write_bytes(text)
        else:
            target.write_text(text, encoding="utf-8")
    return folder


def run(program, folder, script, *more_paths):
    paths = list(map(str, (folder, *more_paths)))
    env = {"PATH": os.environ["PATH"], "MICROPYPATH": ":".join([*paths, ".frozen"]), "PYTHONDONTWRITEBYTECODE": "1"}
    env["PYTHONPATH"] = ":".join([*paths, str(REPO / "tests" / "stubs")])
    heap = [] if program == sys.executable else ["-X", "heapsize=1m"]
    command = [str(program), *heap, str(script)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def device_sources():
    """This repository's slot, as bundle.py hands it to squeeze()."""
    sources = {}
    for folder in ("lib", "firmware", "boards/unix"):
        for path in (REPO / folder).rglob("*.py"):
            sources[path.relative_to(REPO / folder).as_posix()] = path.read_text(encoding="utf-8")
    for name in (*bundle.FACTORY_FILES, "_boot.py", "mkflash.py", "flashdev.py", "manifest.py"):
        sources.pop(name)
    return sources


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A folder with the whole firmware as a node has it: squeezed and compiled, but for what the unit tests name."""
    named = set()
    for path in [*(REPO / "tests" / "unit").glob("test_*.py"), *(REPO / "tests" / "harness").glob("*.py")]:
        named.update(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", path.read_text(encoding="utf-8")))
    files = bundle.firmware_files("unix", keep=frozenset(named)) | bundle.factory_files("unix")
    return write(tmp_path_factory.mktemp("node"), {k: v for k, v in files.items() if k.endswith(".mpy")})


# --- meaning


@pytest.mark.parametrize("name", TREES)
def test_a_squeezed_tree_prints_the_same(name, tmp_path):
    files, gone, stay = TREES[name]
    squeezed = squeeze.squeeze(files)
    before, after = words_of(files), words_of(squeezed)
    assert stay <= after and gone <= before and not gone & after
    write(tmp_path / "before", files)
    write(tmp_path / "after", squeezed)
    for program in (sys.executable, MICROPYTHON):
        wanted = run(program, tmp_path / "before", tmp_path / "before" / "main.py")
        assert wanted.returncode == 0 and wanted.stdout, wanted.stderr
        got = run(program, tmp_path / "after", tmp_path / "after" / "main.py")
        assert (got.returncode, got.stdout) == (0, wanted.stdout), got.stderr


def test_packages_share_names_only_when_nothing_ties_them():
    one = "class A:\n    def __init__(self):\n        self._alpha = self._beta = 1\n"
    two = "class B:\n    def __init__(self):\n        self._gamma = 1\n"
    table = {old: new for _, old, new in squeeze.names({"one.py": one, "two.py": two})}
    assert table["_gamma"] == table["_alpha"] != table["_beta"]
    tied = two.replace("class B", "from one import A\nclass B(A)")
    table = {old: new for _, old, new in squeeze.names({"one.py": one, "two.py": tied})}
    assert len(set(table.values())) == 3


def test_the_order_of_files_does_not_matter():
    files = TREES["inheritance across packages"][0]
    backwards = dict(reversed(files.items()))
    assert squeeze.squeeze(files) == squeeze.squeeze(backwards)
    assert squeeze.names(files) == squeeze.names(backwards)


def test_the_same_bytes_in_another_process():
    """Sets iterate in another order there."""
    script = "import sys; from godwit import squeeze; print(squeeze.squeeze(eval(sys.argv[1])))"
    files = TREES["reaching into another package"][0] | TREES["text mentions"][0]
    outputs = set()
    for seed in ("1", "2", "3"):
        env = {"PYTHONPATH": str(REPO / "tools"), "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([sys.executable, "-c", script, repr(files)], env=env, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        outputs.add(done.stdout)
    assert len(outputs) == 1


@pytest.mark.parametrize(
    "text, words",
    [("x = 1\ndef f(:\n", "at/x.py, line 2: SyntaxError"), ("x = (1\n", "at/x.py, line 1: SyntaxError"),
     ("match 1:\n    case _what: pass\n", "at/x.py, line 2: _what in a place")],
)  # fmt: skip
def test_errors_name_file_and_line(text, words):
    with pytest.raises(squeeze.SqueezeError, match=re.escape(words)):
        squeeze.squeeze({"at/x.py": text})


@pytest.mark.parametrize(
    "path, name", [("at/client.py", "at.client"), ("at/__init__.py", "at"), ("app.py", "app"), ("a/b/c.py", "a.b.c")]
)
def test_module_name(path, name):
    assert squeeze.module_name(path) == name


# --- the real tree


def test_lines_and_tokens_stay_where_they_are(device_sources):
    squeezed = squeeze.squeeze(device_sources)
    assert set(squeezed) == set(device_sources)
    for path, text in squeezed.items():
        assert rows(text) == rows(device_sources[path]), path
    assert len(squeeze.names(device_sources)) > 400


def test_the_whole_firmware_needs_few_names(tmp_path):
    files = bundle.firmware_files("unix") | bundle.factory_files("unix")
    node = write(tmp_path, {k: v for k, v in files.items() if k.endswith(".mpy")})
    modules = sorted(squeeze.module_name(path.relative_to(node).with_suffix(".py").as_posix())
                     for path in node.rglob("*.mpy"))  # fmt: skip
    script = node / "count.py"
    script.write_text(f"import micropython\nfor name in {modules}:\n    __import__(name)\nmicropython.qstr_info()\n")
    done = run(MICROPYTHON, node, script, REPO / "boards" / "unix")
    assert done.returncode == 0, done.stderr
    names = int(re.search(r"n_qstr=(\d+)", done.stdout).group(1))
    assert names < MOST_NAMES, f"{names} names: look for long lists of new public ones"


def test_a_traceback_names_module_and_function(node):
    script = node / "trace.py"
    script.write_text("import cbor\ncbor.loads(b'\\x18')\n")
    done = run(MICROPYTHON, node, script)
    assert re.search(r'File "cbor\.decode", line \d+, in loads', done.stderr), done.stderr


@pytest.mark.parametrize("name", UNIT_FILES)
def test_unit_files_pass_on_squeezed_modules(name, node):
    paths = (REPO / "tests", REPO / "tests" / "harness", REPO / "boards" / "unix")
    done = run(MICROPYTHON, node, REPO / "tests" / "unit" / f"test_{name}.py", *paths)
    assert done.returncode == 0 and re.search(r"RESULT pass=\d+ fail=0", done.stdout), done.stdout + done.stderr
