"""A GNSS receiver on a UART of its own: u-blox M8 and later with assistance, any other by its NMEA (modems.md 3.1).

The verbs of modem.base for a receiver: gnss_start, gnss_fix, gnss_stop, gnss_need, agnss_inject, gnss_hint; they are
functions of gnss.ublox_verbs, loaded when first used. It works while LTE does. Made once by the application, when the
board has a stream to such a receiver, as it knows what the receiver was given. RAM: that; 1.2 KB while it searches.
"""

from gnss.ubx_need import Given


class Receiver:
    """`stream`: write(), and readinto() that returns at once: a UART with timeout=0, or a raw terminal. `power`: None,
    or what switches it, with async on() and off(); else it is sent to sleep and woken by its UART."""

    # Of a u-blox receiver, until another one has been heard.
    caps = frozenset(("GNSS", "AGNSS", "TIMEHINT", "POSHINT"))

    def __init__(self, stream, *, power=None, log=None, qzss=False):
        self.stream = stream
        self.power = power
        self.given = Given(qzss)
        self.placed = False  # it has had a fix since it last lost its memory
        self.gnss = None  # ublox_session.Session, from gnss_start to gnss_stop
        self._log = log

    def note(self, text, *args):
        """A line for the log, if there is one."""
        if self._log:
            self._log(text % args if args else text)

    def __getattr__(self, verb):
        from gnss import ublox_verbs

        if not verb.startswith("gnss_") and verb != "agnss_inject":
            raise AttributeError(verb)
        function = getattr(ublox_verbs, verb)
        return lambda *args, **options: function(self, *args, **options)
