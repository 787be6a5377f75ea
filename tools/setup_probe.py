"""What a MicroPython executable is: asked of itself, because names and versions on PATH say little.

Used by bootstrap.py only; CPython standard library only.
"""

import re
import subprocess

_PROBE = """
import sys
v = sys.implementation
d = 0
try:
    import tls
    d = int(hasattr(tls, 'PROTOCOL_DTLS_CLIENT'))
except ImportError:
    pass
print('probe', v.name, '.'.join([str(n) for n in v.version[:3]]), 64 if sys.maxsize >> 32 else 32, d)
"""
# The first integer that a single-precision float cannot hold; from text, so that no compiler folds it.
_PROBE_FLOAT = "print('single', float('16777217') == float('16777216'))"


class SetupError(Exception):
    """One line for the person at the terminal."""


def _ask(program, code):
    """What the program prints when it runs `code`; SetupError when it cannot be started."""
    try:
        done = subprocess.run(
            [str(program), "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise SetupError("%s cannot be run: %s" % (program, exc)) from None
    return done.stdout


def probe(program):
    """(version tuple, word size, has DTLS) of a MicroPython executable; SetupError when it is none or cannot run."""
    output = _ask(program, _PROBE)
    match = re.search(rb"probe micropython ([\d.]+) (\d+) ([01])", output)
    if not match:
        raise SetupError("%s is not a MicroPython that runs here" % program)
    version = tuple(int(n) for n in match.group(1).decode().split("."))
    return version, int(match.group(2)), match.group(3) == b"1"


def qualify(program, bits):
    """Version as text when the executable can run Godwit; otherwise SetupError says what it lacks."""
    version, found_bits, dtls = probe(program)
    text = ".".join(map(str, version))
    if version < (1, 25):
        raise SetupError("%s is MicroPython %s: 1.25 or newer is needed" % (program, text))
    if not dtls:
        raise SetupError("%s has no DTLS (module tls without PROTOCOL_DTLS_CLIENT)" % program)
    if found_bits != bits:
        raise SetupError("%s is a %d-bit MicroPython, %d-bit is wanted" % (program, found_bits, bits))
    return text


def is_single(program):
    """Whether its floats are single precision, as those of the boards are."""
    return _ask(program, _PROBE_FLOAT).strip() == b"single True"
