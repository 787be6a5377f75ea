"""The desk: MicroPython's unix port with a PTY for the modem's UART and a file for the flash chip.

What differs from a board in the field is in this file: where the UART and the flash are, how to restart, what the
sensors say, and how time passes while every task waits. With GODWIT_WARP=1 it does not pass at all: the world clock
is moved forward instead, which the simulator and the twin follow (see tools/godwit/world.py).
"""

import asyncio
import json
import os
import struct
import time
from binascii import unhexlify

import machine
from micropython import const

import flashdev

NAME = "unix"
DEVICE_CLASS = "godwit-unix"

_FEED_MS = const(1200000)  # as in firmware/bootsafe.py
_SETTLE_MS = const(20)  # what is on its way gets this long before time moves
_SLOT = const(8)  # our half of the world file; the simulator owns the first


class _World:
    """The desk's clock: two little-endian int64 of milliseconds, one written by us, one by the simulator."""

    def __init__(self, path):
        self._file = open(path, "r+b") if path else None
        self._buf = bytearray(16)
        self._zero = self.offset()

    def offset(self):
        """-> milliseconds that the world is ahead of the real clock."""
        if self._file is None:
            return 0
        self._file.seek(0)
        self._file.readinto(self._buf)
        theirs, ours = struct.unpack("<qq", self._buf)
        return theirs + ours

    def since_start(self):
        return self.offset() - self._zero

    def advance(self, ms):
        self._file.seek(_SLOT)
        self._file.readinto(memoryview(self._buf)[_SLOT:])
        ours = struct.unpack_from("<q", self._buf, _SLOT)[0]
        struct.pack_into("<q", self._buf, _SLOT, ours + ms)
        self._file.seek(_SLOT)
        self._file.write(memoryview(self._buf)[_SLOT:])


_world = _World(os.getenv("GODWIT_WORLD"))


def ticks_ms():
    """Milliseconds that wrap like time.ticks_ms, and count the time that was skipped."""
    return time.ticks_add(time.ticks_ms(), _world.since_start())


async def rest(ms):
    """Every task waits for at least `ms`: pass the time. Warped, that is a moment."""
    if os.getenv("GODWIT_WARP") != "1":
        await asyncio.sleep_ms(min(ms, 1000))
        return
    await asyncio.sleep_ms(min(ms, _SETTLE_MS))
    if ms > _SETTLE_MS:
        _world.advance(ms - _SETTLE_MS)


def set_rtc(unix_s):
    """The host's clock is right already, and not ours to set."""


def modem_uart():
    """-> stream to the modem: the PTY of the simulator, or of a USB modem, named by GODWIT_UART."""
    return open(os.getenv("GODWIT_UART"), "r+b")


def _modem_power():
    """-> the modem's pins: those of the simulator when GODWIT_MODEM names its control socket; a power key when
    GODWIT_PWRKEY is 1."""
    path = os.getenv("GODWIT_MODEM")
    if not path:
        return None
    import modempower

    return (modempower.Keyed if os.getenv("GODWIT_PWRKEY") == "1" else modempower.Power)(path)


modem_power = _modem_power()


def gnss():
    """-> the receiver on the serial line that GODWIT_GNSS names (`godwit modem --family gnss`), or None."""
    path = os.getenv("GODWIT_GNSS")
    if not path:
        return None
    from at.tty import prepare
    from gnss.ublox import Receiver

    stream = open(path, "r+b")
    prepare(stream)
    return Receiver(stream)


def journal_device():
    return flashdev.journal(os.getenv("GODWIT_FLASH"))


class _Wifi:
    """A Wi-Fi radio that hears what a JSON file says: [{"mac": "00:18:39:59:8c:53", "rssi_dbm": -42, "channel": 6}]."""

    def __init__(self, path):
        self._path = path

    async def scan(self):
        """-> list of access points in range; OSError when the radio does not work."""
        with open(self._path) as file:
            points = json.load(file)
        return [dict(point, mac=unhexlify(point["mac"].replace(":", ""))) for point in points]


def wifi():
    """-> the radio for scanning, or None: there is one when GODWIT_WIFI names its file."""
    path = os.getenv("GODWIT_WIFI")
    return _Wifi(path) if path else None


def feed_watchdog():
    """The selector has started it, with the longest period that tasks/health may need."""
    machine.WDT(timeout=_FEED_MS)  # making it again feeds it


def reset():
    machine.reset()


def _daytime():
    """-> seconds since midnight of the world."""
    return (int(time.time()) + _world.offset() // 1000) % 86400


def _wave(low, high, peak_s):
    """-> integer between low and high, highest at `peak_s` of the day: a triangle is weather enough for a desk."""
    away = abs(_daytime() - peak_s)
    away = min(away, 86400 - away)
    return high - (high - low) * away // 43200


def _temperature():
    return _wave(-45, 128, 14 * 3600), -1  # 0.1 degree Celsius


def _humidity():
    return _wave(410, 930, 5 * 3600), -1  # 0.1 percent


def _battery():
    return _wave(3710, 4050, 16 * 3600), 0  # millivolts of a small solar cell's battery


def sensors():
    """-> ((name, read), ...): `read()` -> (mantissa, exponent), OSError when the sensor does not answer."""
    return (("temp", _temperature), ("humid", _humidity), ("battery", _battery))
