"""Measure: every `sample_interval_s` read the board's sensors and put each value into the journal.

A battery that falls below `battery_low_mv` is an alert, once until it has recovered by `_RECOVERED_MV`.
"""

from micropython import const

import cbor
import clock
import log

_RECOVERED_MV = const(100)


class Sample:
    """`sensors()` -> list of (name, mantissa, exponent): a reading is mantissa * 10**exponent, never a float."""

    def __init__(self, state, config, records, sensors):
        self._state = state
        self._config = config
        self._records = records
        self._sensors = sensors

    async def run(self):
        while True:
            if clock.now_ms() is None:
                # A message without a time is worth little and cannot be mended later: wait for the network's time.
                await clock.wait(self._state.link, 60)
                if clock.now_ms() is None:
                    continue
            self.measure()
            await clock.sleep(self._config["sample_interval_s"])

    def measure(self):
        """Take one reading of everything; a sensor that fails is logged and the others still count."""
        taken = []
        for name, read in self._sensors:
            try:
                mantissa, exponent = read()
            except OSError as problem:
                log.warn("sample", "%s: %s", name, problem)
                continue
            self._records.add(name, cbor.Decimal(mantissa, exponent) if exponent else mantissa)
            taken.append(name)
            if name == "battery":
                self._watch(mantissa)
        log.info("sample", "%s (%d waiting)", " ".join(taken), self._records.pending())

    def _watch(self, mv):
        limit = self._config["battery_low_mv"]
        if mv < limit and not self._state.low:
            self._state.low = True
            log.warn("sample", "battery low: %d mV", mv)
            self._records.alert("battery", mv, "battery low")
        elif mv > limit + _RECOVERED_MV:
            self._state.low = False
