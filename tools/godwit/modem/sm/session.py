"""The serial line of the Serial Modem: what it does unlike the others (modems.md 2A.1, 2A.2).

No echo; line ends within quotes belong to the command; unsolicited lines wait until the final result has gone out
(4096 bytes at most, then all are lost), and until data mode ends. Its own commands answer line by line.
"""

import asyncio

from godwit.modem.line import Line
from godwit.modem.sm import cmd_generic, cmd_gnss, cmd_keys, cmd_nordic, cmd_socket, cmd_system  # noqa: F401 fills the table
from godwit.modem.sm.registry import COMMANDS
from godwit.modem.sm.urc import Urcs


class Session(Line):
    """Personality object."""

    commands = COMMANDS
    command_max = 8192
    quotes_hold = True
    echo_default = False
    cmee_top = 1
    holds_urcs = True
    urc_max = 4096
    noise = ("RING", '+CMTI: "ME",3', "+CEREG: 1")
    unset_clock = None

    def __init__(self, core, channel, *, agnss=True):
        # The time 256 bytes take, plus 10 ms: 32 at 115200.
        self.data_minimum_ms = 256 * 10 * 1000 // (channel.baud or 115200) + 10
        self.data_limit_ms = self.data_minimum_ms
        super().__init__(core, channel, agnss=agnss)
        self._lines = Urcs(self)

    def _reset_line(self):
        super()._reset_line()
        self._hold = None

    async def start_up(self):
        """The ready line; the data mode's timer is as at the factory."""
        self.data_limit_ms = self.data_minimum_ms
        self.send(b"Ready\r\n")

    def unsolicited(self, kind, *args):
        """A notification as a line, if anybody asked for it."""
        return self._lines.text(kind, *args)

    def framed(self, lines, name):
        """SM frames each line of its own commands; what the modem itself answers comes as one block."""
        if not name.startswith("#"):
            return super().framed(lines, name)
        return b"".join(b"\r\n" + text.encode("latin-1") + b"\r\n" for text in lines)

    def crash(self):
        """The modem core dies alone; the application goes on."""
        self.core.modem_reset()
        self.announce("#XMODEM: FAULT,0x5,0x2f3c1a")
        self.announce("#XMODEM: INIT,0")

    def idle(self):
        """Let waiting unsolicited output go, if nothing forbids it."""
        if not self._up or self.executing or self._ending:
            return
        if self.echo and self.typing and self._hold is None:
            # Somebody is typing: up to a second of grace.
            self._hold = asyncio.get_running_loop().call_later(1.0, self._release)
        if self._hold is None or not self.typing:
            self._flush()

    def _release(self):
        self._hold = None
        if self._up and not self.executing and not self._ending:
            self._flush()

    def _flush(self):
        self.urcs.flush()
        self._lines.flush_data()
