"""The godwit command: lists, loads lazily, and turns every expected error into one line."""

import subprocess
import sys

import click
import pytest

from godwit import cli
from harness.run_unit import REPO, build_dir


def _godwit(*args):
    command = [build_dir() / "bin/godwit", *args]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)


def test_help_lists_every_command():
    done = _godwit("--help")
    assert done.returncode == 0
    for name, (_, text) in cli.COMMANDS.items():
        assert name in done.stdout
        assert text.split()[0] in done.stdout


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_loads_and_explains_itself(name):
    done = _godwit(name, "--help")
    assert done.returncode == 0, done.stderr
    assert f"Usage: godwit {name}" in done.stdout


def test_help_imports_no_subcommand():
    code = (
        "import sys\nfrom godwit.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print('LOADED', [m for m in sys.modules if m.startswith(('aiocoap', 'starlette', 'rich', 'cryptography'))])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPO / "tools", capture_output=True, text=True, timeout=30, check=True)
    assert "LOADED []" in done.stdout


@pytest.mark.parametrize("args", [["nonsense"], ["--nonsense"], ["run", "--nonsense"]])
def test_wrong_usage_is_told_without_a_traceback(args):
    done = _godwit(*args)
    assert done.returncode == 2
    assert "Error: No such" in done.stderr
    assert "Traceback" not in done.stderr


@click.command()
@click.argument("how")
def _planted(how):
    if how == "refuse":
        raise click.ClickException("port 5684 is taken")
    if how == "interrupt":
        raise KeyboardInterrupt
    raise click.exceptions.Exit(int(how))


@pytest.mark.parametrize(("how", "status", "words"), [
    ("refuse", 1, "Error: port 5684 is taken\n"),
    ("interrupt", 130, ""),
    ("0", 0, ""),
    ("1", 1, ""),
])  # fmt: skip
def test_errors_and_exit_status(monkeypatch, capsys, how, status, words):
    monkeypatch.setitem(cli.COMMANDS, "planted", (f"{__name__}:_planted", "Planted."))
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _Module)
    with pytest.raises(SystemExit) as ended:
        cli.main(["planted", how])
    assert ended.value.code == status
    assert capsys.readouterr().err.strip() == words.strip()


class _Module:
    """Stands for this file where pytest did not put it into sys.modules."""

    _planted = _planted
