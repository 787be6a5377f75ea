"""The Serial Modem's own system commands (modems.md 2A.1)."""

from godwit.modem.grammar import CommandError
from godwit.modem.sm.registry import COMMANDS, Reply, command

VERSION = '"v2.0.0","3.4.0"'
_MAX_LIMIT_MS = 10000


@command("#XSMVER", "exec", "read")
def _version(dev, params):
    return f"#XSMVER: {VERSION}"


@command("#XCLAC", "exec")
def _commands(dev, params):
    return ["AT" + name for name in sorted({name for name, _ in COMMANDS if name.startswith("#")})]


@command("#XUUID", "exec")
def _uuid(dev, params):
    return f"#XUUID: {dev.core.uuid}"


@command("#XRESET", "exec")
def _reset(dev, params):
    return Reply(then=lambda: dev.power("reboot"))


@command("#XSHUTDOWN", "exec")
def _shutdown(dev, params):
    dev.core.save()
    return Reply(then=lambda: dev.power("off"))


@command("#XSLEEP", "set")
async def _sleep(dev, params):
    mode = params.number(0, 1, 2)
    if mode == 1:
        # Ends the service. There is no DTR line on a PTY: the next bytes from the host wake it.
        if not dev.core.lte_idle():
            await dev.core.set_cfun(0)
        return Reply(then=lambda: dev.power("sleep"))
    return Reply(then=dev.doze)


@command("#XMODEMRESET", "exec")
async def _modem_reset(dev, params):
    dev.core.modem_reset()
    dev.core.log.event("modem_reset")
    await dev.core.clock.sleep(dev.core.timing["reset"])

    def announce():
        dev.announce("#XMODEM: SHUTDOWN,0")
        dev.announce("#XMODEM: INIT,0")

    return Reply("#XMODEMRESET: 0", then=announce)


@command("#XDATACTRL", "set")
def _set_limit(dev, params):
    dev.data_limit_ms = params.number(0, dev.data_minimum_ms, _MAX_LIMIT_MS)


@command("#XDATACTRL", "read")
def _get_limit(dev, params):
    return f"#XDATACTRL: {dev.data_limit_ms},{dev.data_minimum_ms}"


@command("#XDATACTRL", "test")
def _limits(dev, params):
    return "#XDATACTRL=<time_limit>"


@command("#XNRFCLOUD", "set", "read")
def _own_cloud(dev, params):
    raise CommandError  # this build has no nRF Cloud client of its own
