"""Faults of the serial line itself: bytes lost, doubled, flipped, replaced, ignored or held back (modems.md 7.3).

Between a personality and its channel, in both directions, so that every family has them. Offsets count from the moment
the fault is set; the first byte is 1.
"""

import asyncio
import time

_IDLE_S = 0.5  # real seconds without a byte after which the UART of a modem sleeps (fault `sleepy`)


class Wire:
    """`write(bytes)` is the channel's; `on_bytes(bytes)` gets what comes in; `reboot()` ends the modem's life."""

    def __init__(self, core, write, on_bytes, reboot):
        self._core = core
        self._faults = core.faults
        self._log = core.log
        self.life = 0  # changes with each power cut
        self._write = write
        self._on_bytes = on_bytes
        self._reboot = reboot
        self._held = bytearray()
        self._timer = None
        self._heard = 0.0

    def cut(self):
        """The power went: what is still to be written is not."""
        self.life += 1
        self._held.clear()

    def send(self, data):
        """Bytes for the host."""
        self._through("out", data, self._send)

    def feed(self, data):
        """Bytes from the host."""
        self._through("in", data, self._take)

    def _through(self, direction, data, use):
        """Pass bytes on; a scenario may act between any two of them, and end the modem's life there."""
        scenario, life = self._core.scenario, self.life
        while scenario:
            n = scenario.next_byte(direction, len(data))
            if n is None:
                break
            scenario.passed(direction, n)
            if n:
                use(data[:n])
            scenario.at_byte(direction)
            data = data[n:]
            if self.life != life:
                return
        if scenario:
            scenario.passed(direction, len(data))
        use(data)

    def _send(self, data):
        """To the channel. The fault `reboot_out` ends it in the middle, and the modem's life with it."""
        cut = self._faults.reached("reboot_out", len(data))
        data = self._damaged(bytes(data if cut is None else data[:cut]))
        self._log.count("uart_out", len(data))
        if data:
            self._write(data)
        if cut is not None:
            self._reboot()

    def _take(self, data):
        self._log.count("uart_in", len(data))
        stalled_s = self._faults.arg("stall", 1.0)
        if stalled_s is not None:
            self._faults.clear("stall")
            self._timer = asyncio.get_running_loop().call_later(stalled_s, self._resume)
        if self._timer:
            self._held += data
            return
        data = self._hit(self._sleepy(bytes(data)), "_in")
        cut = self._faults.reached("reboot_in", len(data))
        self._on_bytes(data if cut is None else data[:cut])
        if cut is not None:
            self._reboot()

    def _resume(self):
        self._timer = None
        data, self._held = bytes(self._held), bytearray()
        self._on_bytes(data)

    def _sleepy(self, data):
        """After a pause the first bytes only wake the UART."""
        now, before = time.monotonic(), self._heard
        self._heard = now
        lost = self._faults.arg("sleepy", 1) if now - before >= _IDLE_S else None
        if lost is None:
            return data
        self._log.count("bytes_slept", min(lost, len(data)))
        return data[lost:]

    def _damaged(self, data):
        on, out = self._faults.state(), bytearray(self._hit(data, "_byte"))
        if "flip" in on:
            for i in range(len(out)):
                if self._faults.chance("flip"):
                    out[i] ^= 1 << self._faults.rng.randrange(8)
        if "baud" in on:
            out = bytearray(self._faults.rng.randbytes(len(out)))
        return bytes(out)

    def _hit(self, data, suffix):
        """One byte lost, doubled or changed by the faults whose names end so."""
        for name, change in (("drop", lambda byte: b""), ("dup", lambda byte: bytes((byte, byte))),
                             ("flip", lambda byte: bytes((byte ^ 1 << self._faults.rng.randrange(8),)))):
            at = self._faults.reached(name + suffix, len(data))
            if at is not None:
                data = data[: at - 1] + change(data[at - 1]) + data[at:]
        return data
