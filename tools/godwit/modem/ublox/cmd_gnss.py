"""GNSS of SARA-R510M8S in AT (modems.md 2D.5): +UGPS, +UGIND, +ULOC, +UGRMC, and the +UGUBX tunnel to the receiver."""

from godwit.modem.agnss import GPS_EPOCH
from godwit.modem.grammar import CmeError, CommandError
from godwit.modem.registry import Registry, Reply
from godwit.modem.ublox import format as fmt
from godwit.modem.ublox import ubx
from godwit.modem.ublox.receiver import LOCAL_AIDING, Busy

COMMANDS = Registry()
command, accepts = COMMANDS.command, COMMANDS.accepts

_NOT_ALLOWED = 3
_OFFLINE, _ONLINE, _AUTONOMOUS = 2, 4, 8
_DEFAULT_SYSTEMS = 3  # GPS and SBAS
_SYSTEMS_MAX = 127
_START_S, _FRAME_S = 1.0, 0.1  # world seconds: receiver on, one frame through the tunnel
_DONE, _NO_HTTP, _NO_TOKEN = 0, 2, 16
# Aiding bit -> what becomes of it here: no server of u-blox can be reached.
_RESULTS = {LOCAL_AIDING: _DONE, _OFFLINE: _NO_HTTP, _ONLINE: _NO_TOKEN, _AUTONOMOUS: _DONE}
_GNSS, _CELL_LOCATE = 1, 2
_LOCATE_STEP_S = 0.5

accepts("+UGPRF", "+UGSRV", "+UGTMR", "+ULOCGNSS", "+ULOCCELL", "+UGAOS")


# power


@command("+UGPS", "set")
async def _power(dev, params):
    receiver = dev.receiver
    if params.number(0, 0, 1) == 0:
        return _off(dev)
    aid = params.number(1, 0, 15, default=0)
    systems = params.number(2, 1, _SYSTEMS_MAX, default=_DEFAULT_SYSTEMS)
    if receiver.on and (aid, systems) == (receiver.aid, receiver.systems):
        raise CmeError(_NOT_ALLOWED)
    await dev.core.clock.sleep(_START_S)
    if receiver.on:
        receiver.stop()
    receiver.start(aid, systems)
    return Reply(then=lambda: _tell_aiding(dev, aid, systems))


def _off(dev):
    receiver = dev.receiver
    if not receiver.on:
        raise CmeError(_NOT_ALLOWED)
    aid = receiver.aid
    _stop_locating(dev)
    receiver.stop()
    return Reply(then=lambda: _tell_saved(dev, aid))


def _tell_aiding(dev, aid, systems):
    if not dev.ugind:
        return
    dev.announce(f"+UUGIND: 0,{systems}")
    for bit, result in _RESULTS.items():
        if aid & bit:
            dev.announce(f"+UUGIND: {bit},{result}")


def _tell_saved(dev, aid):
    if dev.ugind and aid & LOCAL_AIDING:
        dev.announce(f"+UUGIND: {LOCAL_AIDING},{_DONE}")


@command("+UGPS", "read")
def _status(dev, params):
    receiver = dev.receiver
    return f"+UGPS: 1,{receiver.aid},{receiver.systems}" if receiver.on else "+UGPS: 0"


@command("+UGIND", "set")
def _set_indication(dev, params):
    dev.ugind = params.number(0, 0, 1)


@command("+UGIND", "read")
def _get_indication(dev, params):
    return f"+UGIND: {dev.ugind}"


# position


@command("+UGRMC", "set")
def _set_rmc(dev, params):
    dev.ugrmc = params.number(0, 0, 1)


@command("+UGRMC", "read")
def _rmc(dev, params):
    if not dev.ugrmc:
        return "+UGRMC: 0"
    if not dev.receiver.on:
        return "+UGRMC: 1,Not Available"
    gnss = dev.core.gnss
    now = gnss.now_s() if gnss.known.time_good else None
    return f"+UGRMC: 1,{fmt.rmc(dev.receiver.fix, now)}"


@command("+ULOC", "set")
def _locate(dev, params):
    if params.number(0, 2, 2) != 2:
        raise CommandError
    sensors, form = params.number(1, 0, 3), params.number(2, 0, 1)
    timeout, accuracy = params.number(3, 1, 999), params.number(4, 1, 999999)
    if dev.locating:
        _report(dev, *dev.locating_form)  # the one under way is cut short and says what it has
    _stop_locating(dev)

    def begin():
        dev.locating_form = (bool(form),)
        dev.locating = dev.core.spawn(_wait_for_fix(dev, sensors, timeout, accuracy))

    return Reply(then=begin)


async def _wait_for_fix(dev, sensors, timeout, accuracy):
    receiver, clock = dev.receiver, dev.core.clock
    borrowed = bool(sensors & _GNSS) and not receiver.on
    if borrowed:
        receiver.start(0, _DEFAULT_SYSTEMS)
    end = clock.now_ms() + timeout * 1000
    try:
        while clock.now_ms() < end:
            fix = receiver.fix
            if fix and fix.acc <= accuracy:
                break
            await clock.sleep(_LOCATE_STEP_S)
        _report(dev, *dev.locating_form)
    finally:
        dev.locating = None
        if borrowed and receiver.on:
            receiver.stop()


def _report(dev, detailed):
    dev.announce(fmt.uuloc(dev.receiver.fix, detailed, dev.core.rtc_s() or GPS_EPOCH))


def _stop_locating(dev):
    if dev.locating:
        dev.locating.cancel()
        dev.locating = None


# the tunnel


@command("+UGUBX", "set")
async def _tunnel(dev, params):
    receiver = dev.receiver
    try:
        frame = bytes.fromhex(params.text(0))
    except ValueError as err:
        raise CommandError from err
    if not receiver.on:
        _check(frame)
        raise CmeError(_NOT_ALLOWED)
    await dev.core.clock.sleep(_FRAME_S)
    if dev.core.faults.on("gnss_busy"):
        raise CmeError(_NOT_ALLOWED)
    try:
        answer = receiver.frame(frame)
    except (Busy, ubx.UbxError) as err:
        dev.core.log.event("ubx_refused", reason=str(err) or "busy")
        raise CmeError(_NOT_ALLOWED) from err
    return f'+UGUBX: "{answer.hex().upper()}"' if answer else None


def _check(frame):
    """Without power nobody recomputes the checksum, so it is looked at first."""
    try:
        ubx.parse(frame, check=True)
    except ubx.UbxError as err:
        raise CommandError from err


