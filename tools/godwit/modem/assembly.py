"""From bytes to command lines (V.250, modems.md 1.1): what is before `AT` is discarded, CR ends a command."""

_CR, _LF, _QUOTE = 0x0D, 0x0A, 0x22
_BACKSPACE = (0x08, 0x7F)
OVERFLOW = "\0"  # a command that is too long; no grammar takes it


class Assembler:
    """Takes one byte after the other. `quotes_hold`: line ends within quotes belong to the command."""

    def __init__(self, limit, quotes_hold, echo):
        self._limit = limit
        self._quotes_hold = quotes_hold
        self._echo = echo  # called with the bytes of commands
        self._command = None  # bytearray after AT, None while looking for AT
        self._last = 0
        self._quoted = self._overflow = False

    @property
    def typing(self):
        """Has a command begun that is not complete?"""
        return self._command is not None

    def take(self, byte):
        """One byte; returns the text after AT when a command is complete, else None."""
        if self._command is None:
            self._look(byte)
            return None
        self._echo(bytes((byte,)))
        if byte == _CR and not self._quoted:
            text, self._command, self._last = bytes(self._command), None, 0
            return OVERFLOW if self._overflow else text.decode("latin-1")
        if byte in _BACKSPACE and not self._quoted:
            del self._command[-1:]
        elif byte == _LF and not self._command:
            pass
        elif len(self._command) >= self._limit:
            self._overflow, self._quoted = True, False
        else:
            self._command.append(byte)
            if byte == _QUOTE and self._quotes_hold:
                self._quoted = not self._quoted
        return None

    def _look(self, byte):
        start = self._last in b"Aa" and byte in b"Tt" if self._last else False
        self._last = byte
        if start:
            self._command = bytearray()
            self._quoted = self._overflow = False
            self._echo(b"AT")
