"""tools/godwit/relabel.py: what modules share gets letters, everybody follows, and the program does what it did."""

import subprocess
import sys

import pytest

from godwit import relabel
from godwit.places import BUILD
from godwit.squeeze import SqueezeError

TREE = {
    "app.py": '''"""Doc."""
import parts
import pack.inner
from pack import inner as near
from pack.inner import Kind, helper, LIMIT, Failure, clash
from pack.inner import helper as renamed
import json
import sys as system


def run():
    print(helper(3), LIMIT, parts.helper(4), near.helper(5), pack.inner.LIMIT, renamed(6))
    print(local(), shadow(7), by_default(), [helper for helper in (1, 2)], helper(8))
    print(Kind().member(), Kind.TOP, Kind().use(), clash(), getattr(near, "spoken")(), dynamic(__import__("parts")))
    print(counted(), counted(), json.dumps(helper(9)), parts.made_of, (lambda helper: helper)(10), system is not None)
    try:
        near.fails()
    except Failure as failure:
        print(type(failure).__name__)


def local():
    from pack.inner import helper, LIMIT as most

    return helper(1) + most


def shadow(helper):
    return helper + LIMIT


def by_default(value=LIMIT, *, other=helper(11)):
    return value, other


def dynamic(module):
    return module.read_by_object()


COUNT = 0


def counted():
    global COUNT
    COUNT += 1
    return COUNT
''',
    "parts.py": '''from pack.inner import helper  # handed on
from micropython import const

made_of = helper(2)


def read_by_object():
    return "object"


INNER_CONST = const(4)
USES = INNER_CONST + 1
''',
    "pack/__init__.py": "",
    "pack/inner.py": '''from micropython import const

LIMIT = const(40)


class Failure(Exception):
    pass


class Kind:
    TOP = LIMIT + 1
    value = helper = 3

    def member(self):
        return helper(20)

    def use(self):
        return Kind.TOP + LIMIT + self.clash()

    def clash(self):
        return 1


def clash():
    return "module"


def helper(x):
    return x * 2


def spoken():
    return "said"


def fails():
    raise Failure()
''',
}


@pytest.fixture(scope="module")
def told():
    return relabel.relabel(TREE)


def output(folder, tree, program):
    for path, text in tree.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    script = folder / "start.py"
    script.write_text("import sys\nsys.path[:] = [%r, '.frozen']\nimport app\napp.run()\n" % str(folder))
    return subprocess.run([program, script], capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize("program", ["micropython64", "micropython32"])
def test_the_program_says_the_same(told, tmp_path, program):
    program = BUILD / "bin" / program
    if not program.exists():
        pytest.skip("no such interpreter")
    before, after = (output(tmp_path / name, tree, program) for name, tree in (("old", TREE), ("new", told)))
    assert before.returncode == 0 and before.stdout.count("\n") == 5, before.stderr
    assert (after.stdout, after.returncode) == (before.stdout, 0), after.stderr


@pytest.mark.parametrize("name, path", [("helper(x)", "pack/inner.py"), ("made_of", "parts.py"),
                                        ("class Kind", "pack/inner.py"), ("def fails", "pack/inner.py"),
                                        ("INNER_CONST", "parts.py"), ("def local", "app.py")])
def test_what_modules_share_has_letters(told, name, path):
    assert name in TREE[path] and name not in told[path]


@pytest.mark.parametrize(
    "name, path",
    [
        ("class Failure", "pack/inner.py"),
        ("def spoken", "pack/inner.py"),
        ("def read_by_object", "parts.py"),
        ("def run", "app.py"),
        ("    def clash", "pack/inner.py"),
        ("\ndef clash", "pack/inner.py"),
        ("value = helper = 3", "pack/inner.py"),
        ("(helper):\n    return helper + ", "app.py"),
        ("import json", "app.py"),
        ("global COUNT", "app.py"),
        (" as helper, ", "app.py"),
    ],
)
def test_what_stays(told, name, path):
    assert name in told[path], told[path]


def test_lines_stay_and_a_part_of_a_tree_is_left_alone(told):
    assert {path: text.count("\n") for path, text in told.items()} == {p: t.count("\n") for p, t in TREE.items()}
    part = {path: text for path, text in TREE.items() if path != "app.py"}
    assert relabel.relabel(part) == part


def test_names_to_keep():
    told = relabel.relabel(TREE, frozenset(["LIMIT"]))
    assert "LIMIT = const(40)" in told["pack/inner.py"] and "helper(x)" not in told["pack/inner.py"]


def test_the_same_whatever_the_hashes():
    script = "import sys; from godwit import relabel; print(relabel.relabel(eval(sys.argv[1])))"
    texts = {
        subprocess.run([sys.executable, "-c", script, repr(TREE)], capture_output=True, text=True, check=True,
                       env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed}).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(texts) == 1


def test_what_it_does_not_understand_is_refused():
    with pytest.raises(SqueezeError, match=r"import \*"):
        relabel.relabel({"app.py": "from parts import *\n", "parts.py": ""})
