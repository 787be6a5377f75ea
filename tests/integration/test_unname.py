"""tools/godwit/unname.py: short texts of forgettable code are no names, and the code still does what it did."""

import subprocess

import pytest

from godwit import bundle, unname
from godwit.places import BUILD

COLD = 'COLD = (("", "rare also"),)\n'
RARE = '''"""Text."""

TABLE = (("in_tuple", 1), ("b", 2))


def speak(size="default_s", *, end=("x" "y")):
    """Doc."""
    found = {"a_key": 1, 'it"s': "%d;%s" % (2, "e\\u00e9"), "shared": "TABLE"}
    found["often"] = len(", ".join(["p", "q"])) if "b" not in TABLE[0] else 0
    words = [word for word in ("a_tuple", size) if word not in ["a_tuple"]]
    print(found["often"], found.get("often"), words, end, getattr(unique, "by_name"), f"{size}: f_string")
    return {"speak": speak}.get("speak") is speak


class unique:
    by_name = "was_found"
'''
HOT = 'import rare\nprint(rare.speak(), {"shared": 1, "hot_only": 2}["hot_only"])\n'
TREE = {"cold.py": COLD, "rare.py": RARE, "hot.py": HOT}


@pytest.fixture(scope="module")
def told():
    return unname.unname(TREE)


@pytest.mark.parametrize("text", ["a_key", 'it\\"s', "%d;%s", "default_s", "was_found", "p", ", "])
def test_texts_of_cold_code_are_members_of_constant_tuples(told, text):
    source = text if '"' not in text else 'it"s'
    quoted = (f'("{source}",)[0]', f"('{source}',)[0]")
    assert any(form in told["rare.py"] for form in quoted), told["rare.py"]


@pytest.mark.parametrize("text", ["in_tuple", "often", "shared", "TABLE", "speak", "by_name", ": f_string", "Doc."])
def test_others_stay(told, text):
    assert f'("{text}",)[0]' not in told["rare.py"]


def test_code_that_stays_and_lines_stay(told):
    assert told["hot.py"] == HOT and told["cold.py"] == COLD
    assert told["rare.py"].count("\n") == RARE.count("\n")
    assert unname.unname({"hot.py": HOT}) == {"hot.py": HOT}  # a tree without a list of cold modules


def names_of(node, folder, files):
    """What hot.py prints, and how many names the interpreter has then."""
    for name, code in files.items():
        (folder / name).write_bytes(code)
    # hot is imported by a name from a file, so that the script interns nothing of the tree
    script = "import micropython, sys\nsys.path[:] = [sys.argv[1]]\n__import__('hot')\nmicropython.qstr_info()"
    (folder / "run.py").write_text(script)
    done = subprocess.run([node, folder / "run.py", folder], capture_output=True, text=True, timeout=20, check=True)
    said, _, info = done.stdout.partition("qstr pool")
    return said, int(info.split("n_qstr=")[1].split(",")[0])


def test_the_code_prints_the_same_and_needs_fewer_names(tmp_path, monkeypatch):
    node = BUILD / "bin" / "micropython32"
    if not node.exists():
        pytest.skip("no 32-bit MicroPython")
    for name, text in TREE.items():
        (tmp_path / name).write_text(text)
    sources = {name: tmp_path / name for name in TREE}
    found = []
    for way in (unname.unname, dict):
        monkeypatch.setattr(unname, "unname", way)
        folder = tmp_path / way.__name__
        folder.mkdir()
        found.append(names_of(node, folder, bundle.compile_files(sources, fresh=True)))
    (said, few), (wanted, many) = found
    assert said == wanted and "was_found" in said and "True 2" in said
    assert many - few >= 8
