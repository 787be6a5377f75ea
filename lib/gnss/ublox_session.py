"""What is heard of a receiver on its UART, from gnss_start to gnss_stop.

Apart from gnss.ublox_verbs, because it lives longer. Nothing runs in the background: bytes are taken in while somebody
waits for them, and what was lost in between is said again. RAM: 1.2 KB, with NMEA 1.4 KB.
"""

import asyncio
from errno import EAGAIN, ETIMEDOUT
from time import ticks_diff, ticks_ms

from micropython import const

from gnss.ubx_stream import Parser

_NAV = const(0x01)
_ACK = const(0x05)
_MGA = const(0x13)
_NOISE = const(0x100000)  # bytes


class Session:
    """`pvt`, `orbits`, `mga`, `ack`: the newest of these messages (bytes), or None; `reader`: of NMEA, when that is all
    that the receiver speaks; `text`: whether it speaks NMEA at all."""

    answer_ms = 1200  # how long an answer may take: a receiver computes once a second
    tick_ms = 20
    retry_ms = 500
    pace_ms = 100  # between frames that nobody acknowledges: 80 bytes at 9600 Bd

    def __init__(self, stream):
        self.stream = stream
        self.reader = None
        self.text = False
        self.acks = False  # it says what it makes of assistance
        self.timed = False  # it knows the time, or was told
        self.last = None  # the time of week, as bytes, of the fix that was handed over last
        self.pvt = self.orbits = self.mga = self.ack = None
        self._parser = Parser(self._on_frame, self._on_text)
        self._buf = memoryview(bytearray(128))
        self.began = ticks_ms()

    def _on_frame(self, cls, ident, payload):
        if cls == _NAV and ident == 0x07:
            self.pvt = bytes(payload)
        elif cls == _NAV and ident == 0x34:
            self.orbits = bytes(payload)
        elif cls == _MGA and ident == 0x60:
            self.mga = bytes(payload)
        elif cls == _ACK and len(payload) == 2:
            self.ack = bytes((ident, payload[0], payload[1]))

    def _on_text(self, data):
        if self.reader:
            self.reader.feed(data)
        elif 0x24 in bytes(data):
            self.text = True

    def take(self):
        """Take in what has come; -> bytes."""
        try:
            n = self.stream.readinto(self._buf)
        except OSError as error:
            if error.args[0] != EAGAIN:
                raise
            n = 0
        if n:
            self._parser.feed(self._buf[:n])
        return n or 0

    async def until(self, found, timeout_ms):
        """Take in until `found()` is not None; -> that, or None after `timeout_ms`, or after more noise than there can
        be answers. What has come by then is looked at, however late we are ourselves."""
        start = ticks_ms()
        left = _NOISE
        while True:
            n = self.take()
            left -= n
            value = found()
            if value is not None or left < 0 or not n and ticks_diff(ticks_ms(), start) >= timeout_ms:
                return value
            await asyncio.sleep_ms(0 if n else self.tick_ms)

    async def send(self, data):
        """Write all of it. OSError(ETIMEDOUT) when the stream takes no more for the time of an answer."""
        view = memoryview(data)
        start = ticks_ms()
        while view:
            try:
                n = self.stream.write(view) or 0
            except OSError as error:
                if error.args[0] != EAGAIN:
                    raise
                n = 0
            view = view[n:]
            if n:
                start = ticks_ms()
            elif ticks_diff(ticks_ms(), start) > self.answer_ms:
                raise OSError(ETIMEDOUT, "the receiver's line is stuck")
            if view:
                await asyncio.sleep_ms(self.tick_ms)

    async def poll(self, frame, name, tries=3):
        """Ask, up to so many times; -> the message that came as attribute `name`, or None."""
        for _ in range(tries):
            setattr(self, name, None)
            await self.send(frame)
            if await self.until(lambda: getattr(self, name), self.answer_ms):
                break
        return getattr(self, name)

    async def configure(self, frame):
        """Set something; -> True when the receiver took it, False when not, None: no answer."""
        self.ack = None

        def found():
            if self.ack and self.ack[1:] == bytes(frame[2:4]):
                return self.ack[0] == 1
            return None

        await self.send(frame)
        return await self.until(found, self.answer_ms)
