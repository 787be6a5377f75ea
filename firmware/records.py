"""Records: what the tasks measure, as the journal keeps it. One CBOR array [ts_ms, name, value] per journal entry.

A decimal value is stored as tag 4 (RFC 8949 3.4.4: [exponent, mantissa]) and a fix as a map of integers, so that
nothing passes through a float on the way; `unpack` gives back what `add` was given.
"""

from micropython import const

import cbor
import clock
import log

_DECIMAL_FRACTION = const(4)


def pack(ts_ms, name, value):
    """-> bytes of one journal entry."""
    if isinstance(value, cbor.Decimal):
        value = cbor.Tag(_DECIMAL_FRACTION, [value.exponent, value.mantissa])
    return cbor.dumps([ts_ms, name, value])


def unpack(seq, payload):
    """-> record (seq, ts_ms, name, value) as cloud.base wants it; CBORError or ValueError when it is not one."""
    entry = cbor.loads(payload)
    if not isinstance(entry, list) or len(entry) != 3:
        raise ValueError("not a record")
    ts_ms, name, value = entry
    if isinstance(value, cbor.Tag) and value.number == _DECIMAL_FRACTION:
        exponent, mantissa = value.value
        value = cbor.Decimal(mantissa, exponent)
    return (seq, ts_ms, name, value)


class FlashError(Exception):
    """The journal's flash failed: not the link's fault, and nothing that asking again will mend."""


class Records:
    """The journal seen as records; tells `state.records` when an uplink is worth its while."""

    def __init__(self, journal, state, batch):
        self.journal = journal
        self._state = state
        self._batch = batch
        self.reported = None  # tasks.job: (job, state, sequence number) of the last report on a firmware job

    def add(self, name, value, ts_ms=None):
        """Keep one measurement, durably; taken now unless `ts_ms` (UTC ms) says when. -> its sequence number. What
        flash will not take is lost, said, and counted in `state.lost`: None, and the node goes on."""
        seq = None
        try:
            seq = self.journal.append(pack(ts_ms or clock.now_ms() or 0, name, value))
        except OSError as problem:
            self._state.lost += 1
            log.error("journal", "%s lost: %s", name, problem)
        if self.pending() >= self._batch or name == "job":
            self._state.records.set()
        return seq

    def alert(self, kind, value, text):
        """Keep an alert, if the cloud wants alerts, and see that it goes out soon. `kind`: see cloud.base."""
        control = self._state.control
        if control and control["alertsEn"]:
            self.add("alert", {"type": kind, "value": value, "desc": text})
            self._state.records.set()

    def pending(self):
        return self.journal.pending

    def peek(self, count):
        """-> list of up to `count` records from the oldest that the cloud has not accepted. An entry that cannot be
        read back (a bug, or flash that lies) is skipped by the next ack, and said."""
        records = []
        for seq, payload in self.journal.peek(count):
            try:
                records.append(unpack(seq, payload))
            except ValueError:
                records.append((seq, 0, None, None))
        return records

    def ack(self, seq):
        """The cloud has everything up to `seq`. Raises FlashError when that cannot be kept."""
        try:
            self.journal.ack(seq)
        except OSError as problem:
            raise FlashError("cursor not kept: %s" % problem)
        if not self.pending():
            self._state.records.clear()
