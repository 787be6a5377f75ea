"""From power-on to registered, for every family (27.007; modems.md 1.6, 1.7, 2A.3-2D.1).

What a family does in its own way is in modem.<family>.steps (see modem/README.md). Called through modem.family.Family.
RAM: none.
"""

import asyncio
from errno import ECONNRESET, ENODEV, ETIMEDOUT
from time import ticks_diff, ticks_ms

from micropython import const

from at.errors import ATError
from at.fields import split
from modem.base import Denied, SimError
from modem.verbs import steps

CFUN_MS = const(60000)  # a family that may take longer has its own
_REGISTERED = (1, 5)  # home, roaming
_STAT_DENIED = const(3)
_STAT_NO_SIM = const(90)
_QUIET_BOOT_MS = const(2000)  # a modem that says nothing at start may still answer while it goes down
_SIM_POLLS = const(40)  # a SIM may take 20 s (modems.md 2B.1, 2C.1)
_SIM_MS = const(500)
_LEVELS = (5, 4, 2)  # +CEREG=n: with causes and timers, with timers, with the cell; the first that is taken

# +CME ERROR of AT+CPIN? (modems.md 1.10), and the words of +CPIN.
_SIM_CODES = {10: "missing", 11: "pin", 12: "puk", 13: "failure", 15: "failure"}
_SIM_WORDS = ((b": SIM PIN", "pin"), (b": SIM PUK", "puk"), (b"NOT INSERTED", "missing"))


async def attempt(modem, cmd, prefix=None, **how):
    """-> info lines, or None when the modem refuses."""
    try:
        return await modem.at.command(cmd, prefix, **how)
    except ATError:
        return None


async def start(modem):
    """Bring the channel into a known state and make all settings; safe to repeat. Keeps a registration.

    Raises OSError(ETIMEDOUT) when nothing answers, OSError(ENODEV) when it is another modem than the family's.
    """
    how = steps(modem)
    at = modem.at
    modem.drop_endpoints("restarted")
    at.expect_boot = True
    try:
        await _reach(modem, how)
        if at.parser.numeric:
            at.parser.numeric = False
            await attempt(modem, "ATV1")
        await attempt(modem, "ATE0")
        await at.command("AT+CMEE=1")
        await how.probe(modem)
        for cmd, prefix, needed in how.SETTINGS:
            if await attempt(modem, cmd, prefix, timeout_ms=5000) is None and needed:
                raise OSError(ENODEV, cmd + " refused")
        for level in _LEVELS:
            if await attempt(modem, "AT+CEREG=%d" % level) is not None:
                break
        caps = await how.prepare(modem)
        if hasattr(modem.power, "dtr"):
            caps.add("SLEEP")
        modem.caps = frozenset(caps)
        modem.restarted = False
        await poll(modem)  # which notices a restart in the middle of all this
    finally:
        at.expect_boot = False


async def _reach(modem, how):
    """In sync, switched on if need be: a power key is pressed only after silence, as it toggles (modems.md 2B.1)."""
    try:
        await modem.at.sync()
    except OSError as error:
        if error.args[0] != ETIMEDOUT or not hasattr(modem.power, "on"):
            raise
        await restarted(modem, how, modem.power.on())
        await modem.at.sync()


async def restarted(modem, how, doing):
    """Await `doing`, which restarts the modem, and its first word, or an answer where it has none, READY_MS at most:
    start(), which is due then, finds out."""
    ready = modem.at.expect(how.READY) if how.READY else None
    try:
        await doing
        if ready:
            await ready.wait(how.READY_MS)
            return
        await asyncio.sleep_ms(_QUIET_BOOT_MS)
        began = ticks_ms()
        while ticks_diff(ticks_ms(), began) < how.READY_MS:
            try:
                return await modem.at.sync()
            except OSError as error:
                if error.args[0] != ETIMEDOUT:
                    raise
    except OSError as error:
        if error.args[0] != ETIMEDOUT:
            raise
    finally:
        if ready:
            ready.close()


async def poll(modem):
    """Ask for the registration; -> the record, with "cause". Raises OSError(ECONNRESET) when the modem has forgotten
    that it should report it, which means that it restarted and nobody heard."""
    lines = await modem.at.command("AT+CEREG?", b"+CEREG:", timeout_ms=2000)
    if lines:
        fields = split(lines[-1])
        if fields[0] == b"0":
            if not modem.restarted:
                modem.rebooted(b"settings lost")
            raise OSError(ECONNRESET, "modem restarted unnoticed")
        modem.note_registration(fields[1:])
    return modem.registration


