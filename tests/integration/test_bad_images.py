"""Row I2: images that behave badly, started from real slots by real MicroPython as the desk does it (boards/unix).

Each is put on trial beside an old image that works. It must be given up after at most three starts, blacklisted, for
the right reason; and the old image, from then on the one that runs, reports that once. A slice of them by default; all
with GODWIT_CAMPAIGN=full, where a line `faults: row=I2 ..` says how it went.
"""

import json
import os
import re
import struct
import subprocess
import time
import zlib

import pytest

from godwit import bundle, keys
from godwit.day.node import reset_cause
from godwit.places import BUILD, REPO
from harness import bad_images

FULL = os.environ.get("GODWIT_CAMPAIGN") == "full"
SLICE = ("throws_at_import", "loops", "eats_the_heap", "overwrites_one_record", "unauthorised", "deletes_itself")
BITS = (64, 32)
MOST_STARTS = 3
_LIMIT_S = 60  # of one start, whatever this machine is busy with
_WATCHDOG_S = {"loops": 3}  # the application's own period is 20 min
_HEAP = {64: "320k", 32: "160k"}


def micropython(bits):
    program = BUILD / "bin" / f"micropython{bits}"
    if not program.exists():
        pytest.skip(f"no {bits}-bit MicroPython on this machine")
    return [str(program), "-X", f"heapsize={_HEAP[bits]}"]


@pytest.fixture(scope="module")
def key():
    return keys.make_key()


