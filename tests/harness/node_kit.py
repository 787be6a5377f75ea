"""Fakes for tests of firmware/tasks: a modem, a cloud and a journal whose answers are scripted, in virtual time."""

import unittest

import clock
import log
import store
from cloud.base import LOGS
from harness import scratch
from harness.virtual import START_MS, Board, together
from logbook import Logbook
from records import Records
from state import State
from tasks.link import Link

SETTINGS = {
    "device_id": "node-1",
    "apn": "",
    "pin": "",
    "provisioning": False,
    "sample_interval_s": 900,
    "uplink_interval_s": 3600,
    "confirmable": True,
    "battery_low_mv": 3400,
    "health_interval_s": 21600,
}


class Settings(dict):
    good = 0
    folder = "/nowhere"

    def proven(self):
        self.good += 1


class Scripted:
    """A method whose calls are answered from a list: exceptions are raised, the last answer is kept for good."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.calls = []

    async def __call__(self, *args, **kwargs):
        self.calls.append((clock.uptime_ms(), args, kwargs))
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Modem:
    """Comes up at once; each verb is a Scripted that a test may replace."""

    on_lost = None
    restarted = True
    pin = None

    def __init__(self):
        self.start = Scripted(None)
        self.identity = Scripted({"model": "nRF9151", "firmware": "mfw_1", "imei": "352656100000001"})
        self.attach = Scripted({"stat": 1, "rat": "ltem", "tac": 23056, "eci": 27440068})
        self.time = Scripted(START_MS // 1000)
        self.reset = Scripted(None)
        self.detach = Scripted(None)

    def levels(self):
        """-> the rungs that were climbed, probes left out."""
        return [call[1][0] for call in self.reset.calls if call[1][0]]


class Cloud:
    caps = frozenset((LOGS,))
    device_id = None
    heard = 0

    def __init__(self):
        self.versions = {}
        self.logs = Scripted(None)
        self.open = Scripted(3600)
        self.close = Scripted(None)
        self.publish = Scripted(1)
        self.release = Scripted(None)


class Answer:
    max_age = None

    def __init__(self, code, payload):
        self.code = code
        self.payload = payload


class Journal:
    """The journal's API over a list."""

    def __init__(self):
        self.entries = []
        self.seq = 0

    def append(self, payload):
        self.seq += 1
        self.entries.append((self.seq, bytes(payload)))
        return self.seq

    @property
    def next(self):
        return self.seq + 1

    @property
    def cursor(self):
        return self.seq - len(self.entries)

    dropped = 0

    @property
    def pending(self):
        return len(self.entries)

    def peek(self, count):
        return self.entries[:count]

    def ack(self, seq):
        self.entries = [entry for entry in self.entries if entry[0] > seq]


class Node(unittest.TestCase):
    """What app.py puts together, as far as the tasks need it."""

    def setUp(self):
        self.board = Board().install()
        log.level = 0
        self.state = State()
        self.settings = Settings(SETTINGS)
        self.modem = Modem()
        self.cloud = Cloud()
        self.journal = Journal()
        self.records = Records(self.journal, self.state, 16)
        self.logbook = Logbook()
        self.restarts = []

    def tearDown(self):
        log.level = log.INFO
        clock.reset()

    def make_link(self):
        return Link(self.state, self.settings, self.modem, self.cloud, lambda: self.restarts.append(clock.uptime_ms()))

    def live(self, until, *others):
        together(self.make_link().run(), *others, until=until)

    def gaps_s(self, method):
        """-> seconds between the calls of a Scripted."""
        times = [call[0] // 1000 for call in method.calls]
        return [b - a for a, b in zip(times, times[1:])]


class Restarted(Exception):
    """machine.reset() in a test."""


class Life(Node):
    """A node whose flash outlives it: reboot() is a new start of the same board."""

    def setUp(self):
        super().setUp()
        self.root = scratch.make()
        self.settings.folder = self.root

    def tearDown(self):
        super().tearDown()
        scratch.remove(self.root)

    def reboot(self):
        Board().install()
        self.state = State()
        self.records = Records(self.journal, self.state, 16)
        for verb in (self.modem.reset, self.modem.attach, self.modem.start, self.cloud.open):
            verb.calls.clear()

    def make_link(self):
        link = super().make_link()

        def restart():
            self.restarts.append(clock.uptime_ms())
            raise Restarted()

        link.restart = restart
        return link

    def file(self):
        return store.read_json(self.root + "/ladder.json")

    def up(self):
        self.live(self.state.link.is_set)

    def until_s(self, seconds):
        """Live until `seconds` of uptime."""
        self.live(lambda: clock.uptime_ms() >= seconds * 1000)

    def restarts_itself(self):
        with self.assertRaises(Restarted):
            self.live(lambda: False)

    def assertBetween(self, value, low, high):
        self.assertTrue(low <= value <= high, "%s is not from %s to %s" % (value, low, high))

    def assertAbout(self, seconds, wanted):
        """Give or take a fifth, and what is rounded."""
        self.assertBetween(seconds, wanted * 8 // 10 - 1, wanted * 12 // 10 + 1)
