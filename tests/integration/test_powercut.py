"""Power cuts for real: a MicroPython process on a flash image in a file, killed with SIGKILL at random moments.

The simulated campaigns (tests/unit/test_journal.py, test_fota_slots.py) cut inside every flash operation; this one
shows that nothing of what they prove depends on the simulator. GODWIT_SEED repeats a failing run's moments as well
as a process can be timed; GODWIT_CAMPAIGN=full kills 20 times as often and runs the simulated campaigns in full.
"""

import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from godwit import bundle, keys
from godwit.places import BUILD
from harness import run_unit

REPO = Path(__file__).resolve().parents[2]
NODE = REPO / "tests" / "integration" / "powercut_device.py"
MKFLASH = REPO / "boards" / "unix" / "mkflash.py"
FULL = os.environ.get("GODWIT_CAMPAIGN") == "full"
CLASS = "godwit-unix"
BITS = [64, 32]


def micropython(bits):
    program = BUILD / "bin" / f"micropython{bits}"
    if not program.exists():
        pytest.skip(f"no {bits}-bit MicroPython on this machine")
    return [str(program), "-X", "heapsize=2m"]


def make_flash(bits, image, tree):
    subprocess.run([*micropython(bits), MKFLASH, image, tree], check=True, capture_output=True, timeout=30)


def life(bits, words, lines=None, delay_s=0.0):
    """Run the node; kill it `delay_s` after it has said so many lines, or let it end; -> (lines as words, killed).

    Counting lines instead of seconds makes a life as long on a slow machine as on a fast one.
    """
    command = [*micropython(bits), str(NODE), str(REPO), *map(str, words)]
    heard = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            for raw in process.stdout:
                heard.append(raw)
                if lines is not None and len(heard) >= lines:
                    time.sleep(delay_s)
                    break
        finally:
            process.kill() if lines is not None else None
            heard += process.stdout.readlines()
            status = process.wait(20)
    assert status in (0, -9), b"".join(heard).decode()
    if heard and not heard[-1].endswith(b"\n"):
        heard.pop()  # cut off, as the node's life was
    return [raw.decode().split() for raw in heard], status != 0


def moments():
    seed = int(os.environ.get("GODWIT_SEED") or time.time_ns() % 1_000_000)
    print("seed", seed)
    return random.Random(seed)


@pytest.mark.parametrize("bits", BITS)
def test_killed_queue_loses_nothing(bits, tmp_path):
    image = tmp_path / "flash"
    (tmp_path / "tree").mkdir()
    make_flash(bits, image, tmp_path / "tree")
    rng = moments()
    tried, kept, got, resent, kills = set(), {}, {}, 0, 0
    for _ in range(200 if FULL else 10):
        again = 0
        lines, killed = life(bits, [image, "queue"], rng.randint(40, 1000), rng.uniform(0, 0.005))
        kills += killed
        for word, *values in lines:
            if word == "try":
                tried.add(values[0])
            elif word == "kept":
                kept[int(values[0])] = values[1]
            elif word == "got":
                seq = int(values[0])
                again += seq in got
                got[seq] = values[1]
            else:
                pytest.fail(f"node said {word} {values}")
        resent = max(resent, again)
    (*last, end), _ = life(bits, [image, "queue-read"])
    for _, seq, value in last:
        got[int(seq)] = value
    print(f"{kills} kills, {len(kept)} records")
    assert end == ["end", "0"]
    assert kills >= 10 and len(kept) > 10 * kills
    assert {seq: got.get(seq) for seq in kept} == kept
    assert set(got.values()) <= tried  # nothing invented
    assert resent <= 8  # one batch


@pytest.mark.parametrize("bits", BITS)
def test_killed_update_ends_in_the_new_version(bits, tmp_path):
    key = keys.make_key()
    content = {f"part{i}.mpy": b"M\x06\x00\x1f" + bytes([i]) * 9000 for i in range(12)}
    old = bundle.build_bundle(content, version="1.0.0", sequence=1, device_class=CLASS, key=key)
    content = {name: code + b"new" for name, code in content.items()}
    new = bundle.build_bundle(content, version="1.1.0", sequence=2, device_class=CLASS, key=key)
    slot = tmp_path / "tree" / "a"
    slot.mkdir(parents=True)
    for name, data in bundle.slot_files(old).items():
        (slot / name).write_bytes(data)
    make_flash(bits, tmp_path / "flash", tmp_path / "tree")
    (tmp_path / "new").write_bytes(new)
    (tmp_path / "key").write_bytes(keys.modulus(key))
    words = [tmp_path / "flash", "update", tmp_path / "new", tmp_path / "key", CLASS]
    rng = moments()
    pristine = (tmp_path / "flash").read_bytes()
    kills = 0
    for _ in range(20 if FULL else 1):
        (tmp_path / "flash").write_bytes(pristine)
        kills += update_under_fire(bits, words, rng, len(bundle.parse_bundle(new)[3]))
    print(f"{kills} kills")
    assert kills >= 3


def update_under_fire(bits, words, rng, payload):
    """Lives of random length until the new version is confirmed; -> number of kills."""
    read = kills = trials = 0
    for number in range(40):
        # Short lives at first, then as long as it takes; three starts of the new image are its limit.
        short = number < 12 and trials < 2
        lines, killed = life(bits, words, rng.randint(1, 7) if short else None, rng.uniform(0, 0.003))
        kills += killed
        read += sum(int(values[0]) for word, *values in lines if word == "read")
        boot = [line for line in lines if line[0] == "boot"]
        for _, version, *_ in boot:
            assert version in ("1.0.0", "1.1.0"), "nothing starts"
        trials += bool(boot and boot[0][3] == "1")
        if boot and boot[0][1:] == ["1.1.0", "b", "0"]:
            assert read <= payload + (kills + 1) * 4096
            return kills
    pytest.fail("not updated after 40 lives")


@pytest.mark.skipif(not FULL, reason="GODWIT_CAMPAIGN=full runs it")
@pytest.mark.limit(600)
@pytest.mark.parametrize("interpreter", ["mp64", "mp32"])
@pytest.mark.parametrize("name", ["test_journal.py", "test_fota_slots.py"])
def test_whole_campaign(name, interpreter):
    outcome = run_unit.run(REPO / "tests" / "unit" / name, interpreter, ["Cut"])
    print(outcome.output)
    assert outcome.problem is None
