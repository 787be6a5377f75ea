"""Command tables, and what a handler may return. Each personality has a table of its own.

A handler is `fn(dev, params)`, plain or async, registered with `@table.command(name, *operations)`. It returns None,
one line, a list of lines, or a Reply; it raises CommandError or CmeError. `dev` is the Line of the personality.
"""


class Block:
    """Counted bytes in an answer or an unsolicited line: what announces them, they themselves, and what follows.

    `head` is a text with one `{n}` for the count, without the framing that comes before it; `tail` comes after the
    bytes; `count` is said instead of their number (bytes that go out as hex digits). As an object of its own, so that
    a fault can make the count a lie.
    """

    def __init__(self, head, data, tail=b"", count=None):
        self.head = head
        self.data = data
        self.tail = tail
        self.count = len(data) if count is None else count

    def encode(self, announced=None, data=None):
        """The bytes of the block; `announced` and `data` are what a fault wants instead of the truth."""
        data = self.data if data is None else data
        count = self.count if announced is None else announced
        return b"\r\n" + self.head.replace("{n}", str(count)).encode("latin-1") + data + self.tail


class Reply:
    """An answer that is more than lines.

    raw: a Block, or bytes sent as they are, before the final result; final: the final result, None for none at all;
    phase: a data phase that begins after the final result (feed, begin, cancel); then: made after the final result.
    """

    def __init__(self, *lines, raw=b"", final="OK", phase=None, then=None):
        self.lines = lines
        self.raw = raw
        self.final = final
        self.phase = phase
        self.then = then


class Registry(dict):
    """(name, operation) -> handler; operations are exec, set, read, test."""

    def command(self, name, *operations):
        """Register a handler for `name` and operations."""

        def register(fn):
            for operation in operations:
                self[name, operation] = fn
            return fn

        return register

    def accepts(self, *names, operation="set"):
        """Commands that are taken and change nothing that the simulator models."""
        for name in names:
            self[name, operation] = lambda dev, params: None

    def include(self, other, without=()):
        """Take over another table's commands, but for some names."""
        self.update((key, fn) for key, fn in other.items() if key[0] not in without)
