"""The serial line of a modem, byte by byte: command assembly, execution, prompts, answers, unsolicited lines.

What all families share (modems.md 1.1, 1.2, 1.5, 7.1); a personality is a subclass with a command table and its habits
as class attributes. Bytes before `AT` are discarded, CR ends a command. One command executes at a time; what arrives
meanwhile waits. Wired to a Channel and a Core by command.py.
"""

import asyncio
import inspect

from godwit.modem.answer import Answers
from godwit.modem.assembly import Assembler
from godwit.modem.cme import TEXTS
from godwit.modem.grammar import CmeError, CommandError, parse
from godwit.modem.prompt import Prompt
from godwit.modem.registry import Registry, Reply
from godwit.modem.urc import UrcQueue
from godwit.modem.wire import Wire

_TRIGGERS = ("pdn_deact_on", "remote_close_on")  # faults that act while a command executes


class Line:
    """Personality object. `core`, `cmee`, `echo`, `announce`, `prompt` and `power` are used by the handlers."""

    commands = Registry()
    command_max = 1024
    quotes_hold = False  # does a line end within quotes belong to the command?
    echo_default = True
    cmee_default = 0
    cmee_top = 2
    holds_urcs = False  # while a command executes
    urc_max = 65536
    noise = ("RING", '+CMTI: "ME",3', "+CTZV: 8")  # unsolicited lines that mean nothing to anybody, for faults
    unset_clock = "80/01/06,00:00:00+00"  # +CCLK before the modem knows the time; None: ERROR

    def __init__(self, core, channel, *, agnss=True):
        self.core = core
        self.agnss = agnss  # nRF91: the build with PR #285
        self.cmee = self.cmee_default
        self.echo = False
        self._channel = channel
        self.wire = Wire(core, channel.write, self._feed, lambda: self.power("reboot"))
        self.feed, self.send = self.wire.feed, self.wire.send
        self._answers = Answers(self)
        self.urcs = UrcQueue(self, self.holds_urcs, self.urc_max)
        self._off = self.woke_from = None  # why nothing answers, or answered before: off, sleep, doze, psm
        self._reset_line()
        channel.on_bytes = self.feed
        core.on_notify = self.notified
        core.on_power = self.power
        core.on_key = self.key

    def _reset_line(self):
        self._input = bytearray()
        self._assembler = Assembler(self.command_max, self.quotes_hold, self._echo)
        self._task = None
        self._phase = None
        self._ending = False
        self._up = False

    # what a personality overrides

    async def start_up(self):
        """What is heard after power-on; the UART works. Default: `boot_lines`, of (delay in s, text)."""
        for delay_s, text in self.boot_lines:
            await self.core.clock.sleep(delay_s)
            self.announce(text)

    boot_lines = ()

    def unsolicited(self, kind, *args):
        """Text (or Block, or a list of them) for something that Core notifies; None when it is not said."""
        return None

    def framed(self, lines, name):
        """Information lines of command `name` as bytes."""
        return b"\r\n" + "\r\n".join(lines).encode("latin-1") + b"\r\n" if lines else b""

    def key(self, what, arg):
        """PWRKEY, DTR and the like (control socket). PWRKEY starts what is off and stops what is on."""
        if what == "pwrkey" and self._off or what == "tau" and self._off == "psm":
            self.boot()
        elif what == "pwrkey":
            self.power("off")
        elif what == "dtr" and arg and self._off == "doze":
            self._off, self._up = None, True

    def wakes(self, why):
        """Do bytes from the host end the state `why`?"""
        return why in ("sleep", "doze")

    # power

    def boot(self, first=False):
        """Start up: nothing is heard until the UART is there."""
        self.woke_from, self._off = self._off, None
        self.core.spawn(self._boot(first))

    async def _boot(self, first):
        faults = self.core.faults
        await self.core.clock.sleep(self.core.timing["boot"])
        garbage = faults.arg("boot_garbage", 20)
        if garbage:
            self.send(faults.rng.randbytes(garbage))
        self.echo = self.echo_default or faults.on("echo")
        self.cmee = self.cmee_default
        self._up = True
        self.core.log.event("boot", first=first)
        self.core.powered()
        await self.start_up()
        self._pump()

    def power(self, what):
        """`reboot`, `off`, `sleep`, `psm`: everything in RAM is lost. `crash`: only the modem part is."""
        if what == "crash":
            self.crash()
            return
        if self._phase:
            self._phase.cancel()
        self.urcs.clear()
        self.wire.cut()
        self._reset_line()
        self.core.log.event("reboot")
        self._off = what
        self.core.power_cut(history=what == "psm")  # cancels a running command, which may be our caller
        if what == "reboot":
            self.boot()
        else:
            self.core.log.event(what)

    def crash(self):
        """The modem part dies; where it is the only one, that is a reboot without a reason."""
        self.power("reboot")

    def doze(self):
        """The UART is off until the host shows up, everything else goes on."""
        self._up = False
        self._off = "doze"
        self.core.log.event("doze")

    # bytes in

    def _feed(self, data):
        if not self._up:
            self.core.log.count("bytes_ignored", len(data))
            if self._off and self.wakes(self._off):
                self.boot()
            return
        self._input += data
        self._pump()

    def take_pending(self):
        """Read what has already arrived; True when there was something."""
        return self._channel.pending() and self._channel.poll()

    def _pump(self):
        while self._input and not self._ending:
            if self._phase:
                used = self._phase.feed(bytes(self._input))
                del self._input[:used]
                if not used:
                    break
                continue
            if self._task:
                break
            line = self._next_command()
            if line is not None:
                self._task = self.core.spawn(self._run(line))
                self._task.add_done_callback(self._settle)
        self.idle()

    def _next_command(self):
        for i, byte in enumerate(self._input):
            line = self._assembler.take(byte)
            if line is not None:
                del self._input[: i + 1]
                return line
        self._input.clear()
        return None

    def _echo(self, data):
        if self.echo:
            self.send(data)

    # execution

    async def _run(self, line):
        faults, upper = self.core.faults, line.upper()
        self.core.log.count("commands")
        if self.core.scenario and self.core.scenario.on_command(upper):
            await asyncio.sleep(0)  # what it does to the modem comes first
        if faults.hits("reboot_on", upper):
            self.power("reboot")
            return
        late_s, mute = faults.hits("late", upper), faults.hits("mute", upper)
        reply, answer = await self._answer(line, upper)
        if late_s is not None:
            await asyncio.sleep(late_s)
        life = self.wire.life
        if mute is None:
            self.send(answer)
        else:
            reply = Reply()
        if self.wire.life != life:
            return  # it has died in the middle of the answer
        self._task = None
        if reply.phase:
            self._phase = reply.phase
            self._phase.begin(self)
        if reply.then:
            reply.then()
        self._pump()

    async def _answer(self, line, upper):
        """Execute; (Reply, the bytes of the answer)."""
        try:
            if self.core.faults.hits("error", upper):
                raise CommandError
            for name in _TRIGGERS:
                if self.core.faults.hits(name, upper):
                    self.core.act(name.removesuffix("_on"), None)
            reply = await self._handle(line)
            return reply, self._answers.success(line, reply)
        except CmeError as err:
            return Reply(), self._answers.failure(self._cme(err.code))
        except CommandError as err:
            return Reply(), self._answers.failure(b"\r\nERROR\r\n", err.lines)

    def _settle(self, task):
        if task is self._task:  # it failed without an answer (a bug of ours); the line must not stay blocked
            self._task = self._phase = None
            self.send(b"\r\nERROR\r\n")
            self._pump()

    async def _handle(self, line):
        name, operation, params = parse(line)
        handler = self.commands.get((name, operation))
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

    def _cme(self, code):
        if not self.cmee:
            return b"\r\nERROR\r\n"
        return f"\r\n+CME ERROR: {TEXTS.get(code, 'unknown') if self.cmee == 2 else code}\r\n".encode()

    # prompts and data mode

    async def prompt(self, text, count=None, window_s=5.0, *, settle_s=0.0, ends=b"", cancels=b""):
        """Ask for bytes in the middle of a command, and return them.

        Either `count` bytes, or all until one of `ends` (of `cancels`: CommandError). What comes within `settle_s` real
        seconds of the prompt is counted, and lost by the fault `prompt_strict`. CommandError after `window_s` of them.
        """
        if self.core.faults.on("prompt_error"):
            raise CommandError
        if self.core.faults.on("prompt_tight"):
            text = text.rstrip(" ")
        phase = self._phase = Prompt(self, count, settle_s, ends, cancels)
        self.send(self._answers.before_prompt() + text.encode())
        asyncio.get_running_loop().call_soon(self._pump)
        try:
            return await phase.wait(window_s)
        finally:
            if self._phase is phase:
                self._phase = None
                self.idle()  # what had to wait comes before the final result

    def phase_ending(self):
        """The last byte of data mode is in; sending may take a moment more."""
        self._ending = True

    def phase_done(self, text):
        """Data mode is over; `text` says so."""
        self._phase = None
        self._ending = False
        self.send(b"\r\n" + text.encode() + b"\r\n")
        self._pump()

    # bytes out

    def announce(self, what):
        """One unsolicited line (text) or Block: at once, or as soon as the family's rules allow."""
        self.urcs.add(self._answers.encode(what))
        self.idle()

    def send_block(self, block, tail=b""):
        """Counted bytes, past the queue."""
        self.send(self._answers.encode(block) + tail)

    def notified(self, kind, *args):
        """Core's outlet."""
        said = self.noise_line(args[0]) if kind == "storm" else self.unsolicited(kind, *args)
        for item in said if isinstance(said, list) else [said]:
            if item is not None:
                self.urcs.add(self._answers.encode(item))
        self.idle()

    def noise_line(self, i=0):
        """One of the lines that mean nothing."""
        return self.noise[i % len(self.noise)]

    @property
    def off(self):
        """Why nothing answers: off, sleep, doze, psm; None when something does."""
        return self._off

    @property
    def in_data_mode(self):
        """Does the host's next byte belong to a payload?"""
        return self._phase is not None

    @property
    def executing(self):
        """Is a command being executed?"""
        return self._task is not None

    @property
    def typing(self):
        """Has a command begun that is not complete?"""
        return self._assembler.typing

    def idle(self):
        """Let waiting unsolicited output go, if nothing forbids it."""
        if self._up and not self._ending:
            self.urcs.flush()
