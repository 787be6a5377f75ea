"""The PDP context of BG95 in AT (modems.md 2C.2): +QICSGP, +QIACT, +QIDEACT.

A context that the network has taken away has to be deactivated before it can be activated again.
"""

from godwit.modem.quectel.cmd_socket import PARAMETERS, PDP, failed
from godwit.modem.registry import Registry

COMMANDS = Registry()
command = COMMANDS.command

_ATTACH_S = 150


@command("+QICSGP", "set")
def _define(dev, params):
    settings = dev.core.settings
    if params.number(0, 1, 16) != dev.core.profile.context:
        raise failed(dev, PARAMETERS)
    if len(params) == 1:
        kind = {"IP": 1, "IPV6": 2, "IPV4V6": 3}.get(settings["pdn_type"], 1)
        auth = settings["auth"] or [0, "", ""]
        return f'+QICSGP: {kind},"{settings["apn"] or ""}","{auth[1]}","{auth[2]}",{auth[0]}'
    dev.core.set("pdn_type", ("IP", "IPV6", "IPV4V6")[params.number(1, 1, 3) - 1])
    dev.core.set("apn", params.text(2, default="") or None)
    method = params.number(5, 0, 3, default=0)
    dev.core.set("auth", [method, params.text(3, default=""), params.text(4, default="")] if method else None)
    return None


@command("+QIACT", "set")
async def _activate(dev, params):
    radio = dev.core.radio
    if params.number(0, 1, 16) != dev.core.profile.context or dev.active or dev.lost or not radio.registered:
        raise failed(dev, PDP)
    try:
        await radio.activate(_ATTACH_S)
    except OSError as err:
        dev.core.log.event("activate_failed", reason=str(err))
        raise failed(dev, PDP) from err
    dev.active = True


@command("+QIACT", "read")
def _contexts(dev, params):
    return f'+QIACT: 1,1,1,"{dev.core.radio.ip}"' if dev.active else None


@command("+QIDEACT", "set")
async def _deactivate(dev, params):
    if params.number(0, 1, 16) != dev.core.profile.context:
        raise failed(dev, PARAMETERS)
    dev.active = dev.lost = False  # before the core says that it is gone: nobody has lost it
    dev.core.radio.release()
    for connect in (*dev.connects.values(), *dev.ssl_connects.values()):
        dev.core.net.close(connect.sock.handle)
    dev.connects.clear()
    dev.ssl_connects.clear()
    await dev.core.clock.sleep(dev.core.timing["pdn"])


def bearer_lost(dev):
    """The line that says so, once: connects are dead, and the context has to be deactivated before its next use."""
    if not dev.active or dev.core.radio.pdn_up:
        return []
    dev.active, dev.lost = False, True
    return ['+QIURC: "pdpdeact",1']
