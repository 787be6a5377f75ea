"""The command table: which handler answers which command, and what a handler may return.

A handler is `fn(dev, params)`, plain or async, registered with `@command(name, *operations)`. It returns None, one
line, a list of lines, or a Reply; it raises CommandError or CmeError. `dev` is the Session.
"""

COMMANDS = {}


class Reply:
    """An answer that is more than lines.

    raw: bytes sent as they are before the final result; phase: a DataPhase that begins after OK; then: a callable
    made after the final result.
    """

    def __init__(self, *lines, raw=b"", phase=None, then=None):
        self.lines = lines
        self.raw = raw
        self.phase = phase
        self.then = then


def command(name, *operations):
    """Register a handler for `name` and operations (exec, set, read, test)."""

    def register(fn):
        for operation in operations:
            COMMANDS[name, operation] = fn
        return fn

    return register


def accepts(*names, operation="set"):
    """Commands that are taken and change nothing that the simulator models."""
    for name in names:
        COMMANDS[name, operation] = lambda dev, params: None
