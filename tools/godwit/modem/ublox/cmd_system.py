"""Identity, power, radio settings, PDN profile and cell data of SARA-R5 (modems.md 2D.1, 2D.2, 2D.6)."""

from godwit.modem.generic import GENERIC
from godwit.modem.grammar import CmeError, CommandError
from godwit.modem.registry import Registry, Reply
from godwit.modem.sim import ICCID
from godwit.modem.ublox import format as fmt

COMMANDS = Registry()
COMMANDS.include(GENERIC)
command, accepts = COMMANDS.command, COMMANDS.accepts

NOT_ALLOWED = 3
_RESETS = (15, 16)  # CFUN values: silent reset without and with the SIM
_UPSV_MAX = 4
_TO_CID, _PROTOCOL = 100, 0
_ACTIVATE, _DEACTIVATE = 3, 4
_ATTACH_S, _FAILED = 30, 1

accepts("+UBANDMASK", "+UGPIOC")
for _name in ("&K", "&W0"):
    accepts(_name, operation="exec")


@command("I9", "exec")
def _firmware(dev, params):
    return [dev.core.profile.firmware + ",A00.01"]


@command("I", "exec")
@command("I0", "exec")
def _model(dev, params):
    return dev.core.profile.model + "-00B"


@command("+CCID", "exec", "read")
def _iccid(dev, params):
    dev.core.sim.check()
    return f"+CCID: {ICCID.rstrip('F')}"


# power


@command("+CFUN", "set")
async def _set_cfun(dev, params):
    mode = params.number(0)
    if mode in _RESETS:
        dev.core.save()
        return Reply(then=lambda: dev.power("reboot"))
    return await GENERIC["+CFUN", "set"](dev, params)


@command("+CPWROFF", "exec")
def _power_off(dev, params):
    dev.core.save()
    return Reply(then=lambda: dev.power("off"))


@command("+CSGT", "set")
def _greeting(dev, params):
    mode = params.number(0, 0, 1)
    text = params.text(1) if mode and params.given(1) else dev.core.settings["greeting"]
    dev.core.set("greeting", text if mode else None)


def _stored(name, key, low, high):
    """A number that is kept."""

    @command(name, "set")
    def _set(dev, params):
        dev.core.set(key, params.number(0, low, high))

    @command(name, "read")
    def _read(dev, params):
        return f"{name}: {dev.core.settings[key]}"


_stored("+UPSV", "upsv", 0, _UPSV_MAX)
_stored("+UPSMR", "upsmr", 0, 1)


@command("+UPSMVER", "read")
def _psm_version(dev, params):
    return "+UPSMVER: 12"


@command("+URAT", "set")
def _set_rat(dev, params):
    rats = [params.number(i, 7, 8) for i in range(len(params))]
    if not rats:
        raise CommandError
    dev.core.set("urat", rats)


@command("+URAT", "read")
def _get_rat(dev, params):
    return "+URAT: " + ",".join(str(rat) for rat in dev.core.settings["urat"])


@command("+UMNOPROF", "set")
def _set_profile(dev, params):
    if dev.core.cfun:
        raise CmeError(NOT_ALLOWED)  # only while the radio is off; a reset makes it count
    dev.core.set("umnoprof", params.number(0, 0, 199))


@command("+UMNOPROF", "read")
def _get_profile(dev, params):
    return f"+UMNOPROF: {dev.core.settings['umnoprof']}"


# packet switched data


@command("+UPSD", "set")
def _configure(dev, params):
    params.number(0, 0, 0)
    tag = params.number(1, 0, 101)
    if tag == _TO_CID:
        if params.number(2, 0, 11) != dev.core.profile.context:
            raise CmeError(NOT_ALLOWED)
        dev.psd.mapped = True
    elif tag == _PROTOCOL:
        dev.psd.protocol = params.number(2, 0, 3)
    else:
        raise CmeError(NOT_ALLOWED)


@command("+UPSDA", "set")
def _act(dev, params):
    params.number(0, 0, 0)
    action = params.number(1, 0, 4)
    radio = dev.core.radio
    if action == _ACTIVATE:
        if dev.is_r422 or not dev.psd.mapped or dev.psd.active or not radio.registered:
            raise CmeError(NOT_ALLOWED)
        return Reply(then=lambda: dev.core.spawn(_activating(dev)))
    if action == _DEACTIVATE:
        if not dev.psd.active:
            raise CmeError(NOT_ALLOWED)
        return Reply(then=lambda: _deactivate(dev))
    return None  # 0 reset, 1 store, 2 load: the profile has nothing that the NVM could keep


async def _activating(dev):
    radio = dev.core.radio
    try:
        await radio.activate(_ATTACH_S)
    except OSError as err:
        dev.core.log.event("activate_failed", reason=str(err))
        dev.announce(f"+UUPSDA: {_FAILED}")
        return
    dev.psd.active = True
    dev.announce(f'+UUPSDA: 0,"{radio.ip}"')


def _deactivate(dev):
    dev.psd.active = False  # before the core says that it is gone: nobody has lost it
    dev.core.radio.release()
    forget_sockets(dev)


def forget_sockets(dev):
    """All handles are free again."""
    dev.core.net.close_all()
    for table in (dev.told, dev.secured, dev.traffic, dev.peers):
        table.clear()


@command("+UPSND", "set")
def _status(dev, params):
    params.number(0, 0, 0)
    tag = params.number(1, 0, 8)
    if tag == 0 and dev.online:
        return f'+UPSND: 0,0,"{dev.core.radio.ip}"'
    if tag == 8:
        return f"+UPSND: 0,8,{int(dev.online)}"
    raise CmeError(NOT_ALLOWED)


def bearer_lost(dev):
    """The line that says so, once; with the bearer go all sockets, without a word of their own."""
    if not dev.psd.active or dev.core.radio.pdn_up:
        return []
    dev.psd.active = False
    forget_sockets(dev)
    return ["+UUPSDD: 0"]


def packet_event(dev, text):
    """R422's bearer is up without being asked; +CGEV for those who want it."""
    if dev.is_r422 and dev.core.radio.pdn_up:
        dev.psd.active = True
    return f"+CGEV: {text}" if dev.core.reports["cgerep"] else None


# cells


@command("+UCGED", "set")
def _set_cell_data(dev, params):
    mode = params.number(0)
    if mode not in (0, 2):
        raise CmeError(NOT_ALLOWED)  # 5 is R410's
    dev.ucged = mode


@command("+UCGED", "read")
def _cell_data(dev, params):
    lines = [f"+UCGED: {dev.ucged}"]
    radio = dev.core.radio
    if dev.ucged != 2 or not radio.registered:
        return lines
    radio.refresh_cell()
    return lines + (fmt.ucged_r422(radio.cell) if dev.is_r422 else fmt.ucged_r5(radio.cell, radio.rrc))
