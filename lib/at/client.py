"""AT client: one reader task, one lock, one command in flight (modems.md 1.3, 1.4; V.250).

A modem driver calls `command`, `urc`, `data` and `expect`; nothing else touches the stream. Commands that time out or
are cancelled leave the channel suspect: it is drained and probed before anybody is told (or before the next command).
RAM: the parser's 4096 bytes, a 256 byte read buffer, and the info lines of the command in flight.
"""

import asyncio
from errno import EIO, ETIMEDOUT
from time import ticks_diff, ticks_ms

from micropython import const

from at.errors import ATError, ModemReset
from at.fields import readable
from at.parser import Parser
from at.wait import Deadlines, Waiter

_READ = const(256)
_DATA_MS = const(10000)  # from the last payload byte to its result
_SHOWN = const(48)  # of a line in the log
_EMPTY_READS = const(50)  # reads of nothing in a row, after which the stream is gone


class Client:
    """`stream`: a UART (timeout=0) or pty that asyncio.StreamReader accepts, or an object with async readinto and
    drain and a plain write. `on_boot(line)` is called when a boot line is seen (see `announcers` etc. in at.parser)."""

    probe_ms = 300  # how long a bare AT may take
    quiet_ms = 200  # silence that ends a drain
    drain_ms = 500  # a drain gives up here: the modem keeps talking, but that is news
    least_ms = 0  # what every command is given at least: some families take their time for the simplest
    write_s = 10  # a line that takes no bytes for so long (RTS/CTS) is stuck

    def __init__(self, stream, *, baud=115200, size=4096, announcers=(), dual=(), boot=(), escape=b"", log=None):
        # Shared with at.recover: io, escape, done, suspect, cut, heard.
        if not hasattr(stream, "drain"):
            if hasattr(stream, "fileno"):  # a serial line of an operating system; a UART is used as it is
                from at.tty import prepare

                prepare(stream)
            stream = asyncio.StreamReader(stream)
        self.io = stream
        self._baud = baud
        self.escape = escape  # leaves data mode; harmless in command mode
        self._log = log
        self.parser = Parser(self, size, announcers, dual, boot)
        self.deadlines = Deadlines()
        self.lock = asyncio.Lock()
        self.expected = []  # what must hear that the channel failed: at.expected's own
        self.on_boot_line = None  # callable(bytes); the driver's
        self.expect_boot = False  # the driver restarts the modem itself: boot lines are news, not accidents
        self.dead = None  # the error that ended the stream
        self._urcs = []
        self._datas = []
        self._reader = None
        self.done = Waiter(self.deadlines)
        self._lines = []
        self.suspect = False
        self.cut = False  # a payload was begun, or asked for: the modem may still wait for its rest
        self.strays = 0  # results without a command, as the parser counted them when the channel was last clean
        self.heard = ticks_ms()  # when the last byte came
        self._raw_since = None

    # --- registration ----------------------------------------------------------------------------------------------

    def urc(self, prefix, handler):
        """Call `handler(line)` for each URC that begins with `prefix` (bytes). It must neither block nor send.

        -> what forget() takes.
        """
        entry = (prefix, handler)
        self._urcs.append(entry)
        self.parser.urcs += (prefix,)
        return entry

    def forget(self, entry):
        """Undo urc()."""
        self._urcs.remove(entry)
        self.parser.urcs = tuple([prefix for prefix, _ in self._urcs])

    def data(self, prefix, handler):
        """Call `handler(line, block)` for each raw block; block is a memoryview valid during the call, or None when
        it was larger than the buffer."""
        self._datas.append((prefix, handler))

    def expect(self, prefix):
        """-> an Expected for the next URC with `prefix`. Make it before the command is sent, close it after."""
        from at.expected import Expected

        return Expected(self, prefix)

    # --- commands --------------------------------------------------------------------------------------------------

    async def command(
        self, cmd, prefix=None, timeout_ms=1000, data=None, prompt=None, done=None, pause_ms=0, free=False
    ):
        """Send `cmd` (str or bytes, without CR); -> list of its info lines (bytes).

        data: payload (bytes-like, or a list of them, where None is a silence of pause_ms), sent after `prompt` and over
        with `done`; these, prefix and free as in Parser.begin. Raises ATError, ModemReset, or OSError(ETIMEDOUT) after
        the channel was cleared.
        """
        cmd = cmd.encode() if isinstance(cmd, str) else cmd
        timeout_ms = max(timeout_ms, self.least_ms)
        async with self.lock:
            self.start()
            if self.suspect or self.strays != self.parser.strays:  # a doubled result would answer the wrong command
                await self._resync()
            self.parser.begin(cmd, prefix, free, prompt, done)
            try:
                lines = await self._exchange(cmd, timeout_ms, data, pause_ms)
                if cmd == b"ATE0":
                    self.parser.mute = True
                return lines
            except ModemReset:
                raise
            except OSError as error:
                if error.errno == ETIMEDOUT and self.dead is None:
                    self._note("%s", ATError(cmd, b"no answer"))
                    await self._resync()
                raise

    async def sync(self):
        """Find the modem in command mode whatever state it is in: data mode, half a line, an open quote, echo, noise.

        Raises OSError(ETIMEDOUT) when it does not answer.
        """
        async with self.lock:
            self.start()
            await self._resync()
            self.parser.synced = True

    def start(self):
        """Start the reader task (command and sync do it themselves). Raises what killed the stream, if it is dead."""
        if self.dead is not None:
            raise self.dead
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())

    async def stop(self):
        """End the reader task; the stream stays open and is the caller's."""
        task, self._reader = self._reader, None
        if task is not None:
            task.cancel()
            await asyncio.sleep_ms(0)

    # --- one exchange ----------------------------------------------------------------------------------------------

    async def _exchange(self, cmd, timeout_ms, data, pause_ms):
        """Under the lock. Ends with the parser idle, or the channel marked suspect."""
        parser = self.parser
        waiter = self.done
        self._lines = lines = []
        self.suspect = True  # until the answer is here: after a cancellation it must not meet the next command
        self.cut = data is not None  # its prompt may come when we wait no more
        waiter.clear()
        try:
            await self.write(cmd + b"\r")
            result = await waiter.wait(timeout_ms)
            if not result:  # the prompt: the modem takes the next bytes as payload
                waiter.clear()
                parser.data_sent()
                if isinstance(data, (list, tuple)):
                    from at.bursts import send

                    await send(self, data, pause_ms)
                else:
                    await self.write(data)
                result = await waiter.wait(max(timeout_ms, _DATA_MS))
            elif data is not None and result[0]:
                result = (False, b"no prompt")
            self.suspect = self.cut = False
        finally:
            parser.end()
        if not result[0]:
            raise ATError(cmd, result[1], lines)
        return lines

    async def write(self, buf):
        """Raw bytes out; for the client itself, at.recover and at.bursts, under the lock. OSError(ETIMEDOUT) when the
        modem does not take them."""
        self.io.write(buf)
        if getattr(self.io, "out_buf", True):
            try:
                await asyncio.wait_for(self.io.drain(), self.write_s)
            except asyncio.TimeoutError:
                raise OSError(ETIMEDOUT, "line is stuck")

    async def _resync(self):
        from at.recover import resync

        self._raw_since = None
        await resync(self)

    # --- reader ----------------------------------------------------------------------------------------------------

    async def _read(self):
        """The only reader of the stream."""
        buf = memoryview(bytearray(_READ))
        empty = 0
        try:
            while True:
                n = await self.io.readinto(buf)
                if not n:
                    empty += 1
                    if empty > _EMPTY_READS:
                        raise OSError(EIO, "stream closed")
                    await asyncio.sleep_ms(10)
                    continue
                empty = 0
                self.heard = ticks_ms()
                self._check_stall()
                try:
                    self.parser.feed(buf, n)
                except (MemoryError, ValueError, TypeError, LookupError):
                    # No memory for a line, or a handler that noise has confused, costs the bytes at hand, and not the
                    # reader: a command whose answer was among them times out.
                    self.parser.unknown += 1
                    self.parser.resync()
        except OSError as error:
            self._reader = None
            self.dead = error
            self._note("stream lost: %s", error)
            self._fail(error)
            if self.on_boot_line:
                self.on_boot_line(None)

    def _check_stall(self):
        """A raw block that takes longer than its bytes need will never be complete (edge 9)."""
        left = self.parser.raw_left
        if not left:
            self._raw_since = None
        elif self._raw_since is None:
            self._raw_since = self.heard
        elif ticks_diff(self.heard, self._raw_since) > left * 10000 // self._baud + 1000:
            self._raw_since = None
            self.parser.resync()

    def _fail(self, error):
        self.done.fail(error)
        for expected in self.expected:
            expected.fail(error)

    def _note(self, text, *args):
        if self._log:
            self._log(text % args)

    # --- parser events ---------------------------------------------------------------------------------------------

    def on_info(self, line):
        self._lines.append(line)

    def on_final(self, ok, line):
        if self.done.value == ():  # a prompt, and at once refused: the payload must not be sent (edge 7)
            self.done.clear()
        self.done.put((ok, line))

    def on_prompt(self):
        self.done.put(())

    def on_urc(self, line):
        for prefix, handler in self._urcs:
            if line.startswith(prefix):
                handler(line)

    def on_data(self, line, block):
        for prefix, handler in self._datas:
            if line.startswith(prefix):
                handler(line, block)
                return

    def on_boot(self, line):
        self.parser.mute = False
        if self.expect_boot or not self.parser.synced:
            self.on_urc(line)
            return
        text = readable(line)
        self._note("restarted: %s", text)
        self.suspect = True
        self._fail(ModemReset(text))
        if self.on_boot_line:
            self.on_boot_line(line)

    def on_unknown(self, line):
        # Nothing secret: it may be the echo of a command, a token that came late, or a line of a key.
        head = line.split(b"=")[0]
        if len(head) > _SHOWN:
            head = b"%s %d bytes" % (head[: head.find(b":") + 1], len(line))
        self._note("unexpected: %s", head)
