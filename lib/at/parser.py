"""Byte-level parser of an AT channel: bytes in, events out; no I/O, no clock, no asyncio (modems.md 1.2-1.5).

`feed(buf, n)` may be called with any split of the stream. Events go to `sink` at once: on_info, on_urc, on_final,
on_prompt, on_data, on_boot, on_unknown. Called by at.client; a family's tables (announcers, boot lines, dual
prefixes) come from its modem driver. RAM: one buffer of `size` bytes (4096), shared by lines and raw blocks.
"""

from micropython import const

from at.fields import is_urc, scan_int, split

_LINE = const(0)  # collecting a line
_EAT_RAW = const(1)  # one LF may still belong to the announcing line, then a raw block
_RAW = const(2)  # collecting a counted block
_SKIP = const(3)  # swallowing a counted block that is larger than the buffer
_EAT_QUOTE = const(4)  # the closing quote after a raw block that began inside a line

_IDLE = const(0)  # no command
_CMD = const(1)  # waiting for info lines and a final result
_PROMPT = const(2)  # the same, and a prompt may come first
_TX = const(3)  # the payload was sent, waiting for its result

_CR = const(13)
_LF = const(10)
_COMMA = const(44)
_QUOTE = const(34)
_MAX_RAW = const(65535)  # an announced count above this is a corrupt line, not a block

# Final result codes (modems.md 1.2): whole lines, each between line ends, and beginnings of lines.
_GOOD = b"\nOK\nSEND OK\nCLOSE OK\nSHUT OK\n"
_GOOD_BEGIN = (b"CONNECT", b"DATA ACCEPT:")
_BAD = b"\nERROR\nSEND FAIL\nNO CARRIER\nNO ANSWER\nNO DIALTONE\nBUSY\nABORTED\nCONNECT FAIL\n"
_BAD_BEGIN = (b"+CME ERROR:", b"+CMS ERROR:")
_NUMERIC = (b"0", b"4")  # OK, ERROR: ATV0 was left on; the client turns it off (edge 16)
_TWO_LINES = (b"+CMT:", b"+CDS:")  # the PDU follows on the next line (edge 13)
_NEVER = (b"RING", b"DST:")  # news that looks like free text, and that nobody needs (edges 13, 26)
_SIGILS = b"+%#*^"  # a line `<sigil>NAME: ...` is never the free text of AT+CGMR and the like


