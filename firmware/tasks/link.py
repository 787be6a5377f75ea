"""The way to the cloud: modem up, attached, time known, session open and authenticated; and up again when it is lost.

One failed round climbs the recovery ladder of modems.md 5.1 a little further (`_LADDER`), with a jittered back-off
in between; the first success resets both. Nothing here gives up: a node in the field has nowhere else to go.
"""

import gc
from errno import ECONNABORTED

from micropython import const

import clock
import coap
import cold
import log
from cloud.base import CloudError
from modem.base import ATError, Denied
from retry import Backoff

_ATTACH_MS = const(300000)
_AUTH_WAIT_S = const(60)  # first pause after the cloud refused who we are; doubles to an hour

# Which reset to try before round n of a run of failures: 0 none, then the levels of modem.reset().
_LADDER = (0, 0, 1, 0, 2, 3, 0, 4, 5)


class Link:
    """`modem` and `cloud` are opened and closed here and nowhere else."""

    def __init__(self, state, config, modem, cloud):
        self._state = state
        self._config = config
        self._modem = modem
        self._cloud = cloud
        self._backoff = Backoff(5, 900)
        self._refused = Backoff(_AUTH_WAIT_S, 3600)
        self._failures = 0
        self._started = False
        modem.on_lost = self._on_modem_lost

    def _on_modem_lost(self, reason):
        """The modem says that it restarted or that the bearer is gone."""
        log.warn("modem", "lost: %s", reason)
        self._started = False
        self._state.fail(OSError(104, reason))

    async def run(self):
        while True:
            pause = await self._round()
            if pause:
                log.info("link", "next try in %d s", pause)
                await clock.sleep(pause)
                continue
            await clock.wait(self._state.link_lost)
            self._state.link_lost.clear()
            log.warn("link", "lost: %s", explain(self._state.link_error))
            await self._cloud.close()

    async def _round(self):
        """One attempt to come up; -> 0 when the link is up, else the seconds to wait before the next."""
        try:
            await self._recover()
            await self._modem_up()
            cold.forget()
            gc.collect()  # the session's buffers want whole pieces of heap
            lifetime = await self._cloud.open()
        except CloudError as refused:
            log.error("cloud", "%s; %s", refused, "telemetry is kept")
            return self._refused.next()
        except Denied as denied:
            log.error("modem", "%s", denied)
            return self._backoff.next()
        except (coap.CoapError, ATError, OSError) as error:
            if getattr(error, "reason", None) and error.args[0] == ECONNABORTED:
                # A DTLSError: the server is not who it should be, and no reset of a modem mends that.
                log.error("dtls", "connection refused by us: %s; telemetry is kept", explain(error))
                return self._refused.next()
            self._failures += 1
            log.error("link", "failed (%d): %s", self._failures, explain(error))
            return self._backoff.next()
        self._failures = 0
        self._backoff.reset()
        self._refused.reset()
        self._config.proven()
        log.info("cloud", "authenticated as %s for %d s", self._config["device_id"], lifetime)
        cold.forget()  # attaching and signing are over for hours
        self._state.link_lost.clear()
        self._state.link.set()
        return 0

    async def _recover(self):
        level = _LADDER[min(self._failures, len(_LADDER) - 1)]
        if level and self._failures:
            log.warn("modem", "recovery level %d", level)
            self._started = False
            await self._modem.reset(level)

    async def _modem_up(self):
        modem = self._modem
        if not self._started:
            await modem.start()
            self._state.identity = identity = await modem.identity()
            log.info("modem", "%s %s, IMEI %s", identity["model"], identity["firmware"], identity["imei"])
            self._started = True
        self._state.registration = where = await modem.attach(apn=self._config["apn"] or None, timeout_ms=_ATTACH_MS)
        log.info("modem", "attached: %s, TAC %d, cell %d", where["rat"], where["tac"], where["eci"])
        unix = await modem.time()
        if unix is None:
            if clock.now() is None:
                raise OSError(11, "the network has not told the time yet")
        else:
            if clock.now() is None:
                log.info("modem", "network time %d", unix)
            clock.set_utc(unix * 1000)


def explain(error):
    """-> a short text for a log line: what class of thing went wrong, and what it said."""
    text = str(error)
    name = type(error).__name__
    return "%s: %s" % (name, text) if text else name
