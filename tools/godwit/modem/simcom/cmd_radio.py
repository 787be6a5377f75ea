"""SIM7080: the APN, the IP stack and the cells (modems.md 2B.2, 2B.3)."""

from godwit.modem import measure
from godwit.modem.generic import APN
from godwit.modem.grammar import CommandError
from godwit.modem.simcom import format as fmt
from godwit.modem.simcom.registry import command

_CONTEXTS = 4  # PDP indexes; only the first has a network behind it


@command("+CNCFG", "set")
def _configure(dev, params):
    params.number(1, 0, 2)
    if params.number(0, 0, _CONTEXTS - 1) == 0:
        dev.core.set("apn", params.text(2, default="") or None)


@command("+CNCFG", "read")
def _configuration(dev, params):
    apn = dev.core.settings["apn"] or ""
    return [f'+CNCFG: {i},0,"{"" if i else apn}","","",0' for i in range(_CONTEXTS)]


@command("+CGNAPN", "exec")
def _network_apn(dev, params):
    return f'+CGNAPN: 1,"{APN}"' if dev.core.radio.registered else '+CGNAPN: 0,""'


@command("+CNACT", "set")
def _activate(dev, params):
    number, up = params.number(0, 0, _CONTEXTS - 1), params.number(1, 0, 2)
    radio = dev.core.radio
    if number or (up and radio.ip is None):
        raise CommandError

    async def work():
        try:
            if up:
                await radio.activate()
            else:
                radio.release()
        except OSError:
            pass
        dev.announce(f"+APP PDP: {number},{'ACTIVE' if radio.pdn_up else 'DEACTIVE'}")

    dev.core.spawn(work())


@command("+CNACT", "read")
def _active(dev, params):
    radio = dev.core.radio
    first = f'+CNACT: 0,{int(radio.pdn_up)},"{radio.ip if radio.pdn_up else "0.0.0.0"}"'
    return [first] + [f'+CNACT: {i},0,"0.0.0.0"' for i in range(1, _CONTEXTS)]


@command("+CPSI", "read")
def _system(dev, params):
    dev.core.radio.refresh_cell()
    return fmt.cell_info(dev.core)


@command("+CENG", "set")
def _set_engineering(dev, params):
    dev.engineering = bool(params.number(0, 0, 4))


@command("+CENG", "read")
def _engineering(dev, params):
    if not dev.engineering:
        return "+CENG: 0,0"
    dev.core.radio.refresh_cell()
    found = measure.neighbours(dev.core)
    if found is None:
        raise CommandError
    return fmt.engineering(dev.core, found)
