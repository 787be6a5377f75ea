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


def _modem(*args):
    from click.testing import CliRunner

    from godwit.modem.command import modem

    return CliRunner().invoke(modem, args)


def test_the_modem_explains_its_options_by_subject_and_its_faults_in_a_list():
    page = _modem("--help").output
    for name in ("Modem:", "World:", "Trouble:", "Wiring:", "Run:", "--family", "--dtls-engine", "--help"):
        assert f"{name} " in page or f"{name}\n" in page
    assert "prompt_strict" not in page and len(page.splitlines()) < 70
    from godwit.modem.command import modem
    from godwit.modem.faults import CATALOGUE
    from godwit.modem.timing import TIMING

    for param in modem.params:
        assert page.count(f"  {param.opts[0]} ") == 1, param.opts
    for option, names in (("--list-faults", CATALOGUE), ("--list-timings", TIMING)):
        done = _modem(option)
        assert done.exit_code == 0
        rows = [line for line in done.output.splitlines() if line.startswith("  ") and line[2] != " "]
        listed = [row.replace("=", " ").split()[0] for row in rows]
        assert sorted(listed) == sorted(names)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--fault", "mut"), "no such fault: mut (did you mean mute?)"),
        (("--fault", "xyzzy"), "no such fault: xyzzy; `godwit modem --list-faults`"),
        (("--fault", "mute"), "mute needs an argument: never answer"),
        (("--fault", "drop=often"), "bad argument 'often', a number is wanted"),
        (("--timing", "bot=1"), "no such timing: bot (did you mean boot?); see --list-timings"),
        (("--timing", "boot"), "not NAME=SECONDS: boot"),
        (("--family", "bg95", "--model", "r422"), "no such model: r422 (there are none in this family)"),
        (("--family", "sara_r5", "--model", "r4"), "no such model: r4 (there are r510, r422)"),
    ],
)
def test_what_the_modem_cannot_do_is_said_in_one_line(args, words):
    done = _modem(*args)
    assert done.exit_code == 1
    assert words in done.output and len(done.output.splitlines()) == 1
