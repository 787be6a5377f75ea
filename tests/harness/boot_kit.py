"""What the tests of starts share: a node with an image in slot a, a reset cause, a selector that waits for nothing."""

import sys
import time

import bootsafe
import bootsel
from harness.fota_kit import NodeTest, bundle, code, install_by_cable

_OLD = [("app.mpy", code("old app", 900))]
OTHER = [("app.mpy", code("other app", 900))]
_OLD_IMAGE = bundle(_OLD, "1.0.0", 1)
_OTHER_IMAGE = bundle(OTHER, "0.9.0", 0)
POWER, HARD, WATCHDOG, SLEEP, UNKNOWN = range(1, 6)


class Reset(Exception):
    pass


class Machine:
    PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET = POWER, HARD, WATCHDOG, SLEEP
    cause = HARD
    period = None

    def reset_cause(self):
        return self.cause

    def reset(self):
        raise Reset

    def WDT(self, timeout):
        self.period = timeout


class SafeTest(NodeTest):
    files, image = _OLD, _OLD_IMAGE

    def setUp(self):
        super().setUp()
        self.before = sys.modules.get("machine")
        self.machine = sys.modules["machine"] = Machine()
        self.slept = []
        bootsafe.sleep_ms = self.slept.append

    def tearDown(self):
        bootsafe.sleep_ms = time.sleep_ms
        del sys.modules["machine"]
        if self.before:
            sys.modules["machine"] = self.before
        super().tearDown()

    def other(self):
        install_by_cable(self.disk, "b", _OTHER_IMAGE, OTHER)

    def record(self, **terms):
        state = bootsel.read(self.root)
        state.update(terms)
        bootsel.write(self.root, state)
        return bootsel.read(self.root)

    def begin(self, cause=HARD):
        """One start up to the application; -> (running, seconds waited)."""
        self.machine.cause = cause
        del self.slept[:]
        bootsel.select(self.root)
        sys.path[:] = self._path
        return bootsel.start(), len(self.slept)

    def fails(self):
        return bootsel.read(self.root)["fails"]
