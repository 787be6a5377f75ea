"""The firmware as it is, from app.App down, on a board of memory: flash, sensors, a watchdog, and resets that are told.

Everything between a sensor and the modem's UART is the real thing. What is not: nothing is signed (a token is a word),
and the journal's chip is harness.flashsim's. A board reset ends every task and starts a new App on the same flash.
"""

import asyncio
import contextlib
import contextvars
import io
import json
import pathlib
import sys
import traceback
import types

import clock
import log
from harness.flashsim import FlashSim

_CA = (pathlib.Path(__file__).resolve().parents[1] / "data" / "nobody_ca.pem").read_bytes()
WATCHDOG_S = 3 * 900  # it is fed every 900 s while there is progress
_SAMPLE_S = 60
_UPLINK_S = 120


OF_NODE = contextvars.ContextVar("of_node", default=False)  # of the tasks that a board reset ends


class BoardReset(BaseException):
    """machine.reset() or the watchdog: what a supervisor must not catch."""


class Board(types.ModuleType):
    """The module `board` of firmware/app.py."""

    NAME = "campaign"
    DEVICE_CLASS = "godwit-campaign"

    def __init__(self):
        super().__init__("board")
        self.rig = None

    def attach(self, rig, chip):
        """A new run."""
        import time

        self.rig, self._chip = rig, chip
        self.ticks_ms = lambda: time.ticks_ms()
        self.taken = []  # (name, value, ms) of every reading
        self.fed_s = 0.0
        self.modem_power = rig.power

    def modem_uart(self):
        return self.rig.stream()

    def journal_device(self):
        return self._chip

    async def rest(self, ms):
        await asyncio.sleep(ms / 1000)

    def set_rtc(self, unix_s):
        pass

    def feed_watchdog(self):
        self.fed_s = asyncio.get_running_loop().time()

    def reset(self):
        raise BoardReset

    def sensors(self):
        return (("count", self._count),)

    def _count(self):
        value = len(self.taken) + 1
        self.taken.append((value, clock.now_ms()))
        return value, 0


BOARD = Board()


def patch():
    """Once per process."""
    sys.modules["board"] = BOARD
    import gc

    import app
    import cold
    import session

    cold.forget = lambda: None  # importing again and again is a board's business, and takes CPython's time
    gc.collect = lambda generation=2: 0

    async def token(app, device_id, now_s, lifetime_s):
        return b"token"

    session.token = token
    app.sys.print_exception = lambda error, file=None: DIED.append(_where(error))


def _where(error):
    """An error, and the last places that it came through."""
    places = [f"{pathlib.Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
    return f"{error!r} in {' > '.join(places[-7:])}"


DIED = []  # what tasks died of, of the run


class Node:
    """One node's life over several starts. `server`: (host, port). `hooks`: verb of the modem -> called before it."""

    def __init__(self, family, rig, folder, server, hooks=None, pin=None):
        self.family = family
        self.rig = rig
        self.root = pathlib.Path(folder)
        self.hooks = hooks or {}
        self.chip = FlashSim(16)
        self.acked = []  # (value, ms) of every record that the node let go
        self.refused = []  # ... that it let go without the cloud's word
        self.restarts = self.watchdogs = 0
        self.text = io.StringIO()
        self.app = None
        DIED.clear()
        BOARD.attach(rig, self.chip)
        data = self.root / "data"
        data.mkdir(parents=True, exist_ok=True)
        (data / "ca.pem").write_bytes(_CA)
        settings = {"device_id": "node", "host": server[0], "port": server[1], "modem": family, "dtls": "modem",
                    "jwt": "host", "sample_interval_s": _SAMPLE_S, "uplink_interval_s": _UPLINK_S,
                    "locate_interval_s": 1800, "gnss_timeout_s": 60}
        if pin:
            settings["pin"] = pin
        (data / "config.json").write_text(json.dumps(settings))

    def started(self):
        """What the boot selector would have started: it has its own tests, and tests/faults runs it."""
        return {"version": "1.0.0", "slot": "a", "pending": False, "fault": None, "path": str(self.root / "a")}

    async def run(self):
        """Live until cancelled."""
        while True:
            life = asyncio.create_task(self._life())
            watch = asyncio.create_task(self._watchdog())
            try:
                await asyncio.wait((life, watch), return_when=asyncio.FIRST_COMPLETED)
                if watch.done():
                    self.watchdogs += 1
            finally:
                watch.cancel()
                await self._end(life)
            if not life.cancelled():
                life.result()  # it never started: that is no restart
            self.restarts += 1
            await asyncio.sleep(1)

    async def _watchdog(self):
        loop = asyncio.get_running_loop()
        BOARD.fed_s = loop.time()
        while loop.time() - BOARD.fed_s < WATCHDOG_S:
            await asyncio.sleep(60)

    async def _end(self, life):
        """The power of the node goes: no task of it goes on, nothing of it says goodbye."""
        for task in asyncio.all_tasks():
            if getattr(task, "of_node", False):
                task.cancel()
        life.cancel()
        await asyncio.wait((life,))
        for _ in range(3):
            await asyncio.sleep(0)

    async def _life(self):
        from app import App

        clock.reset()
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def factory(loop, coro, **how):
            task = asyncio.Task(coro, loop=loop, **how)
            if OF_NODE.get():
                task.of_node = True
                task.add_done_callback(lambda task: self._fell(task, ended))
            return task

        loop.set_task_factory(factory)
        token = OF_NODE.set(True)
        try:
            self.app = App(str(self.root), self.started())
            self._listen()
            main = asyncio.ensure_future(self.app.run())
            main.add_done_callback(lambda task: self._fell(task, ended))
            await ended
        finally:
            OF_NODE.reset(token)

    def _fell(self, task, ended):
        if not task.cancelled() and isinstance(task.exception(), BoardReset) and not ended.done():
            ended.set_result(None)

    def _listen(self):
        records = self.app.records
        for verb, hook in self.hooks.items():
            part = self.app.cloud if verb == "publish" else self.app.modem
            setattr(part, verb, _tapped(getattr(part, verb), hook))
        ack = records.ack

        def counted(seq):
            for found in records.peek(64):
                if found[0] <= seq and found[2] == "count":
                    self.acked.append((found[3], found[1]))
            ack(seq)

        records.ack = counted


def _tapped(verb, hook):
    async def call(*args, **how):
        hook()
        return await verb(*args, **how)

    return call


@contextlib.contextmanager
def quiet(node, loud=False):
    """The node's log goes to its own text."""
    log.level = log.INFO
    if loud:
        yield
    else:
        with contextlib.redirect_stdout(node.text):
            yield
