"""What the simulator says about itself: one line per event, as JSON for programs or as text for people.

The first line of the process is always the JSON `ready` line. Counters live here too, so that the control socket
and the last line of the process show the same figures.
"""

import collections
import json
import sys
import time


class EventLog:
    """Writes events to a stream. `quiet` keeps only the counters (unit tests of the core)."""

    def __init__(self, clock, as_json=False, stream=None, quiet=False):
        self._clock = clock
        self._json = as_json
        self._stream = stream or sys.stdout
        self._quiet = quiet
        self.counters = collections.Counter()
        self.on_event = lambda name: None

    def ready(self, **fields):
        """The line that parents wait for."""
        self._write(json.dumps({"event": "ready", **fields}))

    def event(self, name, **fields):
        """One thing that happened, at world time."""
        self.counters[name] += 1
        self.on_event(name)
        if self._quiet:
            return
        now_ms = self._clock.now_ms()
        if self._json:
            self._write(json.dumps({"t": now_ms, "event": name, **fields}))
            return
        stamp = time.strftime("%H:%M:%S", time.gmtime(now_ms / 1000))
        detail = " ".join(f"{key}={value}" for key, value in fields.items() if value is not None)
        self._write(f"{stamp}.{now_ms % 1000:03d}  {name:<14} {detail}")

    def count(self, name, n=1):
        """A thing too frequent for a line."""
        self.counters[name] += n

    def _write(self, line):
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except BrokenPipeError:
            self._quiet = True  # the parent went away; the modem does not care
