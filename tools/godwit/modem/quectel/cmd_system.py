"""Identity, power, settings and time of BG95 (modems.md 2C.1, 2C.3, 2C.7)."""

import datetime

from godwit.modem.generic import GENERIC
from godwit.modem.generic_format import TZ_QUARTERS
from godwit.modem.grammar import Bare, CmeError
from godwit.modem.quectel import format as fmt
from godwit.modem.registry import Registry, Reply
from godwit.modem.sim import ICCID
from godwit.modem.timing import active_time_s, periodic_time_s

COMMANDS = Registry()
COMMANDS.include(GENERIC)
command, accepts = COMMANDS.command, COMMANDS.accepts

_PARAMETER = 50
_POWER_DOWN_S = 0.5
_THRESHOLD_MIN = 60

accepts("+QSCLK", "+QINDCFG", "+QIND", "+QPINC", "+QSIMDET", "+QSIMSTAT", "+QPSMEXTCFG")


@command("I", "exec")
def _information(dev, params):
    profile = dev.core.profile
    return [profile.manufacturer, profile.model, f"Revision: {profile.firmware}"]


@command("+QGMR", "exec")
def _revision(dev, params):
    return dev.core.profile.firmware


@command("+QCCID", "exec")
def _iccid(dev, params):
    dev.core.sim.check()
    return f"+QCCID: {ICCID}"


@command("+QINISTAT", "exec")
def _start_status(dev, params):
    return f"+QINISTAT: {7 if dev.core.sim_ready() else 0}"


# power


@command("+CFUN", "set")
async def _set_cfun(dev, params):
    if params.number(0) == 1 and params.given(1) and params.number(1, 0, 1):
        dev.core.save()
        return Reply(then=lambda: dev.power("reboot"))
    return await GENERIC["+CFUN", "set"](dev, params)


@command("+QPOWD", "set", "exec")
def _power_down(dev, params):
    normally = params.number(0, 0, 1, default=1)
    if normally:
        dev.core.save()
    return Reply(then=lambda: dev.core.spawn(_go_down(dev, _POWER_DOWN_S if normally else 0)))


async def _go_down(dev, delay_s):
    await dev.core.clock.sleep(delay_s)
    dev.announce("POWERED DOWN")
    dev.power("off")


# settings of Quectel's own


def _value(item):
    """A parameter as +QCFG prints it again."""
    if isinstance(item, str) and not isinstance(item, Bare):
        return f'"{item}"'
    return str(item)


def stored(name, key):
    """A command with a name as its first parameter: with values it sets, without it reads (+QCFG and its like)."""

    @command(name, "set")
    def _set_or_read(dev, params):
        table, item = dev.core.settings[key], params.text(0)
        if item not in table:
            raise CmeError(_PARAMETER)
        if len(params) == 1:
            return f'{name}: "{item}",' + ",".join(table[item])
        if any(value is None for value in params[1:]):
            raise CmeError(_PARAMETER)
        if item == "priority" and params[1] not in (0, 1):
            raise CmeError(_PARAMETER)
        dev.core.set(key, {**table, item: [_value(value) for value in params[1:]]})
        dev.configured(key, item)
        return None

    @command(name, "test")
    def _names(dev, params):
        return [f'{name}: "{item}"' for item in dev.core.settings[key]]


stored("+QCFG", "qcfg")
stored("+QGPSCFG", "qgpscfg")


@command("+QURCCFG", "set")
def _urc_port(dev, params):
    if params.text(0) != "urcport":
        raise CmeError(_PARAMETER)
    if len(params) == 1:
        return f'+QURCCFG: "urcport","{dev.core.settings["urcport"]}"'
    port = params.text(1)
    if port not in ("usbat", "usbmodem", "uart1"):
        raise CmeError(_PARAMETER)
    dev.core.set("urcport", port)
    return None


# power saving


@command("+QPSMS", "read")
def _granted(dev, params):
    mode, tau, active = dev.core.settings["psm"]
    if mode != 1:
        return "+QPSMS: 0"
    return f'+QPSMS: 1,,,"{periodic_time_s(tau)}","{active_time_s(active)}"'


@command("+QPSMS", "set")
def _set_psm(dev, params):
    return GENERIC["+CPSMS", "set"](dev, params)


@command("+QPSMCFG", "set")
def _set_threshold(dev, params):
    dev.core.set("psm_threshold", params.number(0, _THRESHOLD_MIN, 4294967295))
    params.number(1, 0, 15, default=4)


@command("+QPSMCFG", "read")
def _threshold(dev, params):
    return f"+QPSMCFG: {dev.core.settings['psm_threshold']},4"


# time


@command("+QLTS", "set", "exec")
def _network_time(dev, params):
    mode = params.number(0, 0, 2, default=0)
    if not dev.core.time_known:
        return '+QLTS: ""'
    now_ms = dev.core.clock.now_ms()
    utc = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC)
    if mode == 2:
        utc += datetime.timedelta(minutes=15 * TZ_QUARTERS)
    return fmt.qlts(utc, TZ_QUARTERS)


@command("+QTEMP", "exec")
def _temperature(dev, params):
    degrees = 18 + dev.core.clock.now_ms() // 3600000 % 7
    return f"+QTEMP: {degrees},{degrees + 1},{degrees + 1}"


@command("+CBC", "exec")
def _battery(dev, params):
    # 4.10 V at midnight, 40 mV less by the evening: a node that measures sees a slope.
    return f"+CBC: 0,90,{4100 - dev.core.clock.now_ms() // 1000 % 86400 // 2160}"
