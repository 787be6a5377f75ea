"""Composition root: board, flash, modem, cloud and tasks are put together here, and nowhere else.

`run(root, running)` is called by the boot selector with the flash's mount point ("" on a board) and what it started.
Every task runs under a supervisor that restarts it with back-off and counts its deaths; six restarts of one task
without a quiet hour restart the board, and boards that do little else end in safe mode (bootsafe.py).
"""

import asyncio
import gc
import os
import sys

from micropython import const

import board
import clock
import cold
import log
from config import Config
from journal import Journal
from logbook import Logbook
from records import Records
from retry import Backoff
from state import State
from tasks.health import Heap
from tasks.link import Link

_MAX_DEATHS = const(6)
_QUIET_MS = const(3600000)
_BATCH = const(16)
_THRESHOLD = const(4096)
_RESIDENT = ("errands", "tasks.sample", "coap.client", "modem.endpoint")
_SCRATCH = const(4096)  # a block of an image, a part of assistance data: one piece, made once
_ROOMY = const(7168)  # for a start that provisions: that takes the place of it, and has once found it too small
_MAX_BODY = const(2048)  # of a shadow: decoded it takes about five times as much


def _modem_note(text):
    log.debug("modem", "%s", text)


class App:
    """Everything the node is made of; attributes are the parts, `run()` is its life."""

    rx_bytes = 2816  # what a modem keeps for us: two full datagrams wait while a third is being read

    def __init__(self, root, running):
        self.root = root
        self._settle_heap()
        self.running = running
        self.state = State()
        self.config = Config(root)
        self._start_log()
        self.heap = Heap(self.state)
        self.records = Records(Journal(board.journal_device()), self.state, _BATCH)
        if self.config["dtls"] == "host":
            import net.dtls  # noqa: F401  stays
        self.modem = self._make_modem()
        self.cloud = self._make_cloud()
        self.link = Link(self.state, self.config, self.modem, self.cloud, self.restart, self.room)
        self.receiver = None  # parts.locate: the board's own, once it is there

    def _start_log(self):
        """The console's level is a setting; the cloud's is the shadow's control section, which has alerts as well."""
        log.level = self.config["log_level"]
        log.sent = self.config["log_upload"]
        self.logbook = Logbook()
        log.sink = self.logbook.add
        self.state.control = {"alertsEn": self.config["alerts"], "logLvl": log.sent}

    def _settle_heap(self):
        """Load what stays for good before anything comes and goes, so that the rest of the heap stays in one piece;
        and collect early, because a small heap that is filled before it is collected is left in crumbs."""
        for name in _RESIDENT:
            __import__(name)
            gc.collect()
        self.roomy = False
        try:
            os.remove(self.root + "/data/roomy")  # life.roomy() has left it, for one start
            self.roomy = True
        except OSError:
            pass
        self.scratch = memoryview(bytearray(_ROOMY if self.roomy else _SCRATCH))  # lent to the one errand that runs
        gc.threshold(max(_THRESHOLD, gc.mem_free() // 4))

    def _make_modem(self):
        import modem

        family = self.config["modem"]
        __import__("modem.%s.endpoint" % family)  # of _RESIDENT, but for the name
        made = modem.load(family)(board.modem_uart(), power=board.modem_power, log=_modem_note)
        made.reserve(self.rx_bytes)
        return made

    def _make_cloud(self):
        import cloud

        def connect():
            return self._session("connect")

        def token(*terms):
            return self._session("token", *terms)

        return cloud.load(self.config["backend"])(
            self.config["device_id"],
            connect,
            token,
            versions={"cver": self.running["version"], "dver": "1"},
            tuning={"ack_timeout_ms": self.config["ack_timeout_ms"], "max_body": _MAX_BODY},
            auth="auth/" + self.config["auth"],
        )

    def room(self, wanted):
        """Give up the errands' buffer for something rare that needs its place (`wanted`), or make it again; None: the
        place was too small, and the next start has a larger one. A heap that has no such piece any more has one after
        a restart."""
        self.scratch = None
        gc.collect()
        if wanted is None and not self.roomy:
            self.live("roomy")
        if not wanted:
            try:
                self.scratch = memoryview(bytearray(_SCRATCH))
            except MemoryError:
                self.restart("memory")

    async def _session(self, name, *terms):
        """One of session.py's two jobs. Its code, and what it took (handshake, signing), is gone when it is done: the
        request that follows may have an errand's code beside it, and wants the heap."""
        import session

        made = await getattr(session, name)(self, *terms)
        del session
        cold.forget()
        gc.collect()
        return made

    def part(self, name, *terms):
        """-> the part `name` of parts.py, made now. The code goes at once, but for what the part needs."""
        import parts

        made = getattr(parts, name)(self, *terms)
        sys.modules.pop("parts", None)
        return made

    def live(self, name, *terms):
        """-> what `name` of life.py says. The code goes at once."""
        import life

        made = getattr(life, name)(self, *terms)
        sys.modules.pop("life", None)
        return made

    def restart(self, reason=None, said=""):
        """Restart the board; does not return. By decision, unless `reason` (of bootsel.REASONS) is what went wrong."""
        try:
            self.live("restart", reason, said)
        finally:
            board.reset()

    async def run(self):
        clock.configure(board.ticks_ms, board.rest, board.set_rtc)
        log.info(
            "app", "godwit %s on %s, slot %s, %d bytes of heap free",
            self.running["version"], board.NAME, self.running["slot"], gc.mem_free(),
        )  # fmt: skip
        self._start()
        await clock.keep()

    def _start(self):
        # Not in run(): its frame, which waits for ever, would keep a task that ends, as tasks/trial does.
        for name, task in self.live("tasks"):
            asyncio.create_task(self._supervise(name, task))

    async def _supervise(self, name, task):
        """Keep `task` alive until it returns: log and count each death, restart it after a growing pause."""
        backoff = Backoff(5, 600)
        deaths = 0
        clock.enter()
        while True:
            began = clock.uptime_ms()
            try:
                await task.run()
                clock.leave()
                return
            except Exception as error:  # the one place that may: a task must not take the node with it
                said = "task %s died: %s: %s" % (name, type(error).__name__, error)
                log.error("app", "%s", said)
                sys.print_exception(error)
            cold.forget()  # what it had loaded when it died
            gc.collect()
            if clock.uptime_ms() - began > _QUIET_MS:
                deaths = 0
                backoff.reset()
            deaths += 1
            self.state.died_ms = clock.uptime_ms()
            self.state.restarts[name] = self.state.restarts.get(name, 0) + 1
            await clock.sleep(backoff.next())
            self._report_death(name, deaths)
            if deaths > _MAX_DEATHS:
                self.restart("crashed", said)

    def _report_death(self, name, deaths):
        """An alert, some time after: what the task died of may have hindered this, too."""
        try:
            self.records.alert("died", deaths, "task %s died" % name)
        except Exception as error:
            log.error("app", "no alert: %s", error)


def run(root, running):
    """Run the node until it restarts or loses power."""
    try:
        asyncio.run(App(root, running).run())
    finally:
        asyncio.new_event_loop()
