"""Questions to a script under MicroPython, a JSON line each, and its answers, a JSON line each."""

import json
import os
import subprocess

from harness.run_unit import REPO, program


def ask(interpreter, script, questions):
    """-> the answers, in the order of the questions. `script`: arguments of the interpreter that name the program."""
    done = subprocess.run(
        [str(program(interpreter)), "-X", "heapsize=1m", *script],
        input="".join(json.dumps(question) + "\n" for question in questions),
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "MICROPYPATH": f"{REPO / 'lib'}:.frozen"},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(questions)
    return answers
