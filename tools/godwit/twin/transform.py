"""JSONata expressions on JSON documents: `transform` of GET state, of device lists and of one device (facts 7.2).

The whole language, by the jsonata-python package; an expression has a second and 500 levels, because one that calls
itself would never end. Its regular expressions are Python's, whose worst cases only a signal interrupts.
Called by state.py and rest_devices.py; pure.
"""

import contextlib
import json
import signal
import threading

from jsonata import Jsonata

from .errors import invalid

MAX_EXPRESSION = 4096
_TIME_MS = 1000
_DEPTH = 500


def compiled(expression):
    """The expression ready for transform(). Raises ApiError 422 (4.00) with what is wrong with it."""
    if not 0 < len(expression) <= MAX_EXPRESSION:
        raise invalid(f"transform: 1 to {MAX_EXPRESSION} characters")
    return _guarded(Jsonata, expression)


def transform(program, document):
    """The value of the expression for a JSON document, None for no value. Raises ApiError 422 (4.00)."""
    return _guarded(_evaluate, program, document)


def _evaluate(program, document):
    frame = program.create_frame()
    frame.set_runtime_bounds(_TIME_MS, _DEPTH)
    document = json.loads(json.dumps(document))  # a copy: an expression may change what it gets
    with _alarm(2 * _TIME_MS / 1000):
        value = program.evaluate(document, frame)
    # what has no JSON (a function, a number beyond all bounds) is an error here, not later
    return json.loads(json.dumps(value, allow_nan=False))


@contextlib.contextmanager
def _alarm(seconds):
    """TimeoutError in the code inside after some seconds, where signals can be had: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _ring(number, frame):
    raise TimeoutError("the expression takes too long")


def _guarded(step, *args):
    try:
        return step(*args)
    except Exception as exc:  # the interpreter raises whatever its host language does: ZeroDivisionError, KeyError ...
        raise invalid(f"transform: {exc or type(exc).__name__}"[:200]) from exc
