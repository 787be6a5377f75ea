"""One attempt to bring the way to the cloud up, for tasks/link: loaded for it, and forgotten while the link holds.

Modem in sync, attached, time known, session open and authenticated. A failed round climbs the recovery ladder of
modems.md 5.1 a little further (tasks/ladder); what no reset of a modem can mend does not.
"""

import gc
from errno import ECONNABORTED

from micropython import const

import clock
import coap
import cold
import log
from cloud.base import AuthError, CloudError
from modem.base import ATError, Denied, SimError
from retry import Backoff
from tasks import explain

_ATTACH_MS = const(300000)
_PATIENCE = const(3)  # failed attempts in a row, after which provisioning is given up for now
_PROVISION_S = const(3600)  # between the first two askings of the provisioning service; doubles to a day
_DAY_S = const(86400)  # longest that a busy cloud can send us away for

# The lowest rung of tasks/ladder that may help against a failure here.
_SOCKETS = const(1)
_RADIO = const(3)
_SILENT = const(5)

_PIECES = const(4)  # what the buffers of a session take together
_PIECE = const(2816)  # and the largest of them
_LIMIT_MS = const(1800000)  # no attempt takes longer, unless something hangs


async def rise(link):
    """`link`: tasks.link.Link, whose attributes are kept up to date, and `state.due_ms`, by which the next step is due.
    -> 0 when the link is up, which is said to all, else the seconds to wait before the next attempt."""
    state = link.state
    state.due_ms = clock.uptime_ms() + _LIMIT_MS
    pause = await _attempt(link)
    state.due_ms = clock.uptime_ms() + _LIMIT_MS + pause * 1000
    if not pause:
        link.began = clock.uptime_ms()
        state.link_lost.clear()
        state.link.set()
    return pause


async def _attempt(link):
    pin = None
    try:
        pause = await _step("begin")(link)
        if pause:
            return pause
        pin = _step("usable")(link)
        await _modem_up(link, pin)
        if link.state.provision.is_set():
            await _provision(link, pin)
        cold.forget()
        gc.collect()  # the session's buffers want whole pieces of heap
        link.level = _SOCKETS
        link.cloud.versions["mver"] = link.state.identity.get("firmware") or "unknown"
        link.cloud.device_id = device_id(link.config["device_id"], link.state.identity)
        lifetime = await link.cloud.open()
    except AuthError as refused:
        link.state.problem = refused, link.level
        log.error("cloud", "%s; %s", refused, "telemetry is kept")
        return _provision_next(link) or link.refused.next()
    except (CloudError, coap.Refused) as refused:
        link.state.problem = refused, link.level
        # 5.00 and 5.03 too: the service is unwell, and no reset of a modem mends that (nrfcloud.md 3.5).
        log.error("cloud", "%s; %s", refused, "telemetry is kept")
        return max(link.refused.next(), min(getattr(refused, "retry_after", None) or 0, _DAY_S))
    except (Denied, SimError) as error:
        link.state.problem = error, link.level
        return await _step("refused")(link, error, pin)
    except (coap.CoapError, ATError, OSError) as error:
        link.state.problem = error, link.level
        if getattr(error, "reason", None) and error.args[0] == ECONNABORTED:
            # A DTLSError: the server is not who it should be, and no reset of a modem mends that.
            log.error("dtls", "connection refused by us: %s; telemetry is kept", explain(error))
            return link.refused.next()
        return _step("fail")(link, error)
    _risen(link)
    log.info("cloud", "authenticated as %s for %d s", link.cloud.device_id, lifetime)
    return 0


def _step(name):
    # The name of the module in _attempt()'s frame would keep its code while the session is made.
    from tasks import ladder

    return getattr(ladder, name)


def _risen(link):
    """The session is up. Only an uplink ends a run of failures; until then it explains why none was accepted."""
    state = link.state
    state.problem = None
    if link.refused.attempts:
        state.heard = clock.uptime_ms()
    link.refused.reset()
    cold.forget()  # the session's code: the settings are about to be written
    gc.collect()
    link.config.proven()
    if state.ladder:
        if state.ladder["open"]:
            state.records.set()
        else:
            state.ladder = None


