"""3GPP TS 27.007 and V.250 commands that every family has (modems.md 7.2 "Common").

A personality includes GENERIC in its own table and replaces what it spells differently. Where families differ in a
value only, it is in the Profile (context, acts) or in the Line (unset_clock).
"""

from godwit.modem import generic_format as fmt
from godwit.modem.grammar import CmeError, CommandError
from godwit.modem.registry import Registry
from godwit.modem.sim import IMSI, PIN, PUK

APN = "iot.example"
GENERIC = Registry()
command, accepts = GENERIC.command, GENERIC.accepts

for _basic in ("", "Z", "&F", "&F0", "&W", "V1", "Q0", "&K0", "&K3", "&C1", "&D0", "&D1", "&D2"):
    accepts(_basic, operation="exec")
accepts("+CNMI", "+CRSM", "+CSCS", "+IPR", "+IFC", "+CMGF")


@command("E", "exec")
@command("E0", "exec")
def _echo_off(dev, params):
    dev.echo = False


@command("E1", "exec")
def _echo_on(dev, params):
    dev.echo = True


@command("I", "exec")
def _information(dev, params):
    profile = dev.core.profile
    return [profile.manufacturer, profile.model, profile.firmware]


@command("+CMEE", "set")
def _set_cmee(dev, params):
    dev.cmee = params.number(0, 0, dev.cmee_top)


@command("+CMEE", "read")
def _get_cmee(dev, params):
    return f"+CMEE: {dev.cmee}"


@command("+CGMI", "exec")
@command("+GMI", "exec")
def _manufacturer(dev, params):
    return dev.core.profile.manufacturer


@command("+CGMM", "exec")
@command("+GMM", "exec")
def _model(dev, params):
    return dev.core.profile.model


@command("+CGMR", "exec")
@command("+GMR", "exec")
def _revision(dev, params):
    return dev.core.profile.firmware


@command("+GSN", "exec")
@command("+CGSN", "exec", "set")
def _imei(dev, params):
    kind = params.number(0, 0, 3, default=0)
    if kind == 0:
        return dev.core.imei
    return f'+CGSN: "{dev.core.imei}"' if kind == 1 else f'+CGSN: "{dev.core.imei[:14]}01"'


@command("+CIMI", "exec")
def _imsi(dev, params):
    dev.core.sim.check()
    return IMSI


@command("+CPIN", "read")
def _pin(dev, params):
    kind = dev.core.sim.kind
    if kind in (PIN, PUK):
        return "+CPIN: SIM " + kind.upper()
    dev.core.sim.check()
    return "+CPIN: READY"


@command("+CPIN", "set")
def _enter_pin(dev, params):
    pin = params[0] if len(params) else None
    if pin is None:
        raise CommandError
    dev.core.sim.enter(str(pin))
    if dev.core.cfun == 1:
        dev.core.radio.start()


# functional mode, registration


@command("+CFUN", "set")
async def _set_cfun(dev, params):
    mode = params.number(0)
    try:
        await dev.core.set_cfun(mode)
    except KeyError as err:
        raise CommandError from err


@command("+CFUN", "read")
def _get_cfun(dev, params):
    return f"+CFUN: {dev.core.cfun}"


@command("+CFUN", "test")
def _cfun_modes(dev, params):
    return "+CFUN: (" + ",".join(str(m) for m in sorted(dev.core.profile.cfun_modes)) + ")"


@command("+COPS", "read")
def _operator(dev, params):
    radio = dev.core.radio
    return f'+COPS: 0,2,"{radio.cell.plmn}",{fmt.act(dev.core)}' if radio.registered else "+COPS: 0"


@command("+COPS", "set")
def _select_operator(dev, params):
    mode = params.number(0, 0, 4)
    if mode == 2:
        dev.core.radio.stop()
    elif mode != 3 and dev.core.cfun == 1:
        dev.core.radio.start()


def report(table, name, key, top, current):
    """Set and read of one reporting command."""

    @table.command(name, "set")
    def _set(dev, params):
        dev.core.reports[key] = params.number(0, 0, top)

    @table.command(name, "read")
    def _read(dev, params):
        level = dev.core.reports[key]
        return f"{name}: {level}" + current(dev.core, level)


report(GENERIC, "+CEREG", "cereg", 5, lambda core, n: "," + fmt.cereg(core, n))
report(GENERIC, "+CREG", "creg", 2, lambda core, n: "," + str(core.radio.stat))
report(GENERIC, "+CGREG", "cgreg", 2, lambda core, n: ",0")
report(GENERIC, "+CGEREP", "cgerep", 2, lambda core, n: ",0")
report(GENERIC, "+CTZR", "ctzr", 2, lambda core, n: "")
accepts("+CTZU")


@command("+CESQ", "exec")
def _signal(dev, params):
    dev.core.radio.refresh_cell()
    return fmt.cesq(dev.core)


