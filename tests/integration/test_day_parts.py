"""The parts of `godwit run` that need no whole day: processes, node life, options, REST ids."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from day_support import TOOLS, godwit

sys.path.insert(0, str(TOOLS))
from godwit.day import options
from godwit.day.node import Node
from godwit.day.operator import bundle_id
from godwit.day.processes import Child, DayError, parse_json

PYTHON = sys.executable
HOUR_MS = 3600 * 1000


def python(code):
    return [PYTHON, "-u", "-c", code]


def gone(pid, within_s=5):
    """Whether process `pid` has ended (or is only waiting to be collected)."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


# --- children ---------------------------------------------------------------------------------------------------


def test_child_gives_ready_line_then_lines():
    async def scenario():
        lines = []
        code = 'print("""{"event": "ready", "port": 7}"""); print("one"); print("two")'
        child = Child("x", python(code), on_line=lines.append)
        await child.start()
        ready = await child.ready(10)
        status = await child.wait()
        return ready, status, lines

    assert asyncio.run(scenario()) == ({"event": "ready", "port": 7}, 0, ["one", "two"])


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ('import sys; sys.exit("port taken")', "x: ended with status 1 before it was ready: port taken"),
        ("import time; print('hello'); time.sleep(60)", "x: not ready after 1 s: hello"),
    ],
)
def test_child_that_never_gets_ready_says_why(code, words):
    async def scenario():
        child = Child("x", python(code))
        await child.start()
        try:
            with pytest.raises(DayError) as caught:
                await child.ready(1)
        finally:
            await child.stop()
        return str(caught.value)

    assert asyncio.run(scenario()) == words


def test_program_that_does_not_exist_is_one_line():
    with pytest.raises(DayError, match="x: cannot start /nowhere/at/all"):
        asyncio.run(Child("x", ["/nowhere/at/all"]).start())


def test_child_that_ignores_sigterm_is_killed_with_its_grandchild():
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "p = subprocess.Popen([sys.executable, '-c', 'import signal, time;"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)']); print(p.pid); time.sleep(60)"
    )

    async def scenario():
        lines = []
        child = Child("x", python(code), on_line=lines.append)
        await child.start()
        while not lines:
            await asyncio.sleep(0.01)
        await child.stop(grace_s=0.2)
        return child.returncode, int(lines[0])

    status, grandchild = asyncio.run(scenario())
    assert status == -signal.SIGKILL
    assert gone(grandchild)


def test_overlong_line_does_not_stop_the_reader():
    async def scenario():
        lines = []
        child = Child("x", python('print("a" * 3_000_000); print("end")'), on_line=lines.append)
        await child.start()
        await child.wait()
        return lines

    assert asyncio.run(scenario())[-1] == "end"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux")
