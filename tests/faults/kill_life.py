"""Updates under fire: kill -9 again and again until each has ended, on one flash that is never made anew.

A kill is aimed at one of the phases of kill_autopsy.PHASES, rarest first, by what the twin hears of the node and how
long the node took for it before; what it hit is read from the flash. `Fire.run` raises nothing for a broken promise:
`problems` has them all. Called by kill.py.
"""

from __future__ import annotations

import asyncio
import bisect
import json
import random
from collections import Counter
from dataclasses import dataclass, field

from godwit.day.processes import DayError

from .kill_autopsy import Corpse, Image

BLOCK = 4096
MOST_STARTS = 3
_TRIES = 3
_ENDED = ("SUCCEEDED", "FAILED", "REJECTED", "TIMED_OUT", "CANCELLED")
_INSTALL = {"verify": (0.0, 0.12), "unpack": (0.08, 0.8), "sealed": (0.7, 1.0), "armed": (0.97, 1.3)}  # shares of it
_AIMS = ("head", "download", "verify", "unpack", "sealed", "armed", "trial", "confirm", "report")
_TRIAL_AIMS = ("trial", "confirm", "report")
_DARK_MS = 120_000
_READINGS = ("TEMP", "HUMID", "BATTERY")
_LAG_MS = 3000  # between a reading and the line that says so, at most
_LIFE = ("power", "cut", "reset", "crash", "off")


def _takes_job(kind, facts):
    """The node has asked for its job, and there is one."""
    return kind == "request" and facts["path"] == "fota/exec/current" and facts["code"] == "2.05"


def _reports_itself(kind, facts):
    """The node has told the cloud its version."""
    return kind == "request" and facts["method"] == "PATCH" and facts["path"].startswith("state")


@dataclass
class Paces:
    """Seconds that the node took for things when it was last seen doing them without a kill."""

    install: float = 0.25  # from the last block to the restart
    trial: float = 1.2  # from the restart to the report of the new version
    confirm: float = 0.1  # from there to the end of the job


@dataclass
class Tally:
    """What a campaign has seen."""

    kills: Counter = field(default_factory=Counter)  # by phase as found on flash
    aimed: Counter = field(default_factory=Counter)
    missed: int = 0  # the process had just ended by itself
    updates: Counter = field(default_factory=Counter)  # by last status
    boots: int = 0
    most_starts: int = 0  # after a kill, until the update had ended
    refetched: int = 0  # payload bytes served more than once, all updates
    worst: int = 0  # the same per kill that could cost any, in the worst update
    head_again: int = 0  # bytes of header and manifest served more than once
    records: int = 0  # readings that had been accepted by the journal when the power went, or were said to be
    doubled: int = 0  # messages that the cloud got twice
    late_reports: int = 0  # terminal reports beyond the first of a job
    resets: int = 0  # of the modem