async def registered(modem):
    """-> bool, asked of the modem, not of what URCs said last."""
    return (await poll(modem))["stat"] in _REGISTERED


async def attach(modem, apn=None, timeout_ms=300000, progress=None):
    """Register with the network and have a bearer; -> registration record. `progress(stat)` is called on each change.

    Raises Denied, SimError, OSError(ETIMEDOUT) when no network took us in time, OSError(ECONNRESET) when the modem
    restarted.
    """
    how = steps(modem)
    modem.apn = apn or modem.apn
    began = ticks_ms()
    state = await poll(modem)
    if state["stat"] not in _REGISTERED:
        await how.configure(modem, apn)
        state["stat"] = None
        modem.changed.clear()
        await _radio_on(modem, how)
        await _open_sim(modem)
        if state["stat"] == _STAT_NO_SIM:  # news from before its PIN
            state["stat"] = None
        await _wait_registered(modem, began, timeout_ms, progress)
    modem.leaving = False
    await how.bearer(modem)
    return {key: state[key] for key in ("stat", "tac", "eci", "rat")}


async def _radio_on(modem, how):
    try:
        await modem.at.command("AT+CFUN=1", timeout_ms=_cfun_ms(how))
    except ATError as refused:
        if refused.code not in _SIM_CODES:  # else _open_sim tells it in its words
            raise


def _cfun_ms(how):
    return getattr(how, "CFUN_MS", CFUN_MS)


async def _open_sim(modem):
    """Wait until the SIM lets us in. Its PIN, if it wants one, is tried once and then forgotten: three wrong ones lock
    it, and a node that restarts would get there. Raises SimError."""
    kind = None
    for _ in range(_SIM_POLLS):
        kind = await _sim_state(modem)
        if kind is None:
            return
        if kind == "pin" and modem.pin:
            pin, modem.pin = modem.pin, None
            await _present(modem, pin)
        elif kind != "busy":
            break
        await asyncio.sleep_ms(_SIM_MS)
    raise SimError("failure" if kind == "busy" else kind)


async def _present(modem, pin):
    if not (4 <= len(pin) <= 8 and pin.isdigit()):
        raise SimError("pin", "the PIN of the settings is none")
    try:
        if await attempt(modem, 'AT+CPIN="%s"' % pin, timeout_ms=10000) is None:
            raise SimError("pin", "the PIN was refused")
    except OSError as error:
        if error.args[0] != ETIMEDOUT:
            raise  # else the answer got lost: what the SIM wants next tells whether it was the right one


async def _sim_state(modem):
    """-> None when the SIM is ready, "busy" when it may become so, or the kind of a SimError."""
    try:
        lines = await modem.at.command("AT+CPIN?", b"+CPIN:", timeout_ms=5000)
    except ATError as refused:
        return _SIM_CODES.get(refused.code, "busy")
    if not lines or b" READY" in lines[0] and b"NOT" not in lines[0]:
        return None
    for word, kind in _SIM_WORDS:
        if word in lines[0]:
            return kind
    return "busy"


async def _wait_registered(modem, began, timeout_ms, progress):
    state = modem.registration
    told = None
    while True:
        stat = state["stat"]
        if stat != told and stat is not None:
            told = stat
            if progress:
                progress(stat)
        if stat in _REGISTERED:
            return
        if stat == _STAT_DENIED:
            raise Denied(state["cause"])
        if stat == _STAT_NO_SIM:
            raise SimError("failure", "UICC failure")
        left = timeout_ms - ticks_diff(ticks_ms(), began)
        if left <= 0:
            raise OSError(ETIMEDOUT, "no network")
        try:
            await modem.changed.wait(min(left, modem.poll_ms))
            modem.changed.clear()
        except OSError as error:
            if error.args[0] != ETIMEDOUT:  # it restarted, and will not register by itself
                raise
            await poll(modem)


async def detach(modem):
    """Radio off (flight mode); endpoints die, but those that the modem keeps and the peer knows by connection ID."""
    modem.drop_endpoints("detached", True)
    await radio_off(modem)


async def radio_off(modem):
    """CFUN=4 without a word to the endpoints: the caller has told them."""
    modem.leaving = True  # until attach(): the news of it comes after the OK
    await modem.at.command("AT+CFUN=4", timeout_ms=_cfun_ms(steps(modem)))
    modem.registration["stat"] = 0