async def _modem_up(link, pin):
    modem = link.modem
    modem.pin = pin
    link.level = _SILENT
    if not link.started:
        await modem.start()
        link.state.identity = identity = await modem.identity()
        log.info("modem", "%s %s, IMEI %s", identity["model"], identity["firmware"], identity["imei"])
        link.started = True
    link.level = _RADIO
    link.state.registration = where = await modem.attach(apn=link.config["apn"] or None, timeout_ms=_ATTACH_MS)
    log.info("modem", "attached: %s, TAC %s, cell %s", where["rat"], where["tac"], where["eci"])
    unix = await modem.time()
    if unix is None:
        if clock.now() is None:
            raise OSError(11, "the network has not told the time yet")
    else:
        if clock.now() is None:
            log.info("modem", "network time %d", unix)
        clock.set_utc(unix * 1000)


def _provision_next(link):
    """After the cloud did not accept who we are: whether the next attempt begins with provisioning. -> 1 (s) or 0.

    What was begun is finished, whoever began it: the key that the cloud knew may be gone."""
    from tasks.provision import unfinished

    if not link.config["provisioning"] and not unfinished(link.config):
        return 0
    backoff, due_ms = link.provisioned or (Backoff(_PROVISION_S, _DAY_S), 0)
    if clock.uptime_ms() < due_ms:
        return 0
    link.provisioned = (backoff, clock.uptime_ms() + backoff.next() * 1000)
    link.state.provision.set()
    return 1


async def _provision(link, pin):
    """Ask the provisioning service, once: a problem of the line is one of this round, and it is asked again in the next
    ones, as long as they are few; whatever the service says ends it, and the core session has its turn. It wants room
    for certificates beside a session: the errands' buffer is given up for it, and they wait."""
    state = link.state
    if state.visiting:
        return  # one of them searches without the link: another time
    log.info("cloud", "asking the provisioning service")
    await link.cloud.close()
    cold.forget()
    state.crowded = True
    if link.room:
        link.room(True)
    try:
        await _provision_now(link, pin)
    except MemoryError as problem:
        log.warn("cloud", "provisioning: %s", problem)
        cold.forget()
        if link.room:
            link.room(None)  # restarts, once
        raise
    finally:
        cold.forget()
        if link.room:
            link.room(False)
        state.crowded = False
    state.provision.clear()


async def _provision_now(link, pin):
    # What is loaded now stays to the end: it shall not settle where the sessions want large pieces.
    hold = []
    try:
        for _ in range(_PIECES):
            hold.append(bytearray(_PIECE))
    except MemoryError:
        pass  # as many as there are
    from tasks.provision import Provision

    link.cloud.provision  # noqa: B018  loads it
    hold.clear()
    gc.collect()
    if link.backoff.attempts >= _PATIENCE:
        link.state.provision.clear()
    try:
        if await Provision(link.modem, link.config, link.cloud, lambda: _modem_up(link, pin)).run():
            link.provisioned = None
            link.refused.reset()
            log.info("cloud", "another identity from now on")
            if link.restart:
                link.restart()  # also because nobody knows what this has made of the heap
    except (CloudError, coap.Refused, ATError) as refused:
        log.error("cloud", "provisioning: %s", refused)


def device_id(pattern, identity):
    """-> the id that the cloud knows this node by: `pattern`, with {imei} and {uuid} as the modem says they are
    ("nrf-{imei}", "{uuid}"). Raises CloudError when it does not say."""
    for name in ("imei", "uuid"):
        mark = "{%s}" % name
        if mark in pattern:
            value = identity.get(name)
            if not value:
                raise CloudError("the modem does not tell its %s, which device_id is made of" % name)
            pattern = pattern.replace(mark, value)
    return pattern
