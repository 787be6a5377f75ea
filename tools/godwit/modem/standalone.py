"""No modem: a u-blox M8 on a UART of its own, as `godwit modem --family gnss` (modems.md 3.1, 3.5, 3.6).

The receiver of the SARA personality (ublox/receiver.py, on pyubx2) with a backup battery instead of a modem around it:
it starts by itself, chatters NMEA (by pynmea2) once a second, answers frames, sleeps after RXM-PMREQ until a byte wakes
it, and that byte is lost. A reboot (fault `reboot`) is a loss of the battery: everything is forgotten.
`--model nmea` is a receiver of another maker that speaks nothing but NMEA.
"""

import asyncio
import dataclasses
import time

import pynmea2

from godwit.modem.profile import Profile
from godwit.modem.ublox import ubx
from godwit.modem.ublox.receiver import LOCAL_AIDING, M8, Busy

PROFILE = Profile(name="gnss", manufacturer="u-blox", model="NEO-M8Q", firmware="SPG 3.01", cfun_at_boot=0, gnss="own")
MODELS = {"m8": PROFILE, "nmea": dataclasses.replace(PROFILE, manufacturer="", model="NMEA")}
_GPS_SBAS_GLONASS = 67
_WAKE_S = 0.3
_SLEEPS = "RXM-PMREQ"
_LONGEST = 1024  # of a payload; what says more is noise


class Session:
    """What a Channel talks to."""

    def __init__(self, core, channel, *, agnss=True):
        self._core = core
        self._channel = channel
        self._speaks_ubx = core.profile.model != "NMEA"
        self._chatter = None
        self._input = bytearray()
        channel.on_bytes = self.feed
        core.on_power = self.power
        self.receiver = M8(core)

    def boot(self, first=False):
        """Power, or out of its sleep."""
        self._input.clear()
        self.receiver.start(LOCAL_AIDING, _GPS_SBAS_GLONASS)
        self._core.log.event("receiver_on")
        self._chatter = self._core.spawn(self._say())

    def power(self, what):
        """The battery is gone, and back."""
        self._core.power_cut()
        self.receiver = M8(self._core)
        self.boot()

    # bytes

    def feed(self, data):
        """From the host. Asleep: a byte wakes it and is lost with those that come along."""
        if self._chatter is None:
            self._chatter = self._core.spawn(self._wake())
            return
        if not self.receiver.on or not self._speaks_ubx:
            self._core.log.count("bytes_ignored", len(data))
            return
        self._input += data
        while self._chatter is not None and (frame := self._next()) is not None:
            self._take(frame)
        if self._chatter is None and self._input:
            self.feed(bytes(self._input))  # what followed the order to sleep

    def _next(self):
        """The next whole frame, cut out of the input, or None."""
        while True:
            at = self._input.find(ubx.SYNC)
            if at < 0:
                del self._input[: max(len(self._input) - 1, 0)]
                return None
            del self._input[:at]
            if len(self._input) < 6:
                return None
            size = int.from_bytes(self._input[4:6], "little")
            if size > _LONGEST:
                del self._input[:2]
                continue
            if len(self._input) < size + 8:
                return None
            frame = bytes(self._input[: size + 8])
            try:
                ubx.parse(frame, check=True)
            except ubx.UbxError as err:
                self._core.log.event("bad_frame", error=str(err))
                del self._input[:2]
                continue
            del self._input[: size + 8]
            return frame

    def _take(self, frame):
        if ubx.parse(frame, check=False).identity == _SLEEPS:
            self._sleep()
            return
        try:
            answer = self.receiver.frame(frame)
        except Busy:
            self._core.log.count("frames_too_early")
            return
        except ubx.UbxError as err:
            self._core.log.event("refused", error=str(err))
            return
        if answer and not self._core.faults.hits("mute", frame[2:4].hex()):
            self._channel.write(answer)

    # sleep and chatter

    def _sleep(self):
        self._core.time_known = self._core.gnss.known.time_good  # its clock goes on
        self.receiver.stop()
        self._chatter.cancel()
        self._chatter = None
        self._core.log.event("receiver_asleep")

    async def _wake(self):
        await asyncio.sleep(_WAKE_S)
        self.boot()

    async def _say(self):
        while True:
            await self._core.clock.sleep(1.0, drives=False)
            self._channel.write("".join(f"{message}\r\n" for message in sentences(self.receiver.fix)).encode())


def sentences(fix):
    """One epoch of NMEA: RMC, GGA and GSA of a Fix, or of none."""
    if fix is None:
        return [pynmea2.RMC("GN", "RMC", ("", "V", *[""] * 9, "N")),
                pynmea2.GGA("GN", "GGA", ("", "", "", "", "", "0", "00", "99.99", *[""] * 6)),
                pynmea2.GSA("GN", "GSA", ("A", "1", *[""] * 12, "99.99", "99.99", "99.99"))]
    when = time.gmtime(fix.time_s)
    clock, hdop = time.strftime("%H%M%S.00", when), f"{fix.acc / 5:.2f}"
    place = (_angle(fix.lat, 2), "N" if fix.lat >= 0 else "S", _angle(fix.lon, 3), "E" if fix.lon >= 0 else "W")
    return [pynmea2.RMC("GN", "RMC", (clock, "A", *place, f"{fix.speed / 0.514444:.3f}", f"{fix.heading:.2f}",
                                      time.strftime("%d%m%y", when), "", "", "A")),
            pynmea2.GGA("GN", "GGA", (clock, *place, "1", "08", hdop, f"{fix.alt:.1f}", "M", "0.0", "M", "", "")),
            pynmea2.GSA("GN", "GSA", ("A", "3", *["05"] * 8, *[""] * 4, "1.50", hdop, "1.20"))]


def _angle(degrees, width):
    minutes = round(abs(degrees) * 60 * 10**5)
    return f"{minutes // 6000000:0{width}d}{minutes % 6000000 / 10**5:08.5f}"