def test_children_die_with_a_parent_that_is_killed():
    code = (
        "import asyncio, sys; from godwit.day.processes import Child\n"
        "async def main():\n"
        "    child = Child('x', [sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "    await child.start(); print(child.pid, flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen(
        python(code), env=dict(os.environ, PYTHONPATH=str(TOOLS)), stdout=subprocess.PIPE, text=True
    )
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(child)


def test_parse_json_takes_objects_only():
    assert parse_json('{"a": 1}') == {"a": 1}
    assert [parse_json(line) for line in ("", "[1]", "{", "hello", '"x"')] == [None] * 5


# --- the node's life --------------------------------------------------------------------------------------------


def live(argv, act=None):
    """Run a Node on `argv` to its end; -> (node, life events, output lines, error or None)."""
    told, lines = [], []

    async def scenario():
        node = Node(argv, dict(os.environ), ".", lines.append, lines.append, lambda kind, _text: told.append(kind))
        running = asyncio.create_task(node.run())
        try:
            if act is not None:
                await act(node, lines)
            await asyncio.wait_for(running, 20)
            error = None
        except DayError as problem:
            error = str(problem)
        finally:
            await node.stop()
        return node, told, lines, error

    return asyncio.run(scenario())


def test_node_is_started_again_after_reset_and_ends_at_power_off(tmp_path):
    count = tmp_path / "count"
    count.write_text("0")
    code = (
        f"import pathlib, sys; p = pathlib.Path({str(count)!r}); n = int(p.read_text()); p.write_text(str(n + 1));"
        "print('boot', n); sys.exit(3 if n < 2 else 0)"
    )
    node, told, lines, error = live(python(code))
    assert (node.boots, node.resets, error) == (3, 2, None)
    assert lines == ["boot 0", "boot 1", "boot 2"]
    assert told == ["power", "reset", "power", "reset", "power", "off"]


def test_node_cut_off_waits_for_power(tmp_path):
    code = f"import pathlib, sys, time; p = pathlib.Path({str(tmp_path / 'been')!r})\n"
    code += "if p.exists(): sys.exit(0)\np.touch(); print('up'); time.sleep(60)"

    async def act(node, lines):
        while not lines:
            await asyncio.sleep(0.01)
        node.cut()
        await asyncio.sleep(0.3)
        assert node.boots == 1, "started without power"
        node.restore()

    node, told, _lines, _error = live(python(code), act)
    assert told == ["power", "cut", "power", "off"]
    assert (node.boots, node.cuts, node.crashes) == (2, 1, 0)


def test_node_that_keeps_crashing_ends_the_day(monkeypatch):
    monkeypatch.setattr("godwit.day.node._CRASH_BACKOFF_S", (0.01,))
    node, told, _lines, error = live(python("import sys; sys.exit('MemoryError: memory allocation failed')"))
    assert error == "node: crashed 6 times; last words: MemoryError: memory allocation failed"
    assert told.count("crash") == 6


def test_node_that_only_restarts_ends_the_day():
    node, _told, _lines, error = live(["/bin/sh", "-c", "echo no way; exit 3"])
    assert (node.resets, error) == (25, "node: restarted itself 25 times; last words: no way")


# --- options ----------------------------------------------------------------------------------------------------


def test_heap_sizes():
    assert [options.parse_heap(text) for text in ("160k", "1m", "65536", "96K")] == [163840, 1 << 20, 65536, 98304]
    for text in ("", "k", "12x", "1k", "-160k"):
        with pytest.raises(ValueError):
            options.parse_heap(text)


def test_workspace_is_fresh_and_foreign_folders_are_safe(tmp_path):
    places = options.make_workspace(tmp_path / "day")
    places.flash.write_bytes(b"old")
    with pytest.raises(DayError, match="another day is running"):
        options.make_workspace(tmp_path / "day")
    places.lock.close()
    assert not options.make_workspace(tmp_path / "day").flash.exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(DayError, match="not a day's folder"):
        options.make_workspace(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_day_starts_at_six():
    for real_ms in (0, 1_800_000_000_123, 1_800_000_000_000 + 7 * HOUR_MS):
        offset = options.morning_offset_ms(real_ms)
        assert 0 <= offset < 24 * HOUR_MS
        assert (real_ms + offset) % (24 * HOUR_MS) == 6 * HOUR_MS


def test_bundle_ids():
    classic = "https://firmware.nrfcloud.com/8ed13a11-0000/APP*1e29dfa3*v2.0.1/app_update.bin"
    assert bundle_id(classic) == "APP*1e29dfa3*v2.0.1"
    assert bundle_id(classic.replace("*", "%2A")) == "APP*1e29dfa3*v2.0.1"
    assert bundle_id("https://bundles.nrfcloud.com/1d4aab34-8f24/app.bin") == "1d4aab34-8f24"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--modem", "bg95", "--jwt", "modem"), "--jwt modem: bg95 keeps no keys, only nrf91 does"),
        (("--modem", "sim7080", "--dtls", "modem", "--sabotage", "name"), "does not check host names; try --dtls host"),
    ],
)
def test_options_that_clash_are_one_line(arguments, words):
    done = godwit("run", *arguments)
    assert done.returncode == 1 and words in done.stdout
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("arguments", [("--heap", "12"), ("--bits", "16"), ("--hours", "0"), ("--drop", "2")])
def test_bad_options_are_refused(arguments):
    done = godwit("run", *arguments)
    assert done.returncode == 2
    assert "Error: Invalid value" in done.stdout and "Traceback" not in done.stdout
