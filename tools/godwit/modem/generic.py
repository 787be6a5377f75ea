"""3GPP TS 27.007 and V.250 commands (modems.md 2A.3, 2A.4, 2A.9, 2A.10)."""

from godwit.modem.core import CFUN_MODES, FIRMWARE, HARDWARE
from godwit.modem.sm import format as fmt
from godwit.modem.sm.grammar import CmeError, CommandError
from godwit.modem.sm.registry import accepts, command

APN = "iot.example"

for _basic in ("", "Z", "&F", "V1", "E"):
    accepts(_basic, operation="exec")
accepts("+CNMI", "+CRSM", "+CSCS", "+IPR")


@command("E0", "exec")
def _echo_off(dev, params):
    dev.echo = False


@command("E1", "exec")
def _echo_on(dev, params):
    dev.echo = True


@command("I", "exec")
def _information(dev, params):
    return ["Nordic Semiconductor ASA", f"{HARDWARE}-LACA", FIRMWARE]


@command("+CMEE", "set")
def _set_cmee(dev, params):
    dev.cmee = params.number(0, 0, 1)


@command("+CMEE", "read")
def _get_cmee(dev, params):
    return f"+CMEE: {dev.cmee}"


@command("+CGMI", "exec")
def _manufacturer(dev, params):
    return "Nordic Semiconductor ASA"


@command("+CGMM", "exec")
def _model(dev, params):
    return f"{HARDWARE}-LACA"


@command("+CGMR", "exec")
def _revision(dev, params):
    return FIRMWARE


@command("+CGSN", "exec", "set")
def _imei(dev, params):
    kind = params.number(0, 0, 3, default=0)
    if kind == 0:
        return dev.core.imei
    return f'+CGSN: "{dev.core.imei}"' if kind == 1 else f'+CGSN: "{dev.core.imei[:14]}01"'


@command("+CIMI", "exec")
def _imsi(dev, params):
    if not dev.core.sim_ready():
        raise CmeError(10)
    return "262010000000001"


@command("+CPIN", "read")
def _pin(dev, params):
    if not dev.core.sim_ready():
        raise CmeError(10)
    return "+CPIN: READY"


# functional mode, registration


@command("+CFUN", "set")
async def _set_cfun(dev, params):
    mode = params.number(0)
    if mode not in CFUN_MODES:
        raise CommandError
    await dev.core.set_cfun(mode)


@command("+CFUN", "read")
def _get_cfun(dev, params):
    return f"+CFUN: {dev.core.cfun}"


@command("+CFUN", "test")
def _cfun_modes(dev, params):
    return "+CFUN: (" + ",".join(str(m) for m in sorted(CFUN_MODES)) + ")"


@command("+COPS", "read")
def _operator(dev, params):
    radio = dev.core.radio
    return f'+COPS: 0,2,"{radio.cell.plmn}",{radio.cell.act}' if radio.registered else "+COPS: 0"


@command("+COPS", "set")
def _select_operator(dev, params):
    mode = params.number(0, 0, 4)
    if mode == 2:
        dev.core.radio.stop()
    elif dev.core.cfun == 1:
        dev.core.radio.start()


def _report(name, key, top, current):
    """Set and read of one reporting command."""

    @command(name, "set")
    def _set(dev, params):
        dev.core.reports[key] = params.number(0, 0, top)

    @command(name, "read")
    def _read(dev, params):
        level = dev.core.reports[key]
        return f"{name}: {level}" + current(dev.core, level)


_report("+CEREG", "cereg", 5, lambda core, n: "," + fmt.cereg(core, n))
_report("+CSCON", "cscon", 3, lambda core, n: "," + fmt.cscon(core, n))
_report("+CNEC", "cnec", 24, lambda core, n: "")
_report("+CGEREP", "cgerep", 2, lambda core, n: ",0")


@command("+CESQ", "exec")
def _signal(dev, params):
    dev.core.radio.refresh_cell()
    return fmt.cesq(dev.core)


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


@command("+CGDCONT", "set")
def _define_context(dev, params):
    if params.number(0, 0, 10) == 0:
        dev.core.settings["pdn_type"] = params.text(1, default="IPV4V6")
        dev.core.settings["apn"] = params.text(2, default="") or None


@command("+CGDCONT", "read")
def _contexts(dev, params):
    settings, radio = dev.core.settings, dev.core.radio
    if not radio.pdn_up and settings["apn"] is None:
        return None
    return f'+CGDCONT: 0,"{settings["pdn_type"]}","{settings["apn"] or APN}","{radio.ip or ""}",0,0'


@command("+CGAUTH", "set")
def _authentication(dev, params):
    protocol = params.number(1, 0, 2, default=0)
    dev.core.settings["auth"] = [protocol, params.text(2, default=""), params.text(3, default="")] if protocol else None


@command("+CGAUTH", "read")
def _get_authentication(dev, params):
    auth = dev.core.settings["auth"]
    return f'+CGAUTH: 0,{auth[0]},"{auth[1]}","{auth[2]}"' if auth else None


@command("+CGPADDR", "set", "exec")
def _address(dev, params):
    if params.number(0, 0, 10, default=0) != 0 or not dev.core.radio.pdn_up:
        raise CommandError
    return f'+CGPADDR: 0,"{dev.core.radio.ip}"'


@command("+CGCONTRDP", "set", "exec")
def _dynamic(dev, params):
    if params.number(0, 0, 10, default=0) != 0 or not dev.core.radio.pdn_up:
        raise CommandError
    return f'+CGCONTRDP: 0,,"{dev.core.settings["apn"] or APN}","","","10.81.0.1","10.81.0.2",,,,,1500'


@command("+CGACT", "read")
def _active(dev, params):
    return f"+CGACT: 0,{int(dev.core.radio.pdn_up)}"


# time, power saving


@command("+CCLK", "read")
def _clock(dev, params):
    if not dev.core.time_known:
        raise CommandError
    return fmt.local_time(dev.core.clock.now_ms())


@command("+CCLK", "set")
def _set_clock(dev, params):
    try:
        fmt.parse_local_time(params.text(0))
    except ValueError as err:
        raise CommandError from err
    dev.core.time_known = True


@command("+CPSMS", "set", "exec")
def _set_psm(dev, params):
    mode = params.number(0, 0, 2, default=0)
    old = dev.core.settings["psm"]
    timers = [params.text(3, default=old[1]), params.text(4, default=old[2])]
    if any(len(t) != 8 or set(t) - {"0", "1"} for t in timers):
        raise CommandError
    dev.core.settings["psm"] = [mode % 2, *timers]


@command("+CPSMS", "read")
def _get_psm(dev, params):
    mode, tau, active = dev.core.settings["psm"]
    return f'+CPSMS: 1,,,"{tau}","{active}"' if mode == 1 else "+CPSMS: 0"


@command("+CEDRXS", "set")
def _set_edrx(dev, params):
    mode = params.number(0, 0, 3)
    if mode in (1, 2):
        if params.number(1, 4, 5) == 4:
            dev.core.settings["edrx"] = params.text(2, default="0101")
    else:
        dev.core.settings["edrx"] = None
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
