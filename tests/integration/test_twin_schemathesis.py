"""schemathesis against the twin's own document: other people's idea of good and bad requests (tests/README.md).

`make test` runs a slice; GODWIT_SCHEMATHESIS=200 asks for that many examples an operation and every phase. The seed is
printed; GODWIT_SEED=n repeats another.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from openapi_support import World
from twin_support import API_KEY, ROOT, running

_CONFIG = ROOT / "tests/data/schemathesis.toml"
_SEED = os.environ.get("GODWIT_SEED", "20261121")
_EXAMPLES = os.environ.get("GODWIT_SCHEMATHESIS")


def schemathesis(twin, config, *options):
    """Run its command line; (exit status, output)."""
    program = Path(sys.executable).with_name("schemathesis")
    command = [
        program, "--config-file", config, "run", twin.url + "/v1/openapi.json", "--url", twin.url + "/v1",
        "-H", f"Authorization: Bearer {API_KEY}", "--seed", _SEED, "--no-color", *options,
    ]  # fmt: skip
    print(f"seed {_SEED}")
    # somewhere else: it writes its examples into the folder where it runs
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(config).parent)
    return done.returncode, done.stdout + done.stderr


def test_config_names_operations_that_exist():
    """A name that is misspelt would silence nothing, one that is gone hides that it is."""
    from godwit.twin.openapi import document

    known = {f"{method.upper()} {path}" for path, item in document()["paths"].items() for method in item}
    with open(_CONFIG, "rb") as file:
        rows = tomllib.load(file)["operations"]
    names = []
    for row in rows:
        names += [row["include-name"]] if isinstance(row["include-name"], str) else row["include-name"]
    assert set(names) <= known and len(names) == len(set(names))


@pytest.mark.limit(3600 if _EXAMPLES else 300)
def test_whatever_comes_to_its_mind(tmp_path):
    """Ids that nobody has, bodies good and bad, no token, undeclared methods; twin errors are failures too."""
    with running(tmp_path) as twin:
        config = tmp_path / "schemathesis.toml"
        config.write_text(_CONFIG.read_text())
        amount = ["--max-examples", _EXAMPLES] if _EXAMPLES else ["--max-examples", "2", "--phases", "fuzzing"]
        status, output = schemathesis(twin, config, *amount)
        assert twin.records()["errors"] == []
        assert status == 0, output[-8000:]
        selected, all_of_them, tested = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", output).groups()
        assert selected == all_of_them == tested, output[-3000:]


@pytest.mark.limit(3600 if _EXAMPLES else 300)
def test_of_things_that_exist(tmp_path):
    """The same on a device, a job, an alert that are there, so that handlers get past their 404."""
    with running(tmp_path) as twin:
        world = World(twin)
        config = tmp_path / "schemathesis.toml"
        ids = {"deviceId": world.device, "jobId": world.job, "bundleId": world.bundle, "bulkOpsRequestId": world.bulk}
        lines = [f'"path.{name}" = "{value}"' for name, value in ids.items()]
        alerts = ['include-path-regex = "^/alerts/"', f'parameters = {{"path.id" = "{world.alert}"}}']
        config.write_text("\n".join(["[parameters]", *lines, "", _CONFIG.read_text(), "[[operations]]", *alerts, ""]))
        amount = ["--max-examples", _EXAMPLES or "2", "--phases", "fuzzing", "--exclude-method", "DELETE"]
        status, output = schemathesis(twin, config, *amount, "--include-path-regex", r"\{|/alerts|/messages|-logs")
        assert twin.records()["errors"] == []
        assert status == 0, output[-8000:]
        missing = output.partition("Missing test data")[2].partition("Schema validation mismatch")[0]
        assert " /devices/{deviceId}\n" not in missing and "/alerts/" not in missing, missing
