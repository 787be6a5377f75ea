"""From a Reply to bytes, and the faults that live in an answer (modems.md 7.3: 3, 4, 10, 24)."""

from godwit.modem.registry import Block


class Answers:
    """Owned by Line."""

    def __init__(self, dev):
        self._dev = dev

    def encode(self, what):
        """Framed bytes of an unsolicited line or Block."""
        return self._block(what) if isinstance(what, Block) else _framed(what)

    def success(self, line, reply):
        """The whole answer to a command that has worked."""
        final = b"" if reply.final is None else _framed(reply.final)
        raw = self._block(reply.raw) if isinstance(reply.raw, Block) else reply.raw
        return self._joined(self._dev.framed(list(reply.lines), line), raw, final)

    def failure(self, final, lines=()):
        """The whole answer to one that has not."""
        return self._joined(b"".join(_framed(text) for text in lines), b"", final)

    def _joined(self, lines, raw, final):
        """Lines, block and final result; a fault may put a line that nobody asked for in between, or repeat."""
        faults = self._dev.core.faults
        where = None if self._at_prompts() else faults.arg("urc_inside", "before")
        noise = self._noise() if where else b""
        if faults.on("final_twice"):
            final += final
        if where == "inside" and lines.count(b"\r\n") > 2:
            at = lines.index(b"\r\n", 2) + 2  # behind the first line
            lines, noise = lines[:at] + noise + lines[at:], b""
        if where == "before":
            return noise + lines + raw + final
        if where == "glued":
            return lines + raw + final + noise
        return lines + raw + noise + final

    def before_prompt(self):
        """What comes before a prompt that should not."""
        return self._noise() if self._at_prompts() and self._dev.core.faults.on("urc_inside") else b""

    def _at_prompts(self):
        return self._dev.core.faults.state().get("urc_inside") == "prompt"

    def _noise(self):
        return _framed(self._dev.noise_line(self._dev.core.faults.rng.randrange(9)))

    def _block(self, block):
        """The fault `length`: the count is wrong by so much; the bytes are cut, or the count is."""
        off = self._dev.core.faults.arg("length", 1)
        if off is None:
            return block.encode()
        if off > 0:  # fewer bytes than announced
            return block.encode(data=block.data[: max(len(block.data) - off, 0)])
        return block.encode(announced=max(block.count + off, 0))


def _framed(text):
    return b"\r\n" + text.encode("latin-1") + b"\r\n"