class Parser:
    """See the module.

    announcers: tuples (prefix, index of the count field, where the block begins: b"\\n" after the line, b"," after
    the comma behind the count, b'"' after the quote behind it). dual: tuple of prefixes whose URC and read answer
    look alike. boot: tuple of beginnings of boot lines. The client keeps `urcs` up to date.
    """

    def __init__(self, sink, size=4096, announcers=(), dual=(), boot=()):
        self._sink = sink
        self._size = size
        self._buf = bytearray(size)
        self._mv = memoryview(self._buf)
        self._announcers = announcers
        self._dual = dual
        self._boot = boot
        self.urcs = ()  # prefixes that somebody handles
        self.ignored = b""  # prefixes, each between blanks, of news that is known and that nobody needs
        self.synced = False  # until the first dialogue worked, unknown lines are noise
        self.numeric = False  # a numeric result code was seen
        self.mute = False  # ATE0 was obeyed: an echo means that the modem restarted (edge 10)
        self.overflows = 0  # lines longer than the buffer, dropped
        self.oversize = 0  # raw blocks larger than the buffer, dropped
        self.stalled = 0  # raw blocks that never became complete
        self.unknown = 0  # lines that nobody expected
        self.strays = 0  # results without a command
        self.fill = 0  # bytes collected
        self.state = _LINE
        self.raw_left = 0  # bytes still missing of a raw block
        self._raw_line = None
        self._raw_tail = None
        self._first_line = None
        self._prompt_byte = -1
        self.end()

    # --- the command in flight -------------------------------------------------------------------------------------

    def begin(self, cmd, prefix=None, free=False, prompt=None, done=None, multiline=False):
        """A command (bytes, without CR) is about to be sent.

        prefix: of its info lines (a tuple for several), or None. free: info lines without prefix are its answer.
        prompt: b">", b"@", or a line (b"OK", b"CONNECT", b"DOWNLOAD") after which the payload goes. done: prefix of the
        line that ends the data phase; a 0 behind it means success. multiline: quoted values may hold line ends.
        """
        self.cmd = cmd  # public: a block that does not say whose it is, is of whom was asked
        self._prefix = prefix
        self._free = free
        self._prompt = prompt
        self._done = done
        self._multiline = multiline
        self._phase = _PROMPT if prompt else _CMD
        self._prompt_byte = prompt[0] if prompt in (b">", b"@") else -1

    def data_sent(self):
        """The payload has been written: what comes now is its result."""
        self._phase = _TX

    def end(self):
        """No command any more (it is over, or was given up)."""
        self._phase = _IDLE
        self.cmd = self._prefix = self._prompt = self._done = None
        self._free = self._multiline = False
        self._prompt_byte = -1

    # --- bytes -----------------------------------------------------------------------------------------------------

    def feed(self, buf, n):
        """Consume buf[0:n] (bytes-like); events are delivered before this returns. No allocation per byte."""
        i = 0
        while i < n:
            i = self._scan(buf, i, n) if self.state == _LINE else self._take(buf, i, n)

    def resync(self):
        """Give up the line or raw block in progress. Boot lines that a stalled block swallowed are reported."""
        fill, state = self.fill, self.state
        self.fill = 0
        self.state = _LINE
        self._first_line = None
        if state == _LINE:
            return
        self.stalled += 1
        self.raw_left = 0
        if state == _RAW:
            for part in bytes(self._mv[:fill]).replace(b"\r", b"\n").split(b"\n"):
                if part.startswith(self._boot):
                    self._sink.on_boot(part)

    def _scan(self, src, i, n):
        """Collect line bytes from src[i:n]; returns the index after the last byte used. Handlers may change state."""
        line = self._buf
        size = self._size
        fill = self.fill
        prompt = self._prompt_byte
        while i < n:
            c = src[i]
            i += 1
            if c == _CR or c == _LF:
                if fill:
                    self.fill = fill
                    if self._multiline and self._keep(c):
                        fill += 1
                        continue
                    self._end_line()
                    return i
                continue
            if c == 0:  # modems emit NUL while their UART powers up
                continue
            if fill < size:
                line[fill] = c
            fill += 1
            if c == prompt and fill == 1:
                self.fill = 0
                self._prompt_byte = -1
                self._sink.on_prompt()
                return i
            if c == _COMMA or c == _QUOTE:
                self.fill = fill
                if self._raw_mid_line(c):
                    return i
        self.fill = fill
        return i

    def _take(self, src, i, n):
        """Consume bytes of src[i:n] that are not line bytes."""
        state = self.state
        if state == _EAT_RAW:
            self.state = _RAW if self.raw_left <= self._size else _SKIP
            return i + 1 if src[i] == _LF else i
        if state == _EAT_QUOTE:
            self.state = _LINE
            return i + 1 if src[i] == _QUOTE else i
        count = min(self.raw_left, n - i)
        if state == _RAW:
            self._mv[self.fill : self.fill + count] = src[i : i + count]
            self.fill += count
        self.raw_left -= count
        if not self.raw_left:
            self._end_raw(state == _RAW)
        return i + count

    # --- raw blocks ------------------------------------------------------------------------------------------------

    def _start_raw(self, line, index, tail):
        """Enter counted mode when field `index` of `line` is a sane count; -> whether it was."""
        fields = split(line)
        count = scan_int(fields[index]) if len(fields) > index else None
        if count is None or not 0 <= count <= _MAX_RAW:
            return False
        self.fill = 0
        self._raw_line = line
        self._raw_tail = tail
        self.raw_left = count
        if not count:
            self._end_raw(True)
        elif tail == b"\n":
            self.state = _EAT_RAW
        else:
            self.state = _RAW if count <= self._size else _SKIP
        return True

    def _raw_mid_line(self, c):
        """A comma or quote has arrived: does a block begin right here, in the middle of a line (modems.md 1.3.6)?"""
        for prefix, index, tail in self._announcers:
            if tail[0] != c or not len(prefix) < self.fill <= self._size or not self._buf.startswith(prefix):
                continue
            line = bytes(self._mv[: self.fill])
            if line.count(b",") == index + 1 and (c == _COMMA or line.endswith(b',"')):
                return self._start_raw(line, index, tail)
        return False

    def _end_raw(self, whole):
        line, fill = self._raw_line, self.fill
        self.state = _EAT_QUOTE if self._raw_tail == b'"' else _LINE
        self.fill = 0
        self._raw_line = None
        if not whole:
            self.oversize += 1
        self._sink.on_data(line, self._mv[:fill] if whole else None)

    # --- lines -----------------------------------------------------------------------------------------------------

    def _keep(self, c):
        """A line end within quotes is part of the value: keep it there; -> whether it was."""
        inside = bytes(self._mv[: min(self.fill, self._size)]).count(b'"') & 1
        if inside and self.fill < self._size:
            self._buf[self.fill] = c
        return inside

    def _end_line(self):
        fill = self.fill
        self.fill = 0
        if fill > self._size:
            self.overflows += 1
            return
        line = bytes(self._mv[:fill]).strip()
        if line:
            self._classify(line)

    def _classify(self, line):
        """Deliver one complete line; the order of the tests is modems.md 1.3.3."""
        sink = self._sink
        if self._first_line is not None:
            line = self._first_line + b"\n" + line
            self._first_line = None
            sink.on_urc(line)
            return
        for prefix, index, tail in self._announcers:
            if tail == b"\n" and line.startswith(prefix) and self._start_raw(line, index, tail):
                return
        if self._phase != _IDLE and (self._final(line) or self._answer(line)):
            return
        if line.startswith(self._boot):
            sink.on_boot(line)
        elif line.startswith(_TWO_LINES):
            self._first_line = line
        elif line.startswith(self.urcs):
            sink.on_urc(line)
        elif line.startswith(_NEVER):
            pass
        elif self._free and self._phase != _IDLE and not (line[0] in _SIGILS and b": " in line):
            sink.on_info(line)
        else:
            self._odd(line)

    def _final(self, line):
        """Ends the command (or its first half) when `line` is a result code; -> whether it was."""
        phase = self._phase
        if phase == _TX and self._done:
            if line.startswith(self._done):
                self._finish(line[len(self._done) :].strip() == b"0", line)
                return True
            if line == b"OK":  # of a command typed before; the data phase ends with `done` only
                return False
        ok = _meaning(line)
        if phase == _PROMPT and ok is not False and line.startswith(self._prompt):
            self._sink.on_prompt()
            return True
        if ok is None:
            if self._prefix is not None or self._free or line not in _NUMERIC:
                return False
            self.numeric = True
            ok = line == _NUMERIC[0]
        self._finish(ok, line)
        return True

    def _finish(self, ok, line):
        self.end()
        self._sink.on_final(ok, line)

    def _answer(self, line):
        """An info line of the command, or its echo; -> whether it was either."""
        prefix = self._prefix
        if prefix and line.startswith(prefix):
            if not (line.startswith(self._dual) and is_urc(line)):
                self._sink.on_info(line)
                return True
        if line != self.cmd:
            return False
        if self.mute:
            self._sink.on_boot(b"echo")  # not the line: it may hold a key
        return True

    def _odd(self, line):
        """Nobody expects this line: a late result, a boot line behind power-up noise, or news of an unknown kind."""
        for word in self._boot:
            if word in line:
                self._sink.on_boot(word)
                return
        if _meaning(line) is not None:
            self.strays += 1
        elif self.synced and not self._is_ignored(line):
            self.unknown += 1
            self._sink.on_unknown(line)

    def _is_ignored(self, line):
        end = line.find(b":") + 1
        return end and b" " + line[:end] + b" " in self.ignored


def _meaning(line):
    """-> whether the final result code `line` means success; None when it is none."""
    whole = b"\n" + line + b"\n"
    if whole in _BAD or line.startswith(_BAD_BEGIN):
        return False
    return True if whole in _GOOD or line.startswith(_GOOD_BEGIN) else None
