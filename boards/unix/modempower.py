"""The pins of the modem on the desk: what a board's power key, reset pin and supply switch would do, asked of the
simulator over its control socket (GODWIT_MODEM names it). Loaded by board.py only when there is one.
"""

import json
import socket
import struct

from micropython import const

_TIMEOUT_S = const(3)


class Power:
    """Reset pin and supply. What is not wired on a board is not there, see Keyed."""

    def __init__(self, path):
        self._path = path

    async def reset(self):
        self._do("reset")

    async def cycle(self):
        self._do("reboot")

    def _do(self, what):
        """Raises OSError when the simulator is gone or says no."""
        line = socket.socket(socket.AF_UNIX)
        try:
            line.settimeout(_TIMEOUT_S)
            line.connect(struct.pack("<H", socket.AF_UNIX) + self._path.encode() + b"\0")
            line.write(json.dumps({"do": what}).encode() + b"\n")
            if not json.loads(line.readline())["ok"]:
                raise OSError(22, what)
        finally:
            line.close()


class Keyed(Power):
    """With a PWRKEY, which toggles: whoever presses it has found the modem silent before."""

    async def on(self):
        self._do("pwrkey")
