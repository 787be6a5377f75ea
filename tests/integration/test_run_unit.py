"""The unit runner must not pass what is broken: each way in which a unit file can fail, under each interpreter."""

import textwrap

import pytest

from harness import run_unit

T = "class T(unittest.TestCase):\n"
PASSES = "    def test(self):\n        pass"
BROKEN = {
    "assertion": (T + "    def test(self):\n        self.assertEqual(1, 2)", "1 failed"),
    "error in setUp": (T + "    def setUp(self):\n        raise OSError(5)\n" + PASSES, "1 failed"),
    "error in setUpClass": (
        T + "    @classmethod\n    def setUpClass(cls):\n        raise OSError(5)\n" + PASSES,
        "1 failed",
    ),
    "error in tearDown": (T + "    def tearDown(self):\n        raise OSError(5)\n" + PASSES, "1 failed"),
    "error in cleanup": (T + "    def test(self):\n        self.addCleanup(int, 'x')", "1 failed"),
    "two sub-tests": (
        T + "    def test(self):\n        for i in range(3):\n"
        "            with self.subTest(i=i):\n                self.assertEqual(i, 1)",
        "2 failed",
    ),
    "exception not raised": (T + "    def test(self):\n        self.assertRaises(ValueError, int, '1')", "1 failed"),
    "no test": ("X = 1", "no test ran"),
    "ends the process": ("import os\nos._exit(0) if hasattr(os, '_exit') else sys.exit(0)", "no RESULT line"),
    "syntax": ("def f(:", "no RESULT line"),
}
MICROPYTHON_ONLY = {
    "exit in a test": (T + "    def test(self):\n        sys.exit(0)", "1 failed"),
    "coroutine test": (T + "    async def test(self):\n        pass", "1 failed"),
}
FOOTER = '\nif __name__ == "__main__":\n    unittest.main()\n'


def _file(folder, body):
    path = folder / "test_planted.py"
    path.write_text("import sys\nimport unittest\n" + textwrap.dedent(body) + FOOTER)
    return path


def _cases():
    """(interpreter, name) of each case that this interpreter can show."""
    for interpreter in run_unit.INTERPRETERS:
        for name in BROKEN if interpreter == "cpython" else {**BROKEN, **MICROPYTHON_ONLY}:
            yield pytest.param(interpreter, name, id=f"{interpreter}-{name}")


def _needs(interpreter):
    if run_unit.program(interpreter) is None:
        pytest.skip(f"{interpreter} is not set up")


@pytest.mark.parametrize(("interpreter", "name"), list(_cases()))
def test_broken_file_fails(tmp_path, interpreter, name):
    _needs(interpreter)
    body, words = {**BROKEN, **MICROPYTHON_ONLY}[name]
    outcome = run_unit.run(_file(tmp_path, body), interpreter)
    assert outcome.problem is not None, outcome.output
    assert words in outcome.problem, outcome.output


@pytest.mark.parametrize("interpreter", run_unit.INTERPRETERS)
def test_the_rest_still_runs_after_a_failure(tmp_path, interpreter):
    _needs(interpreter)
    body = T + "    def test_a(self):\n        raise OSError(5)\n    def test_b(self):\n        pass\n"
    body += T.replace("T", "U", 1) + "    def test_c(self):\n        self.skipTest('why')\n" + PASSES
    outcome = run_unit.run(_file(tmp_path, body), interpreter)
    assert outcome.counts == (2, 1, 1), outcome.output


@pytest.mark.parametrize("interpreter", run_unit.INTERPRETERS)
def test_hanging_file_is_killed(tmp_path, monkeypatch, interpreter):
    _needs(interpreter)
    monkeypatch.setattr(run_unit, "TIMEOUT_S", 0.5)
    outcome = run_unit.run(_file(tmp_path, "while True:\n    pass"), interpreter)
    assert "did not end" in outcome.problem


@pytest.mark.parametrize("interpreter", run_unit.INTERPRETERS)
def test_words_choose_tests(tmp_path, interpreter):
    _needs(interpreter)
    body = T + "    def test_a(self):\n        pass\n    def test_b(self):\n        raise OSError(5)"
    assert run_unit.run(_file(tmp_path, body), interpreter, ["T.test_a"]).counts == (1, 0, 0)


def test_header_narrows_the_interpreters(tmp_path):
    path = tmp_path / "test_x.py"
    path.write_text('"""Doc."""\n# interpreters: mp64 mp32\n')
    assert run_unit.interpreters_for(path) == ("mp64", "mp32")
    path.write_text("# interpreters: mp16\n")
    with pytest.raises(ValueError, match="mp16"):
        run_unit.interpreters_for(path)