@command("+CSQ", "exec")
def _rssi(dev, params):
    dev.core.radio.refresh_cell()
    return fmt.csq(dev.core)


@command("+CGATT", "read")
def _get_attach(dev, params):
    return f"+CGATT: {int(dev.core.radio.registered)}"


@command("+CGATT", "set")
def _set_attach(dev, params):
    if params.number(0, 0, 1):
        if dev.core.cfun != 1:
            raise CommandError
        dev.core.radio.start()
    else:
        dev.core.radio.stop()


# PDN


def _ours(dev, params):
    """The number of our PDN context; other contexts are CommandErrors, or ignored by +CGDCONT."""
    number = dev.core.profile.context
    if params.number(0, 0, 10, default=number) != number:
        raise CommandError
    return number


@command("+CGDCONT", "set")
def _define_context(dev, params):
    if params.number(0, 0, 10) == dev.core.profile.context:
        dev.core.set("pdn_type", params.text(1, default="IPV4V6"))
        dev.core.set("apn", params.text(2, default="") or None)


@command("+CGDCONT", "read")
def _contexts(dev, params):
    settings, radio = dev.core.settings, dev.core.radio
    if not radio.ip and settings["apn"] is None:
        return None
    return (f'+CGDCONT: {dev.core.profile.context},"{settings["pdn_type"]}","{settings["apn"] or APN}",'
            f'"{radio.ip or ""}",0,0')


@command("+CGAUTH", "set")
def _authentication(dev, params):
    protocol = params.number(1, 0, 2, default=0)
    dev.core.set("auth", [protocol, params.text(2, default=""), params.text(3, default="")] if protocol else None)


@command("+CGAUTH", "read")
def _get_authentication(dev, params):
    auth = dev.core.settings["auth"]
    return f'+CGAUTH: {dev.core.profile.context},{auth[0]},"{auth[1]}","{auth[2]}"' if auth else None


@command("+CGPADDR", "set", "exec")
def _address(dev, params):
    number = _ours(dev, params)
    if not dev.core.radio.ip:
        raise CommandError
    return f'+CGPADDR: {number},"{dev.core.radio.ip}"'


@command("+CGCONTRDP", "set", "exec")
def _dynamic(dev, params):
    number = _ours(dev, params)
    if not dev.core.radio.ip:
        raise CommandError
    apn = dev.core.settings["apn"] or APN
    return f'+CGCONTRDP: {number},,"{apn}","","","10.81.0.1","10.81.0.2",,,,,1500'


@command("+CGACT", "read")
def _active(dev, params):
    return f"+CGACT: {dev.core.profile.context},{int(dev.core.radio.ip is not None)}"


# time, power saving


@command("+CCLK", "read")
def _clock(dev, params):
    if dev.core.time_known:
        return fmt.local_time(dev.core.rtc_s() * 1000)
    if dev.unset_clock is None:
        raise CommandError
    return f'+CCLK: "{dev.unset_clock}"'


@command("+CCLK", "set")
def _set_clock(dev, params):
    try:
        dev.core.set_rtc(fmt.parse_local_time(params.text(0)))
    except ValueError as err:
        raise CommandError from err


@command("+CPSMS", "set", "exec")
def _set_psm(dev, params):
    mode = params.number(0, 0, 2, default=0)
    old = dev.core.settings["psm"]
    timers = [params.text(3, default=old[1]), params.text(4, default=old[2])]
    if any(len(t) != 8 or set(t) - {"0", "1"} for t in timers):
        raise CommandError
    dev.core.set("psm", [mode % 2, *timers])
    dev.core.radio.power_saving_changed()


@command("+CPSMS", "read")
def _get_psm(dev, params):
    mode, tau, active = dev.core.settings["psm"]
    return f'+CPSMS: 1,,,"{tau}","{active}"' if mode == 1 else "+CPSMS: 0"


@command("+CEDRXS", "set")
def _set_edrx(dev, params):
    mode = params.number(0, 0, 3)
    if mode in (1, 2):
        if params.number(1, 4, 5) == 4:
            dev.core.set("edrx", params.text(2, default="0101"))
    else:
        dev.core.set("edrx", None)
    dev.core.reports["cedrxp"] = int(mode == 2)
    if dev.core.radio.registered:
        dev.core.notify("edrx")


@command("+CEDRXS", "read")
def _get_edrx(dev, params):
    value = dev.core.settings["edrx"]
    return f'+CEDRXS: 4,"{value}"' if value else None


@command("+CEDRXRDP", "exec")
def _edrx_granted(dev, params):
    value = dev.core.settings["edrx"]
    return f'+CEDRXRDP: 4,"{value}","{value}","0011"' if value else "+CEDRXRDP: 0"


def cme(code):
    """A handler that always fails with one +CME ERROR."""

    def fail(dev, params):
        raise CmeError(code)

    return fail
