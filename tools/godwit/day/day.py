"""One day: set everything up, let the node live, see that fate and the operator do their part, read the records.

Order: workspace and world clock, credentials, twin, modem simulator, flash image, onboarding, power on. While the
node lives, script.py acts on it. The day is over when the world clock has passed its length and the update is through
(or has had its grace). Called by command.py; all children end with it, whatever happens.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from ..places import REPO
from ..world import World
from . import factory, options, summary, timeline
from .checks import judge_all
from .facts import gather
from .node import Node
from .operator import Operator
from .options import Options
from .processes import Child, DayError
from .script import Script
from .witness import Witness

_READY_S = 20
_TICK_S = 0.1
_GRACE = 0.25  # of the day: how much longer an update may take
_LOOPBACK = "127.0.0.1"


class Day:
    """Everything that is alive during one `godwit run`."""

    def __init__(self, opts: Options):
        self.options = opts
        self.watch = timeline.Stopwatch()
        self.stopped = asyncio.Event()  # Ctrl-C or SIGTERM
        self.twin: Child | None = None
        self.modem: Child | None = None
        self.node: Node | None = None
        self.operator: Operator | None = None
        self.rest_port = opts.rest_port or (options.STAY_REST_PORT if opts.stay else 0)
        self.coap_port = opts.coap_port or (options.COAP_PORT if opts.stay else 0)
        self.job_id: str | None = None
        self.bundle_size = 0
        self.cut_ms: int | None = None
        self._caught: int | None = None
        self._logs: dict[str, object] = {}

    async def run(self) -> int:
        """-> exit status: 0 the records show the whole day, 1 they do not, 128+n ended by signal n."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled, number)
        try:
            self._open_world()
            await self._until_stopped(self._live_through())
            status = 128 + self._caught if self._caught is not None else await self._conclude()
        finally:
            await self._tear_down()
        if self._caught is not None:
            self._say_stopped()
        return status

    def _signalled(self, number: int) -> None:
        self._caught = number
        self.stopped.set()

    def _say_stopped(self) -> None:
        name = "Ctrl-C" if self._caught == signal.SIGINT else signal.Signals(self._caught).name
        alive = [name for name, child in (("node", self.node), ("modem", self.modem), ("twin", self.twin)) if child]
        summary.show_stopped(self.console, name, timeline.clock_text(self.world.now_ms()), alive, self.places.logs)

    async def _until_stopped(self, work) -> None:
        """Run a coroutine to its end, or cancel it at Ctrl-C."""
        task = asyncio.create_task(work)
        stop = asyncio.create_task(self.stopped.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled() and task.exception() is not None:
            raise task.exception()

    def _open_world(self) -> None:
        opts = self.options
        options.check_tools(opts)
        self.places = options.make_workspace(opts.workdir)
        self.world = World(self.places.world)
        self.world.advance(options.morning_offset_ms(self.world.now_ms()))
        self.start_ms = self.world.now_ms()
        self.length_ms = int(opts.hours * 3600 * 1000)
        self.end_ms = self.start_ms
        console = timeline.make_console(opts.plain)
        self.console = console
        self.timeline = timeline.Timeline(
            console,
            now_ms=self.world.now_ms,
            start_ms=self.start_ms,
            length_ms=self.length_ms,
            live=timeline.is_live(console, opts.plain),
            verbose=opts.verbose,
        )
        self.witness = Witness(self.timeline, self._log)

    async def _live_through(self) -> None:
        self.timeline.start()
        try:
            await self._set_up()
            await self._live()
        finally:
            self.timeline.stop()
            self.end_ms = self.world.now_ms()

    async def _set_up(self) -> None:
        opts, say = self.options, self.timeline.say
        say("world", "day", "I", options.day_name(self.start_ms))
        self.credentials = await asyncio.to_thread(factory.make_credentials, opts, self.places, self.start_ms)
        await self.start_twin()
        await self._start_modem()
        self.factory = await asyncio.to_thread(factory.Factory, opts, self.places, self.credentials)
        told = await asyncio.to_thread(self.factory.make_flash)
        say("operator", "factory", "I", f"{options.FIRST_VERSION} built; {told}")
        self.operator = Operator(self.rest, options.API_KEY, opts.device_id)
        if opts.sabotage == "onboarding":
            say("operator", "onboard", "W", f"{opts.device_id} is NOT onboarded (sabotage)")
        else:
            await self.operator.onboard(self.credentials["registered"].read_text())
            say("operator", "onboard", "I", f"{opts.device_id} onboarded by its public key")

    async def start_twin(self) -> None:
        """Start the twin, or start it again on the same ports and database."""
        opts = self.options
        argv = self._godwit("twin", "--host", _LOOPBACK, "--coap-port", self.coap_port, "--rest-port", self.rest_port)
        argv += ["--pki", self.places.pki, "--cert", self.credentials["cert"], "--key", self.credentials["cert_key"]]
        argv += ["--db", self.places.database, "--api-key", options.API_KEY, "--max-age", options.MAX_AGE_S]
        argv += ["--world", self.places.world, "--seed", opts.seed, "--json"]
        if opts.drop:
            argv += ["--drop", opts.drop]
        self.twin = self._child("twin", argv, self.witness.on_twin)
        await self.twin.start()
        ready = await self.twin.ready(_READY_S)
        self.coap_port, self.rest = ready["coap"], ready["rest"]
        self.rest_port = int(self.rest.rsplit(":", 1)[1])
        self.timeline.say("cloud", "twin", "I", f"up: CoAP on port {self.coap_port}, REST at {self.rest}", fold=False)

    async def _start_modem(self) -> None:
        opts = self.options
        argv = self._godwit("modem", "--link", self.places.uart, "--world", self.places.world)
        argv += ["--speed", opts.speed, "--nvs", self.places.nvs, "--seed", opts.seed, "--imei", options.IMEI, "--json"]
        argv += ["--resolve", f"{options.HOST_NAME}:{options.COAP_PORT}={_LOOPBACK}:{self.coap_port}"]
        argv += ["--family", opts.modem, "--control", self.places.control]
        if opts.dtls == "modem" and opts.family.keeps_keys:  # the others get the CA from the node
            argv += ["--credential", f"{options.SEC_TAG}:0={self.credentials['ca']}"]
        if opts.jwt == "modem":
            argv += ["--credential", f"{options.SEC_TAG}:2={self.credentials['device_key']}"]
        self.modem = self._child("modem", argv, self.witness.on_modem)
        await self.modem.start()
        self.pty = (await self.modem.ready(_READY_S))["pty"]
        self.timeline.say("modem", "sim", "I", f"up: UART on {self.pty}")

    async def _live(self) -> None:
        self.node = self._make_node(warp=True)
        life = asyncio.create_task(self.node.run())
        acts = asyncio.create_task(Script(self).run())
        try:
            while not self._over():
                for task in (life, acts):
                    if task.done() and task.exception() is not None:
                        raise task.exception()
                if life.done():
                    break  # powered off
                self._check_children()
                self.timeline.tick()
                await asyncio.sleep(_TICK_S)
        finally:
            acts.cancel()
            await self.node.stop()
            await asyncio.gather(life, acts, return_exceptions=True)

    def _make_node(self, *, warp: bool) -> Node:
        opts = self.options
        argv = [str(opts.micropython), "-X", f"heapsize={opts.heap}", str(REPO / "boards/unix/_boot.py")]
        env = {
            "PATH": os.environ.get("PATH", ""),
            "GODWIT_FLASH": str(self.places.flash),
            "GODWIT_UART": str(self.pty),
            "GODWIT_WORLD": str(self.places.world),
        }
        if warp:
            env["GODWIT_WARP"] = "1"
        if opts.family.power_key:
            env.update(GODWIT_MODEM=str(self.places.control), GODWIT_PWRKEY="1")
        witness = self.witness
        return Node(argv, env, str(self.places.root), witness.on_node, witness.on_node_error, witness.on_life)

    def _over(self) -> bool:
        now = self.world.now_ms()
        end = self.start_ms + self.length_ms
        if self.watch.seconds() > self.options.timeout_s:
            self.timeline.say("world", "day", "E", f"stopped: {self.options.timeout_s:.0f} s of wall time are used up")
            return True
        if now < end:
            return False
        grace = 0 if self.options.sabotage else int(self.length_ms * _GRACE)
        return self.witness.job_done() or now > end + grace

    def _check_children(self) -> None:
        for child in (self.twin, self.modem):
            if child is not None and child.returncode is not None and not self.witness.outage:
                last = next((line for line in reversed(child.tail) if line.strip()), "no output")
                raise DayError(f"{child.name} died with status {child.returncode}: {last.strip()}")

    async def _conclude(self) -> int:
        facts = await gather(self)
        verdicts = judge_all(facts)
        summary.show(self.console, facts, verdicts, logs=self.places.logs, kept=self.options.keep)
        ok = all(verdict.ok for verdict in verdicts)
        if self.options.report is not None:
            _write_report(self.options.report, facts, verdicts, ok)
        if self.options.stay:
            await self._stay()
        return 0 if ok else 1

    async def _stay(self) -> None:
        """Leave the twin, the modem and the node running, in real time now, until Ctrl-C."""
        self.node = self._make_node(warp=False)
        life = asyncio.create_task(self.node.run())
        summary.show_addresses(self.console, self)
        self.timeline.reopen()
        try:
            await self.stopped.wait()
        finally:
            self.timeline.stop()
            await self.node.stop()
            await asyncio.gather(life, return_exceptions=True)

    async def _tear_down(self) -> None:
        if self.operator is not None:
            await self.operator.close()
        for child in (self.modem, self.twin):
            if child is not None:
                await child.stop()
        for file in self._logs.values():
            file.close()

    def _child(self, name: str, argv: list, on_line) -> Child:
        env = dict(os.environ, PYTHONPATH=str(REPO / "tools"), PYTHONUNBUFFERED="1")
        return Child(
            name,
            [str(arg) for arg in argv],
            env=env,
            cwd=str(self.places.root),
            on_line=on_line,
            on_error=lambda line: self.witness.on_stderr(name, line),
        )

    @staticmethod
    def _godwit(*arguments) -> list:
        return [sys.executable, "-m", "godwit", *arguments]

    def _log(self, name: str, line: str) -> None:
        """Append a child's line to its full log below the work directory, with the wall seconds of the run."""
        file = self._logs.get(name)
        if file is None:
            file = self._logs[name] = open(self.places.logs / f"{name}.log", "a", encoding="utf-8")
        file.write(f"{self.watch.seconds():8.3f} {line}\n")


def _write_report(path: Path, facts: dict, verdicts: list, ok: bool) -> None:
    checks = [{"name": v.name, "wanted": v.wanted, "found": v.found, "ok": v.ok} for v in verdicts]
    path.write_text(json.dumps({"ok": ok, "facts": facts, "checks": checks}, indent=1) + "\n")
