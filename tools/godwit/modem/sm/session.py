"""The serial line of the Serial Modem, byte by byte: commands, answers, data mode and unsolicited lines.

Bytes before `AT` are discarded; CR ends a command unless it stands within quotes. One command executes at a time;
what arrives meanwhile waits. Unsolicited lines wait too, until the final result has gone out (4096 bytes at most,
then all are lost), and until data mode ends (modems.md 2A.2). Wired to a Channel and a Core by command.py.
"""

import asyncio
import inspect

from godwit.modem.sm import cmd_generic, cmd_gnss, cmd_keys, cmd_nordic, cmd_socket, cmd_system  # noqa: F401 fills the table
from godwit.modem.sm.grammar import CmeError, CommandError, parse
from godwit.modem.sm.registry import COMMANDS, Reply
from godwit.modem.sm.urc import Urcs

COMMAND_MAX = 8192
_CR, _LF, _QUOTE = 0x0D, 0x0A, 0x22
_BACKSPACE = (0x08, 0x7F)


class Session:
    """Personality object. `core` and `send` are used by the handlers; the rest is between channel and core."""

    def __init__(self, core, channel, *, agnss=True):
        self.core = core
        self.agnss = agnss  # the build with PR #285
        # The time 256 bytes take, plus 10 ms: 32 at 115200.
        self.data_minimum_ms = 256 * 10 * 1000 // (channel.baud or 115200) + 10
        self.data_limit_ms = self.data_minimum_ms
        self.cmee = 0
        self.echo = False
        self._asleep = False
        self._channel = channel
        self._urcs = Urcs(self)
        self._reset_line()
        channel.on_bytes = self.feed
        core.on_notify = self._urcs.notify
        core.on_power = self.power

    def _reset_line(self):
        self._input = bytearray()
        self._command = None  # bytearray after AT, None while looking for AT
        self._last = 0
        self._quoted = False
        self._overflow = False
        self._task = None
        self._phase = None
        self._ending = False
        self._up = False
        self._hold = None

    # power

    def boot(self, first=False):
        """Start up: nothing is heard until the boot line."""
        self.core.spawn(self._boot(first))

    async def _boot(self, first):
        await self.core.clock.sleep(self.core.timing["boot"])
        garbage = self.core.faults.arg("boot_garbage", 20)
        if garbage:
            self.send(self.core.faults.rng.randbytes(garbage))
        self.echo = self.core.faults.on("echo")
        self.data_limit_ms = self.data_minimum_ms
        self.cmee = 0
        self._up = True
        self.core.log.event("boot", first=first)
        self.send(b"Ready\r\n")
        self._pump()

    def power(self, what):
        """`reboot`, `off`, `sleep`: everything in RAM is lost. `crash`: only the modem part is."""
        if what == "crash":
            self.core.modem_reset()
            self._urcs.line("#XMODEM: FAULT,0x5,0x2f3c1a")
            self._urcs.line("#XMODEM: INIT,0")
            return
        if self._phase:
            self._phase.cancel()
        self._urcs.clear()
        self._reset_line()
        self.core.log.event("reboot")
        self.core.power_cut()  # cancels a running command, which may be our caller
        if what == "reboot":
            self.boot()
        else:
            self.core.log.event(what)
            self._asleep = what == "sleep"

    def doze(self):
        """#XSLEEP=2: the UART is off until the host shows up, everything else goes on."""
        self._up = False
        self._asleep = True
        self.core.log.event("doze")

    # bytes in

    def feed(self, data):
        """Bytes from the host."""
        if not self._up:
            self.core.log.count("bytes_ignored", len(data))
            if self._asleep:
                self._asleep = False
                self.boot()
            return
        self._input += data
        self._pump()

    def take_pending(self):
        """Read what has already arrived; True when there was something."""
        return self._channel.pending() and self._channel.poll()

    def _pump(self):
        while self._input and self._task is None and not self._ending:
            if self._phase:
                used = self._phase.feed(bytes(self._input))
                del self._input[:used]
                continue
            line = self._next_command()
            if line is not None:
                self._task = self.core.spawn(self._run(line))
                self._task.add_done_callback(self._settle)
        self.idle()

    def _next_command(self):
        for i, byte in enumerate(self._input):
            line = self._byte(byte)
            if line is not None:
                del self._input[: i + 1]
                return line
        self._input.clear()
        return None

    def _byte(self, byte):
        """One byte of a command; returns the text after AT when it is complete."""
        if self._command is None:
            start = self._last in b"Aa" and byte in b"Tt" if self._last else False
            self._last = byte
            if start:
                self._command = bytearray()
                self._quoted = self._overflow = False
                self._echo(b"AT")
            return None
        self._echo(bytes((byte,)))
        if byte == _CR and not self._quoted:
            text, self._command, self._last = bytes(self._command), None, 0
            return "\0" if self._overflow else text.decode("latin-1")
        if byte in _BACKSPACE and not self._quoted:
            del self._command[-1:]
        elif byte == _LF and not self._command:
            pass
        elif len(self._command) >= COMMAND_MAX:
            self._overflow, self._quoted = True, False
        else:
            self._command.append(byte)
            if byte == _QUOTE:
                self._quoted = not self._quoted
        return None

    def _echo(self, data):
        if self.echo:
            self.send(data)

    # execution

    async def _run(self, line):
        faults, upper = self.core.faults, line.upper()
        self.core.log.count("commands")
        if faults.hits("reboot_on", upper):
            self.power("reboot")
            return
        late_s, mute = faults.hits("late", upper), faults.hits("mute", upper)
        reply = Reply()
        try:
            if faults.hits("error", upper):
                raise CommandError
            reply = await self._handle(line)
            answer = self._success(line, reply)
        except CmeError as err:
            answer = self._error(err.code)
        except CommandError as err:
            answer = b"".join(_framed(text) for text in err.lines) + b"\r\nERROR\r\n"
        if late_s is not None:
            await asyncio.sleep(late_s)
        if mute is None:
            self.send(answer)
        else:
            reply = Reply()
        self._task = None
        if reply.phase:
            self._phase = reply.phase
            self._phase.begin(self)
        if reply.then:
            reply.then()
        self._pump()

    def _settle(self, task):
        if task is self._task:  # it failed without an answer (a bug of ours); the line must not stay blocked
            self._task = None
            self.send(b"\r\nERROR\r\n")
            self._pump()

    async def _handle(self, line):
        name, operation, params = parse(line)
        handler = COMMANDS.get((name, operation))
        if handler is None:
            self.core.log.count("unknown_commands")
            raise CommandError
        result = handler(self, params)
        if inspect.isawaitable(result):
            result = await result
        if isinstance(result, Reply):
            return result
        if result is None:
            return Reply()
        return Reply(result) if isinstance(result, str) else Reply(*result)

    @staticmethod
    def _success(line, reply):
        # SM frames each line of its own commands; what the modem itself answers comes as one block.
        lines = reply.lines if line.startswith("#") or not reply.lines else ["\r\n".join(reply.lines)]
        return b"".join(_framed(text) for text in lines) + reply.raw + b"\r\nOK\r\n"

    def _error(self, code):
        return b"\r\n+CME ERROR: %d\r\n" % code if self.cmee else b"\r\nERROR\r\n"

    # data mode

    def phase_ending(self):
        """The last byte of data mode is in; sending may take a moment more."""
        self._ending = True

    def phase_done(self, result):
        """Data mode is over."""
        self._phase = None
        self._ending = False
        self.send(b"\r\n#XDATAMODE: %d\r\n" % result)
        self._pump()

    # bytes out

    def send(self, data):
        """To the host, as it is."""
        self._channel.write(data)

    def announce(self, text):
        """Queue one unsolicited line."""
        self._urcs.line(text)

    @property
    def in_data_mode(self):
        """Between OK and #XDATAMODE?"""
        return self._phase is not None

    @property
    def executing(self):
        """Is a command being executed?"""
        return self._task is not None

    def idle(self):
        """Let waiting unsolicited output go, if nothing forbids it."""
        if not self._up or self.executing or self._ending:
            return
        if self.echo and self._command is not None and self._hold is None:
            # Somebody is typing: up to a second of grace.
            self._hold = asyncio.get_running_loop().call_later(1.0, self._release)
        if self._hold is None or self._command is None:
            self._urcs.flush()

    def _release(self):
        self._hold = None
        if self._up and not self.executing and not self._ending:
            self._urcs.flush()


def _framed(text):
    return b"\r\n" + text.encode("latin-1") + b"\r\n"
