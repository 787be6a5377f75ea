"""Collects each test_*.py of this folder once per interpreter: test_cbor.py::mp64, ::mp32, ::mpf, ::cpython.

The files are never imported into pytest. Each runs in its own process (harness.run_unit), and passes when
its RESULT line reports tests and no failure; the number of test methods is summed up at the end of the run.
"""

import os

import pytest

from harness import run_unit

# What a person's machine may lack. In CI all of them are there, or their tests fail.
_OPTIONAL = {
    "mp32": "no 32-bit MicroPython on this machine: set MICROPYTHON32=/path and run `make setup`",
    "mpf": "no single-float MicroPython on this machine: `make setup-test` says why",
}

class UnitFile(pytest.File):
    def collect(self):
        for interpreter in run_unit.interpreters_for(self.path):
            yield UnitRun.from_parent(self, name=interpreter)


class UnitRun(pytest.Item):
    """One file under one interpreter."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.add_marker(pytest.mark.limit(run_unit.TIMEOUT_S + 15))

    def runtest(self):
        if self.name in _OPTIONAL and run_unit.program(self.name) is None and not os.environ.get("CI"):
            pytest.skip(_OPTIONAL[self.name])
        outcome = run_unit.run(self.path, self.name)
        passed, failed, skipped = outcome.counts or (0, 0, 0)
        self.user_properties.append(("unit", f"{self.name} {passed} {failed} {skipped}"))
        if outcome.problem:
            raise UnitFailure(outcome)
        self.add_report_section("call", "output", outcome.output)

    def repr_failure(self, excinfo, style=None):
        if isinstance(excinfo.value, UnitFailure):
            outcome = excinfo.value.outcome
            again = f"tests/harness/run-unit tests/unit/{self.path.name} {self.name}"
            failed = [line for line in outcome.output.splitlines() if line.startswith(("FAIL:", "ERROR:"))]
            summary = "; ".join([outcome.problem, *failed[:3]])
            return f"{summary}\n{outcome.output}\nagain: {again}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, None, f"{self.path.name} on {self.name}"


class UnitFailure(Exception):
    def __init__(self, outcome):
        super().__init__(outcome.problem)
        self.outcome = outcome


def pytest_pycollect_makemodule(module_path, parent):
    return UnitFile.from_parent(parent, path=module_path)


def pytest_terminal_summary(terminalreporter):
    totals = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for key, value in getattr(report, "user_properties", ()):
                if key == "unit" and report.when == "call":
                    interpreter, *counts = value.split()
                    old = totals.get(interpreter, (0, 0, 0))
                    totals[interpreter] = tuple(a + int(b) for a, b in zip(old, counts))
    for interpreter, (ran, bad, skipped) in sorted(totals.items()):
        text = f"{ran} passed, {bad} failed, {skipped} skipped"
        terminalreporter.write_line(f"unit methods on {interpreter}: {text}")
