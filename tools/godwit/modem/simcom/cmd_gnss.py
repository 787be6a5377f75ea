"""SIM7080: GNSS, alone on the antenna, and XTRA predictions (modems.md 2B.7).

Predictions are used at +CGNSCOLD, +CGNSWARM and +CGNSHOT when +CGNSXTRA=1, the file has been copied (+CGNSCPY) and the
clock is right. Position and time of others cannot be told to it.
"""

import datetime

from godwit.modem import xtra
from godwit.modem.gnss import TIMED_OUT
from godwit.modem.grammar import CommandError
from godwit.modem.simcom import format as fmt
from godwit.modem.simcom.registry import Reply, command

_FILE, _COPY = "3/Xtra3.bin", "gnss/xtra"
_ONE_SHOT_S = 255
_ASSISTED, _MISSING, _NO_TIME = 0, 1, 2
# What each start forgets (bits of Knowledge.delete): cold all, warm the ephemerides, hot nothing.
_FORGETS = {"+CGNSCOLD": 0x07F, "+CGNSWARM": 0x001, "+CGNSHOT": 0}


@command("+CGNSPWR", "set")
def _power(dev, params):
    on = bool(params.number(0, 0, 1))
    if on and not dev.powered_gnss:
        dev.core.gnss.track()
    elif not on:
        _off(dev)
    dev.powered_gnss = on


def _off(dev):
    if dev.stream:
        dev.stream.cancel()
        dev.stream = None
    dev.core.gnss.stop()
    dev.powered_gnss = False


@command("+CGNSPWR", "read")
def _powered(dev, params):
    return f"+CGNSPWR: {int(dev.powered_gnss)}"


@command("+CGNSINF", "exec")
def _position(dev, params):
    return fmt.gnss_info(dev.powered_gnss, dev.core.gnss.current() if dev.powered_gnss else None)


@command("+CGNSMOD", "set")
def _set_systems(dev, params):
    values = [params.number(i, 0, 1) for i in range(5)]
    if not values[0] or sum(values[1:]) != 1:
        raise CommandError
    dev.core.set("gnss_mode", values)


@command("+CGNSMOD", "read")
def _systems(dev, params):
    return "+CGNSMOD: " + ",".join(map(str, dev.core.settings["gnss_mode"]))


def _start(name):
    @command(name, "exec")
    def _begin(dev, params):
        if not dev.powered_gnss:
            raise CommandError
        gnss = dev.core.gnss
        gnss.stop()
        gnss.delete(_FORGETS[name])
        said = gnss.known.predicted = None
        if dev.core.settings["xtra"]:
            said = _assist(dev)
        gnss.track()
        return Reply() if said is None else Reply(then=lambda: dev.announce(f"+CGNSXTRA: {said}"))


for _name in _FORGETS:
    _start(_name)


def _assist(dev):
    """Use the predictions: 0 done, 1 no file, 2 no time, or not one that the file covers."""
    blob = dev.core.nvs.read_file(_COPY)
    if blob is None:
        return _MISSING
    start_s, end_s = xtra.decode(blob)
    now_s = dev.core.rtc_s()
    if now_s is None or not start_s <= now_s < end_s:
        return _NO_TIME
    dev.core.gnss.load_xtra(blob)
    dev.core.gnss.hint_time(now_s)
    return _ASSISTED


@command("+CGNSCPY", "exec")
def _copy(dev, params):
    blob = dev.core.nvs.read_file(_FILE)
    try:
        xtra.decode(blob or b"")
    except xtra.XtraError:
        return "+CGNSCPY: 1"
    dev.core.nvs.write_file(_COPY, blob)
    return "+CGNSCPY: 0"


@command("+CGNSXTRA", "set")
def _use(dev, params):
    dev.core.set("xtra", params.number(0, 0, 1))


@command("+CGNSXTRA", "read")
def _used(dev, params):
    return f"+CGNSXTRA: {dev.core.settings['xtra']}"


@command("+CGNSXTRA", "exec")
def _validity(dev, params):
    blob = dev.core.nvs.read_file(_COPY)
    if blob is None:
        return "+CGNSXTRA: 0,0,1980/01/06,00:00:00"
    start_s, end_s = xtra.decode(blob)
    left_h = max(int(end_s - (dev.core.rtc_s() or end_s)) // 3600, 0)
    stamp = datetime.datetime.fromtimestamp(start_s, datetime.UTC)
    return f"+CGNSXTRA: {left_h},{(end_s - start_s) // 3600},{stamp:%Y/%m/%d,%H:%M:%S}"


@command("+SGNSCMD", "set")
def _stream(dev, params):
    mode = params.number(0, 0, 2)
    _off(dev)
    if mode == 1:
        params.number(1, 0, 3)
        dev.core.gnss.start(0, _ONE_SHOT_S)
    elif mode == 2:
        period_s = params.number(1, 1000, 2**31 - 1) / 1000
        dev.core.gnss.track()
        dev.stream = dev.core.spawn(_say(dev, period_s))


async def _say(dev, period_s):
    while True:
        await dev.core.clock.sleep(period_s, drives=False)
        fix = dev.core.gnss.current()
        if fix is not None:
            dev.announce(fmt.shot(2, fix))


# unsolicited


def fixed(dev, fix):
    """The answer to a single shot; whoever tracks asks."""
    return None if dev.powered_gnss or dev.stream else fmt.shot(1, fix)


def ended(dev, status):
    """A single shot that came to nothing."""
    return "+SGNSERR: 1" if status == TIMED_OUT else None
