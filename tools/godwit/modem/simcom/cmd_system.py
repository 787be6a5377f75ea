"""SIM7080: power, sleep, time, identity and stored preferences (modems.md 2B.1, 2B.2, 2B.8)."""

from godwit.modem.grammar import CommandError
from godwit.modem.sim import ICCID
from godwit.modem.simcom.registry import COMMANDS, Reply, accepts, command
from godwit.modem.timing import active_time_s, periodic_time_s

_PLAIN_CFUN = COMMANDS["+CFUN", "set"]
_RATES = (0, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)

accepts("+CBANDCFG", "+CEDRX", "+CRAI", "+CFGRI", "+CNTPCID", "+CGPIO", "+SGPIO")


@command("+CPOWD", "set")
def _power_down(dev, params):
    polite = params.number(0, 0, 1)
    lines = ("NORMAL POWER DOWN",) if polite else ()
    return Reply(*lines, final=None, then=lambda: dev.power("off"))


@command("+CFUN", "set")
async def _set_cfun(dev, params):
    if params.given(1) and params.number(1, 0, 1):
        return Reply(then=lambda: dev.power("reboot"))
    return await _PLAIN_CFUN(dev, params)


@command("+CREBOOT", "exec")
def _reboot(dev, params):
    return Reply(then=lambda: dev.power("reboot"))


@command("+IPR", "set")
def _set_rate(dev, params):
    rate = params.number(0)
    if rate not in _RATES:
        raise CommandError
    dev.core.set("ipr", rate)


@command("+IPR", "read")
def _rate(dev, params):
    return f"+IPR: {dev.core.settings['ipr']}"


@command("+CCID", "exec")
def _iccid(dev, params):
    dev.core.sim.check()
    return ICCID


@command("+CBC", "exec")
def _battery(dev, params):
    # As on the other families: 40 mV less by the evening.
    second = dev.core.clock.now_ms() // 1000 % 86400
    return f"+CBC: 0,95,{4100 - second // 2160}"


@command("+CPAS", "exec")
def _activity(dev, params):
    return "+CPAS: 0"


def _stored(name, key, top):
    """A preference that is kept."""

    @command(name, "set")
    def _set(dev, params):
        dev.core.set(key, params.number(0, 0, top))

    @command(name, "read")
    def _read(dev, params):
        return f"{name}: {dev.core.settings[key]}"


_stored("+CNMP", "cnmp", 51)
_stored("+CMNB", "cmnb", 3)
_stored("+CSCLK", "csclk", 1)
_stored("+CLTS", "clts", 1)


@command("+CPSMSTATUS", "set")
def _report_sleep(dev, params):
    dev.core.reports["cpsmstatus"] = params.number(0, 0, 1)


@command("+CPSMRDP", "exec")
def _granted(dev, params):
    mode, tau, active = dev.core.settings["psm"]
    times = (active_time_s(active) or 0, periodic_time_s(tau))
    granted = times if mode and dev.core.radio.registered else (0, 0)
    return f"+CPSMRDP: {mode},{times[0]},{times[1]},{granted[0]},{granted[1]},{granted[1]}"


@command("+CNTP", "set")
def _time_server(dev, params):
    params.text(0)


@command("+CNTP", "exec")
def _ask_time(dev, params):
    async def ask():
        await dev.core.clock.sleep(dev.core.timing["dns"])
        up = dev.core.radio.pdn_up
        dev.core.time_known = dev.core.time_known or up
        dev.announce(f"+CNTP: {1 if up else 61}")

    dev.core.spawn(ask())
