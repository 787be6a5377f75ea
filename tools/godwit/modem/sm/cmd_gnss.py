"""GNSS in AT (modems.md 2A.8), with the assistance forwarding of PR #285 (3.2) when the build has it."""

from godwit.modem import agnss
from godwit.modem.grammar import CommandError
from godwit.modem.sm.datamode import DataPhase
from godwit.modem.sm.registry import Reply, command

_FORWARD = 2
_ELEMENT_MAX, _BULK_MAX = 4096, 8192
_PERIOD_MIN, _PERIOD_MAX, _TIMEOUT_S = 10, 65535, 60


@command("#XGNSS", "set")
def _gnss(dev, params):
    core, gnss = dev.core, dev.core.gnss
    if params.number(0, 0, 1) == 0:
        if gnss.stop():
            core.notify("gnss_status", 0)
        return None
    assist, interval = params.number(1, 0, 2), params.number(2, 0, _PERIOD_MAX)
    timeout = params.number(3, 0, _PERIOD_MAX, default=0 if interval == 1 else _TIMEOUT_S)
    # cloud_assist=1 needs a connection of SM's own, which this build does not have.
    if assist == 1 or (assist == _FORWARD and not dev.agnss):
        raise CommandError
    if 1 < interval < _PERIOD_MIN or (interval == 1 and timeout) or (interval > 1 and timeout >= interval):
        raise CommandError
    if gnss.running or not core.gnss_on or not core.settings["system_mode"][2]:
        raise CommandError
    gnss.forwards = assist == _FORWARD
    gnss.start(interval, timeout)
    core.notify("gnss_need")
    return "#XGNSS: 1,1"


@command("#XGNSS", "read")
def _status(dev, params):
    gnss = dev.core.gnss
    return f"#XGNSS: {int(dev.core.gnss_on)},{gnss.status}"


@command("#XGNSS", "test")
def _modes(dev, params):
    assist = "(0,1,2)" if dev.agnss else "(0,1)"
    return f"#XGNSS: (0,1),{assist},<interval>,<timeout>"


@command("#XGNSSDEL", "set")
def _delete(dev, params):
    if dev.core.gnss.running or not dev.core.gnss_on:
        raise CommandError
    dev.core.gnss.delete(params.number(0, 1, 0x7FF))


@command("#XAGNSS", "set")
def _element(dev, params):
    if not dev.agnss:
        raise CommandError
    length, number = params.number(0, 1, _ELEMENT_MAX), params.number(1, 1, 9)
    return Reply(phase=_collect(length, lambda data: _inject_element(dev.core.gnss, number, data)))


@command("#XAGNSSP", "set")
def _bulk(dev, params):
    if not dev.agnss:
        raise CommandError
    length = params.number(0, 1, _BULK_MAX)
    return Reply(phase=_collect(length, lambda data: _inject_bulk(dev.core.gnss, data)))


def _collect(length, use):
    """A data phase that gathers flushed parts and uses them when complete; the result never reaches the host."""
    buffer = bytearray()

    async def sink(data):
        buffer.extend(data)
        if len(buffer) >= length:
            use(bytes(buffer))
        return True

    return DataPhase(sink, length)


def _inject_element(gnss, number, data):
    try:
        gnss.inject([agnss.decode_struct(number, data)])
    except agnss.AgnssError as err:
        gnss.inject([], error=str(err))


def _inject_bulk(gnss, data):
    try:
        gnss.inject(agnss.decode(data))
    except agnss.AgnssError as err:
        gnss.inject(err.items, error=str(err))
