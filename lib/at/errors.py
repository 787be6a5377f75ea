"""Errors of an AT channel: a refusal (+CME/+CMS ERROR, ERROR) and a restart (modems.md 1.2, 1.7, 1.10).

Timeouts are OSError(ETIMEDOUT). Raised by at.client, caught by modem drivers and applications. RAM: none.
"""

from errno import ECONNRESET

from at.fields import readable, scan_int


class ATError(Exception):
    """The modem refused: `cmd` (str, without what follows its `=`: that may be a key or a token), `code` (int of +CME
    or +CMS ERROR) or None, `text`; `lines`: info lines (bytes) that came before, which may tell why. Made from the
    command and the line (both bytes) that ended it."""

    def __init__(self, cmd, line, lines=()):
        self.cmd = cmd.split(b"=")[0].decode()
        self.lines = lines
        self.text = readable(line)
        head, _, rest = self.text.partition(":")
        self.code = scan_int(rest)
        if head.endswith(" ERROR"):
            self.text = rest.strip()
        super().__init__("%s: %s" % (self.cmd, self.text))


class ModemReset(OSError):
    """The modem restarted: sockets, settings and the command in flight are gone. errno is ECONNRESET."""

    def __init__(self, line):
        super().__init__(ECONNRESET, "modem restarted: " + line)
