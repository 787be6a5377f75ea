"""Nordic's `%` commands without keys (modems.md 2A.3 - 2A.5, 2A.9, 2A.10)."""

from godwit.modem.grammar import CmeError, CommandError
from godwit.modem.sm import format as fmt
from godwit.modem.sm.registry import accepts, command

_ACTIVE = 518  # not allowed in active state

accepts("%XPTW", "%XT3412", "%XDATAPRFL", "%XBANDLOCK", "%XCONNSTAT", "%XSIM", "%XPOFWARN")


@command("%XSYSTEMMODE", "set")
def _set_mode(dev, params):
    if not dev.core.lte_idle():
        raise CmeError(_ACTIVE)
    dev.core.settings["system_mode"] = [params.number(i, 0, 1) for i in range(3)] + [params.number(3, 0, 4, default=0)]


@command("%XSYSTEMMODE", "read")
def _get_mode(dev, params):
    return "%XSYSTEMMODE: " + ",".join(str(v) for v in dev.core.settings["system_mode"])


@command("%XMONITOR", "exec")
def _monitor(dev, params):
    dev.core.radio.refresh_cell()
    return fmt.xmonitor(dev.core)


@command("%CONEVAL", "exec")
async def _evaluate(dev, params):
    dev.core.radio.refresh_cell()
    await dev.core.clock.sleep(0.2)
    return fmt.coneval(dev.core)


@command("%NCELLMEAS", "set", "exec")
def _measure(dev, params):
    kind = params.number(0, 0, 5, default=0)
    count = params.number(1, 2, 15, default=2)
    if not dev.core.radio.active or not dev.core.measure(kind, count):
        raise CommandError


@command("%NCELLMEASSTOP", "exec")
def _stop_measuring(dev, params):
    dev.core.cancel_measurement()


def _switch(name, key, top):
    """A reporting switch with further parameters that do not matter here."""

    @command(name, "set")
    def _set(dev, params):
        dev.core.reports[key] = params.number(0, 0, top)

    @command(name, "read")
    def _read(dev, params):
        return f"{name}: {dev.core.reports[key]}"


_switch("%XTIME", "xtime", 1)
_switch("%XMODEMSLEEP", "modemsleep", 1)
_switch("%CESQ", "cesq", 1)
_switch("%MDMEV", "mdmev", 2)


@command("%CESQ", "exec")
def _levels(dev, params):
    return fmt.nordic_cesq(dev.core)


def _stored(name, key):
    """A setting that is kept as it was written."""

    @command(name, "set")
    def _set(dev, params):
        dev.core.settings[key] = list(params)

    @command(name, "read")
    def _read(dev, params):
        value = dev.core.settings[key]
        return None if value is None else f"{name}: " + ",".join(str(v) for v in value)


_stored("%XCOEX0", "coex0")
_stored("%XMAGPIO", "magpio")


@command("%REL14FEAT", "set")
def _features(dev, params):
    if not dev.core.lte_idle():
        raise CmeError(_ACTIVE)
    for i in range(5):
        params.number(i, 0, 1)


@command("%RAI", "set")
def _set_rai(dev, params):
    dev.core.settings["rai"] = params.number(0, 0, 2)


@command("%RAI", "read")
def _get_rai(dev, params):
    return f"%RAI: {dev.core.settings['rai']}"


@command("%XICCID", "exec")
def _iccid(dev, params):
    if not dev.core.sim_ready():
        raise CommandError
    return "%XICCID: 8949020000000000019F"


@command("%XVBAT", "exec")
def _battery(dev, params):
    # 4.10 V at midnight, 40 mV less by the evening: a node that measures sees a slope.
    second = dev.core.clock.now_ms() // 1000 % 86400
    return f"%XVBAT: {4100 - second // 2160}"


@command("%XTEMP", "read", "exec")
def _temperature(dev, params):
    return f"%XTEMP: {18 + dev.core.clock.now_ms() // 3600000 % 7}"


@command("%DEVICEUUID", "exec")
def _uuid(dev, params):
    return f"%DEVICEUUID: {dev.core.uuid}"


@command("%XMODEMUUID", "exec")
def _modem_uuid(dev, params):
    return f"%XMODEMUUID: {dev.core.uuid}"


@command("%HWVERSION", "exec")
def _hardware(dev, params):
    return "%HWVERSION: nRF9151 LACA A0A"


@command("%SHORTSWVER", "exec")
def _short_version(dev, params):
    return "%SHORTSWVER: nrf91x1_2.0.2"