@pytest.fixture(scope="module")
def tree():
    """The firmware as a slot has it, but for app.py and what none of the images imports. The names that the images use
    stay: those of test_squeeze.py, so that both have one compilation."""
    named = set()
    for path in [*(REPO / "tests" / "unit").glob("test_*.py"), *(REPO / "tests" / "harness").glob("*.py")]:
        named.update(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", path.read_text(encoding="utf-8")))
    files = bundle.firmware_files("unix", keep=frozenset(named))
    unused = re.compile(r"app\.|gnss/|net/|modem/[a-z0-9_]*/|cloud/[a-z]*/|jwt|es256|session|shadow|schema|config")
    return {path: code for path, code in files.items() if not unused.match(path)}


def image(tree, key, app, version, sequence):
    """A bundle of `app` and the tree; of its board only, when the application needs no more."""
    if "tasks" not in str(app):
        tree = {"board.mpy": tree["board.mpy"]}
    name = "app.mpy" if isinstance(app, bytes) else "app.py"
    content = app if isinstance(app, bytes) else app.encode()
    kind = bundle.device_class("unix")
    return bundle.build_bundle({**tree, name: content}, version=version, sequence=sequence, device_class=kind, key=key)


def record(n, pending, digest):
    """A state record as a selector of version 1 has left it: slot a is active."""
    body = struct.pack("<2sBBBBIIBB16s48s", b"GB", 1, 1, pending, 0, n, 1, 0, 0, digest, b"")
    return body + struct.pack("<I", zlib.crc32(body))


class Bench:
    """A flash image with `old` in slot a and `new` on trial in slot b, and the power switch."""

    def __init__(self, folder, bits, old, new, watchdog_s=None):
        self._program = micropython(bits)
        self._folder = folder
        self._cause = 1
        self.watchdog_s = watchdog_s
        self.digest = bundle.HEADER.unpack_from(new)[6][:16]
        stage = folder / "stage"
        for slot, content in (("a", old), ("b", new)):
            for name, data in bundle.slot_files(content).items():
                (stage / slot / name).parent.mkdir(parents=True, exist_ok=True)
                (stage / slot / name).write_bytes(data)
        for name, data in bundle.factory_files("unix").items():
            (stage / name).write_bytes(data)
        (stage / "boot.1").write_bytes(record(1, 0, bytes(16)))
        (stage / "boot.0").write_bytes(record(2, 2, self.digest))
        (stage / "data").mkdir()
        job = {"id": "job-1", "state": "installing", "detail": None, "seq": 0, "digest": self.digest.hex()}
        (stage / "data" / "job.json").write_text(json.dumps(job))
        (folder / "world").write_bytes(bytes(16))
        script = str(REPO / "boards/unix/mkflash.py")
        subprocess.run([*self._program, script, folder / "flash", stage], check=True, capture_output=True, timeout=30)

    def start(self):
        """One start, to its end; -> (exit status, output)."""
        env = {
            "PATH": os.environ.get("PATH", ""),
            "GODWIT_FLASH": str(self._folder / "flash"),
            "GODWIT_WORLD": str(self._folder / "world"),
            "GODWIT_WARP": "1",
            "GODWIT_RESET": str(self._cause),
        }
        if self.watchdog_s:
            env["GODWIT_WDT_S"] = str(self.watchdog_s)
        done = subprocess.run(
            [*self._program, str(REPO / "boards/unix/_boot.py")], env=env, cwd=self._folder, timeout=_LIMIT_S,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._cause = reset_cause(done.returncode)
        return done.returncode, done.stdout.decode(errors="replace")


def until_the_old_one(bench, most=6):
    """Start until the old image has run; -> (starts before, what it said, all output)."""
    output = []
    for starts in range(most):
        _, text = bench.start()
        output.append(text)
        if starts == MOST_STARTS - 1:
            bench.watchdog_s = None  # the old image may take its time
        said = re.search(r"^GOOD (.*)$", text, re.MULTILINE)
        if said:
            return starts, json.loads(said[1]), "\n".join(output)
    pytest.fail("the old image never ran:\n" + "\n".join(output))


def judge(bench, reason, starts, why):
    """-> number of starts of the bad image, or an AssertionError."""
    had, said, output = until_the_old_one(bench)
    assert had == starts <= MOST_STARTS, output
    assert (said["version"], said["slot"]) == ("1.0.0", "a"), output
    assert said["rolled_back"] in reason.split(), output
    assert said["why"].startswith(why) and len(said["why"].encode()) <= 120, said
    assert said["bad"] == [bench.digest.hex()]
    detail = f"Update could not be validated: {said['rolled_back']}" + (f": {said['why']}" if said["why"] else "")
    assert said["told"] == [{"id": "job-1", "state": "failed", "detail": detail}], said
    _, again, _ = until_the_old_one(bench, 1)
    assert again["told"] == said["told"] and again["bad"] == said["bad"] and not again["safe"], again
    return had


@pytest.mark.limit(400 if FULL else 120)
@pytest.mark.parametrize("bits", BITS)
def test_bad_images_are_given_up(bits, tmp_path, tree, key):
    began, worst, broken, bricks = time.monotonic(), 0, [], 0
    old = image(tree, key, bad_images.GOOD, "1.0.0", 1)
    rows = [row for row in bad_images.BAD if FULL or row[0] in SLICE]
    for name, app, reason, starts, why in rows:
        (tmp_path / name).mkdir()
        bench = Bench(tmp_path / name, bits, old, image(tree, key, app, "1.1.0", 2), _WATCHDOG_S.get(name))
        try:
            worst = max(worst, judge(bench, reason, starts, why))
        except (AssertionError, pytest.fail.Exception) as problem:
            print(f"bad {name} {bits}: {problem}")
            bricks += isinstance(problem, pytest.fail.Exception)
            broken.append(name)
    seconds = time.monotonic() - began
    print(
        f"faults: row=I2 part=images bits={bits} cases={len(rows)} failures={len(broken)} boots={worst} "
        f"bricks={bricks} seconds={seconds:.1f}"
    )
    assert not broken


@pytest.mark.parametrize("bits", BITS)
def test_ctrl_c_is_no_crash(bits, tmp_path, tree, key):
    app = 'def run(root, running):\n    print("BAD")\n    raise KeyboardInterrupt\n'
    bench = Bench(tmp_path, bits, image(tree, key, bad_images.GOOD, "1.0.0", 1), image(tree, key, app, "1.1.0", 2))
    status, text = bench.start()
    assert status == 0 and "stopped at the terminal" in text and "Traceback" not in text