class Fire:
    """One campaign on a kill_rig.Rig. `seed`: of every choice, not of the machine's timing. `board`: how often a power
    cut takes the modem as well; `resets`: how often it is the modem that is reset, and not the node that is killed."""

    def __init__(self, rig, seed, say=print, board=0.0, resets=0.0):
        self.rig = rig
        self.ear = rig.ear
        self.random = random.Random(seed)
        self.tally = Tally()
        self.problems = []
        self._say = say
        self._board = board
        self._resets = resets
        self.paces = Paces()
        self._owed = {}  # (app id, ts) -> when it was seen in the journal
        self._images = {1: Image(rig.images[1])}
        self._corpse = None
        self._sequence = 1
        self._until = 0

    async def run(self, kills, updates=0, doomed=(7,)):
        """Update after update until so many kills (and updates) have been; of the `doomed` all trials are killed."""
        try:
            await self.ear.wait(lambda kind, facts: kind == "auth" and facts["ok"], 0)
            while self.tally.kills.total() < kills or self.tally.updates.total() < updates:
                number = self.tally.updates.total() + 1
                await self._update(self.random.randint(3, 7), number in doomed)
            await self._drain()
        except (DayError, AssertionError) as problem:
            self.problems.append(f"update {self._sequence}: {problem}")
        self.problems += [f"the node said: {line}" for line in self.ear.trouble[:5]]
        errors = self.rig.rows("SELECT error FROM error")
        self.problems += [f"the twin: {error[-300:]}" for (error,) in errors]
        self.tally.boots = self.rig.node.boots
        self._judge_records()

    # --- one update

    async def _update(self, budget, doomed):
        rig = self.rig
        self._sequence += 1
        rig.node.resets = 0  # a day's limit, not a campaign's
        self._start = len(self.ear.events)
        self._since = self._start
        self._corpse = None
        job = await rig.release(self._sequence)
        self._images[self._sequence] = Image(rig.images[self._sequence])
        self._job, kills, links = job, Counter(), self.ear.lost_links
        spent = resets = 0
        last = rig.node.boots
        while self._status() is None:
            aim = self._aim(spent < budget, doomed)
            if aim is None or not await self._wait_for(aim):
                await self._ended()
                break
            if self.random.random() < self._resets:
                await self._reset()
                resets += 1
                spent += 1
                continue
            phase = await self._kill()
            self.tally.aimed[aim] += 1
            kills[phase] += 1
            spent += 1
            last = rig.node.boots
            self._restore()
        starts = rig.node.boots - last
        if spent:
            self.tally.most_starts = max(self.tally.most_starts, starts)
            if starts > MOST_STARTS:
                self.problems.append(f"update {self._sequence}: {starts} starts after its last kill")
        if spent < budget and not doomed and self.random.random() < 0.5:
            await self._late_kill()
        self._judge_update(kills, self.ear.lost_links - links + resets, doomed)

    def _aim(self, more, doomed):
        """-> where the next kill is to hit, None to let the node live until the job ends."""
        pending = self._corpse is not None and self._corpse.pending
        tries = self._corpse.state["tries"] if pending else 0
        if doomed:
            return ("boot" if tries < _TRIES else None) if pending else "armed"
        if not more or tries >= _TRIES - 1:
            return None  # the third trial lives
        found = self._corpse.phase(self._sequence) if self._corpse else "idle"
        if found == "report":
            return "report"
        aims = _TRIAL_AIMS if pending else _AIMS
        if found in ("verify", "unpack", "sealed"):
            aims = [aim for aim in aims if aim not in ("head", "download")]
        counts = self.tally.aimed + self.tally.kills
        weights = [1 / (1 + counts[aim]) ** 2 for aim in aims]
        return self.random.choices(aims, weights)[0]

    async def _wait_for(self, aim):
        """Wait for the moment; -> False when the job has ended before it came."""
        ended = asyncio.create_task(self._ended())
        moment = asyncio.create_task(self._moment(aim))
        await asyncio.wait({ended, moment}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done() and not moment.done() and aim == "report":
            await asyncio.sleep(self.random.uniform(0, 0.015))  # it has; the node may not know
        hit = moment.done() or aim == "report"
        for task in (ended, moment):
            task.cancel()
        results = await asyncio.gather(ended, moment, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
        return hit

    async def _moment(self, aim):
        chance, wait, since = self.random, self.ear.wait, self._since
        image = self._images[self._sequence]
        total = image.offset + image.size
        if aim == "head":
            await wait(lambda kind, facts: kind == "proxy" and facts["offset"] < image.offset, since)
            await asyncio.sleep(chance.uniform(0, 0.02))
        elif aim == "download":
            done = image.verified(self._corpse.facts["data"]) if self._corpse else 0
            goal = image.offset + chance.uniform(done, image.size)
            await wait(lambda kind, facts: kind == "proxy" and facts["offset"] + facts["size"] >= goal, since)
            await asyncio.sleep(chance.uniform(0, 0.01))
        elif aim in _INSTALL:
            await self._last_block(since, total)
            await asyncio.sleep(chance.uniform(*_INSTALL[aim]) * self.paces.install)
        elif aim == "boot":
            await wait(lambda kind, _: kind == "power", since)
            await asyncio.sleep(chance.uniform(0.1, 0.7) * self.paces.trial)
        else:
            await self._of_trial(aim, since)

    async def _last_block(self, since, total):
        """Until all of the payload has been served; at once after a start that needs none of it."""
        if self._corpse is not None and self._corpse.phase(self._sequence) in ("verify", "unpack", "sealed"):
            await self.ear.wait(_takes_job, since)
        else:
            await self.ear.wait(
                lambda kind, facts: kind == "proxy" and facts["offset"] + facts["size"] >= total, since
            )

    async def _of_trial(self, aim, since):
        chance, wait = self.random, self.ear.wait
        if self._corpse is None or not self._corpse.pending:
            since = await wait(lambda kind, _: kind == "reset", since)
        since = await wait(lambda kind, _: kind == "power", since)
        if aim == "trial":
            await asyncio.sleep(chance.uniform(0, 1) * self.paces.trial)
            return
        await wait(_reports_itself, since)
        await asyncio.sleep(chance.uniform(0, 1.2) * self.paces.confirm)
        if aim == "report":
            await asyncio.sleep(3600)  # the end of the job is what counts: see _wait_for

    async def _ended(self):
        """Until the job has ended."""
        await self.ear.wait(
            lambda kind, facts: kind == "fota" and facts["job"] == self._job and facts["status"] in _ENDED, self._start
        )

    def _learn(self):
        """How long the node took for what, where no kill came in between."""
        marks = {}
        for (kind, facts), t in zip(self.ear.events[self._start :], self.ear.times[self._start :], strict=True):
            if kind in ("cut", "crash"):
                marks = {}
            elif kind == "proxy":
                marks["block"] = t
            elif kind == "reset" and "block" in marks:
                self.paces.install = t - marks.pop("block")
                marks["reset"] = t
            elif "reset" in marks and _reports_itself(kind, facts):
                self.paces.trial = t - marks.pop("reset")
                marks["told"] = t
            elif kind == "fota" and facts["status"] in _ENDED and "told" in marks:
                self.paces.confirm = t - marks.pop("told")

    def _status(self):
        for kind, facts in self.ear.events[self._start :]:
            if kind == "fota" and facts["job"] == self._job and facts["status"] in _ENDED:
                return facts["status"]
        return None

    # --- kills

    async def _kill(self):
        """SIGKILL now; -> the phase it hit. The power stays off."""
        rig = self.rig
        since = len(self.ear.events)
        off = 0
        while off < 2:  # a process that is just being started cannot be killed yet
            rig.node.cut()
            await asyncio.sleep(0.02)
            off = off + 1 if self._last_of_life() != "power" else 0
        self.tally.missed += all(kind != "cut" for kind, _ in self.ear.events[since:])
        both = self.random.random() < self._board
        if both:
            await rig.kill_modem()
        self._corpse = await asyncio.to_thread(Corpse, rig.places.flash, self._images, rig.places.root)
        phase = self._corpse.phase(self._sequence)
        self.tally.kills[phase] += 1
        self.problems += [f"update {self._sequence}, {phase}: {text}" for text in self._corpse.faults(self._sequence)]
        for _, ts_ms, name in self._corpse.facts["journal"]["pending"]:
            if str(name).upper() in _READINGS:
                self._owed[(name.upper(), ts_ms)] = self._sequence
        if self._corpse.facts["journal"]["dropped"]:
            self.problems.append(f"update {self._sequence}: the journal dropped records")
        rig.world.advance(self.random.randint(1000, _DARK_MS))
        if both:
            self.tally.resets += 1
            await rig.start_modem()
        return phase

    def _last_of_life(self):
        return next((kind for kind, _ in reversed(self.ear.events) if kind in _LIFE), None)

    def _restore(self):
        self._since = len(self.ear.events)
        self.rig.node.restore()

    async def _reset(self):
        """The modem goes and comes back; the node has to notice, and to go on."""
        self.tally.resets += 1
        self._since = len(self.ear.events)
        await self.rig.reset_modem()

    async def _late_kill(self):
        """The job has ended for the cloud: the node may have its record still, or has just put it away."""
        await asyncio.sleep(self.random.uniform(0, 0.05))
        await self._kill()
        self._restore()

    async def _drain(self):
        """Until everything that is owed by now has come, for at most two hours of the world."""
        self._until = max((stamp for stamp, _ in self.ear.samples), default=0)
        end = self.rig.world.now_ms() + 2 * 3600_000
        since = len(self.ear.events)
        while self._missing() and self.rig.world.now_ms() < end:
            since = await self.ear.wait(lambda kind, facts: kind == "request" and facts["method"] == "POST", since)

    # --- judgement

    def _judge_update(self, kills, links, doomed):
        self._learn()
        history = self.rig.rows(
            "SELECT status, status_detail FROM execution_history WHERE job = ? ORDER BY n", self._job
        )
        ends = [status for status, _ in history if status in _ENDED]
        self.tally.updates[ends[-1] if ends else "none"] += 1
        name = f"update {self._sequence} ({dict(kills)})"
        wanted = "FAILED" if doomed else "SUCCEEDED"
        if ends != [wanted]:
            self.problems.append(f"{name} ended as {ends or 'nothing'} instead of one {wanted}: {history[-1]}")
        self._judge_bytes(name, kills, links)
        patches = self.rig.rows(
            "SELECT n, t FROM request WHERE method = 'PATCH' AND path = ? ORDER BY n", "fota/exec/" + self._job
        )
        ended = self.rig.rows(
            "SELECT t FROM execution_history WHERE job = ? AND status = ? ORDER BY n", self._job, wanted
        )
        if ended:
            late = sum(t >= ended[0][0] for _, t in patches) - 1
            self.tally.late_reports += max(0, late)
        self._say(f"{name} {'/'.join(ends)}, {self.rig.node.boots} boots so far")

    def _judge_bytes(self, name, kills, links):
        """At most a block is fetched twice for each kill, or lost link, in a download."""
        image = self._images[self._sequence]
        document = self.rig.rows("SELECT document FROM execution WHERE job = ?", self._job)[0][0]
        path = json.loads(document)["path"]
        rows = self.rig.rows("SELECT offset, size FROM proxy_block WHERE path = ?", path)
        payload = sum(max(0, at + size - max(at, image.offset)) for at, size in rows)
        head = sum(size for _, size in rows) - payload
        again = payload - image.size
        self.tally.refetched += again
        self.tally.head_again += max(0, head - image.offset)
        causes = kills["head"] + kills["download"] + kills["verify"] + links
        self.tally.worst = max(self.tally.worst, -(-again // max(1, causes)))
        if again > causes * BLOCK:
            self.problems.append(f"{name}: {again} bytes fetched again, for {causes} reasons")

    def _missing(self):
        """Readings that the journal had taken before _drain() and the cloud has not got: [(app id, ms)]."""
        got = Counter()
        for app, body in self.rig.rows("SELECT app_id, body FROM message"):
            if app in _READINGS:
                got[(app, json.loads(body).get("ts"))] += 1
        self.tally.doubled = sum(count - 1 for count in got.values())
        missing = [key for key in self._owed if key not in got]
        times = {app: sorted(ts for name, ts in got if name == app) for app in _READINGS}
        for stamp, names in self.ear.samples:
            for app in map(str.upper, names):
                if stamp <= self._until and app in times:
                    at = bisect.bisect_right(times[app], stamp)
                    if not at or times[app][at - 1] < stamp - _LAG_MS:
                        missing.append((app, stamp))
        return missing

    def _judge_records(self):
        missing = self._missing()
        self.tally.records = len(self._owed) + sum(len(names) for _, names in self.ear.samples)
        if missing:
            self.problems.append(f"{len(missing)} readings never came: {missing[:5]}")
