"""One line per event, for people and for the desk's timeline: `<unix_ms or +uptime_ms> <level> <layer> <text>`.

What is at or below `sent` also goes to `sink`, which brings it to the cloud. Levels are D, I, W, E. Arguments are
formatted only when the line is written (`info("coap", "%d bytes", n)`), so a filtered line costs no heap. Never pass
keys, tokens or whole URIs: lines leave the device.
"""

from micropython import const

import clock

ERROR = const(1)
WARN = const(2)
INFO = const(3)
DEBUG = const(4)

_LETTER = "?EWID"

level = INFO  # printed
sent = 0
sink = None  # callable(level, layer, text)


def write(lvl, layer, text, *args):
    """Write one line when `lvl` (ERROR..DEBUG) is at or below the module's `level`, keep it when it is to be sent."""
    if lvl > level and lvl > sent:
        return
    if args:
        text = text % args
    if lvl <= sent and sink:
        sink(lvl, layer, text)
    if lvl > level:
        return
    stamp = clock.now_ms()
    stamp = "+%d" % clock.uptime_ms() if stamp is None else "%d" % stamp
    print(stamp, _LETTER[lvl], layer, text)


def error(layer, text, *args):
    write(ERROR, layer, text, *args)


def warn(layer, text, *args):
    write(WARN, layer, text, *args)


def info(layer, text, *args):
    write(INFO, layer, text, *args)


def debug(layer, text, *args):
    write(DEBUG, layer, text, *args)
