"""Which block of a body to ask for next, and how many at a time: the book-keeping of download.py. Pure but for ticks.

Congestion control: the window begins with 1 block, or with that of the read it goes on with, and doubles per round
trip until something is lost, then grows by one per window. A loss halves it (once per round trip) when it tells of
congestion: when the round trip has grown to twice its shortest time, because a queue has built up, or when a block is
lost for the second time. A single loss without either is a radio's, and asking more slowly would not help against it:
measured, lib/coap/README.md. A lost block is asked for again when three later ones have come, or when its own doubling
retransmission time is over.
RAM: about 200 bytes.
"""

import time

from micropython import const

_SENT = const(1)  # Pending.state
_ACKED = const(2)
_DONE = const(3)

_INITIAL = const(1)  # what it brings decides on the size of the others; libcoap makes an ETag per first block
_LATE = const(3)
_FRESH_MS = const(10000)  # as in rtt.py: after that the path counts as unknown (RFC 5681 4.1)
_QUEUE_MS = const(50)  # a round trip may grow by so much for other reasons


class Window:
    """`asks` made so far, `flying` (count of those under way), `size` (how many may be), `szx`, `stop` (byte offset of
    the caller's limit)."""

    def __init__(self, szx, offset, stop, cap, rtt):
        self.szx = szx
        self.stop = stop
        self.asks = []
        self.narrow = False  # the server minds several requests at a time: one by one, with one token
        self._next = offset >> (szx + 4) << (szx + 4)  # first byte never asked for
        self._holes = []  # (first byte, byte after) below that, to be asked for again; ascending
        self._end = None  # where the body ends, once its last block came
        self._total = None  # where it ends as the server says
        self._edge = None  # first byte that was refused: perhaps it is behind the end
        self._cap = max(cap, 1)
        self.size = min(_INITIAL, self._cap)
        self._threshold = self._cap
        self._grown = 0  # answers since the window grew
        self._rtt = rtt
        self._shortest = None
        self._cut_at = None  # ticks of the last cut

    @property
    def flying(self):
        """Requests in flight."""
        count = 0
        for ask in self.asks:
            if ask.state in (_SENT, _ACKED):
                count += 1
        return count

    def move(self, offset):
        """Begin at this very byte: the server does not count in blocks."""
        self._next = offset

    def frontier(self):
        """Every byte before this one has been delivered."""
        low = self._next
        for at, _ in self._holes:
            low = min(low, at)
        for ask in self.asks:
            if ask.state in (_SENT, _ACKED):
                low = min(low, ask.at)
        if self._end is not None:
            low = min(low, self._end)
        return low if self.stop is None else min(low, self.stop)

    def is_complete(self):
        """Is there nothing left to wait for? What was asked behind the end may stay unanswered."""
        low = self.frontier()  # never beyond either
        return low in (self._end, self.stop)

    def at_end(self):
        """Is everything up to the end of the body there?"""
        return self._end is not None and (self.stop is None or self.stop >= self._end)

    # What to ask

    def next(self, make, transfer):
        """An ask for the next block, made by make(transfer) when no old one is free; None when none is due now."""
        flying = self.flying
        if flying >= (1 if self.narrow else self.size):
            return None
        at = self._pick(flying)
        if at is None:
            return None
        for ask in self.asks:
            if ask.state not in (_SENT, _ACKED):
                break
        else:
            ask = make(transfer)
            self.asks.append(ask)
        ask.at = at
        ask.szx = self.szx
        ask.late = 0
        ask.state = _SENT  # or about to be
        return ask

    def _pick(self, flying):
        """Byte offset of the block to ask for, or None."""
        at = self._holes[0][0] if self._holes else self._next
        if self._is_over(at):
            return None
        if self._edge is not None and at >= self._edge:
            if flying:
                return None  # the end may still come to light
            self._edge = None
            self.narrow = True  # nothing was left but this: now its refusal counts
        end = at + (16 << self.szx)
        if self._holes:
            last = self._holes[0][1]
            if end < last:
                self._holes[0] = (end, last)
            else:
                self._holes.pop(0)
        else:
            self._next = end
        return at

    def _is_over(self, at):
        if self.stop is not None and at >= self.stop or self._end is not None and at >= self._end:
            return True
        # What the server said of the size spares questions behind the end, but only a last block is the end.
        return self._total is not None and at >= self._total and self.flying > 0

    # What came of it

    def again(self, ask):
        """Ask for this block once more."""
        self._hole(ask.at, ask.at + (16 << ask.szx))

    def resume(self):
        """After an error: what was under way is asked for once more."""
        for ask in self.asks:
            if ask.state in (_SENT, _ACKED):
                ask.state = _DONE
                self.again(ask)

    def whole(self):
        """The answer to one of the first asks is all that there is: the others are of no more use."""
        for ask in self.asks:
            ask.state = _DONE
        self._holes = []

    def delivered(self, ask, at, end, more, total):
        """The block of `ask` came with bytes from `at` to `end`; `total` is the size as far as it is known, or None."""
        self._total = total
        if more:
            asked = ask.at + (16 << ask.szx)
            if end < asked:
                self._hole(end, asked)  # a smaller block than we wanted
        elif end > at or ask.at <= self.frontier():
            self._end = end if self._end is None else min(self._end, end)
            self._next = max(self._next, end)  # the server may have sent more than was asked for
        else:
            self._edge_at(ask)  # empty, and nobody knows yet what is before it
        if ask.tries == 1:
            self._grow(time.ticks_diff(time.ticks_ms(), ask.sent_at))

    def refused(self, ask):
        """The block was refused or was none of ours. True when that is final, else it will be asked for again alone."""
        if self.narrow or self._cap == 1:
            return True
        self._edge_at(ask)
        return False

    def _edge_at(self, ask):
        self._edge = ask.at if self._edge is None else min(self._edge, ask.at)
        self.again(ask)

    def _hole(self, at, end):
        for i, (start, _) in enumerate(self._holes):
            if at < start:
                self._holes.insert(i, (at, end))
                return
        self._holes.append((at, end))

    # How many at a time

    def begin(self, size):
        """With so many, which the path has just carried for the read that this one goes on with."""
        if time.ticks_diff(time.ticks_ms(), self._rtt.at) < _FRESH_MS:
            self.size = min(size, self._cap)

    def shrink(self):
        """The server is busy: one at a time, growing by one per window."""
        self.size = self._threshold = 1
        self._grown = 0

    def _grow(self, ms):
        if self._shortest is None or ms < self._shortest:
            self._shortest = ms
        if self.size >= self._cap:
            return
        self._grown += 1
        if self.size < self._threshold or self._grown >= self.size:
            self._grown = 0
            self.size += 1

    def passed(self, ask):
        """A block came at once: those that were asked for before it and are still missing are late. The third time is
        as good as the end of their time (RFC 5681 3.2)."""
        if ask.tries != 1:
            return  # which of its requests was answered?
        for other in self.asks:
            if other.state == _SENT and time.ticks_diff(ask.sent_at, other.sent_at) > 0:
                other.late += 1
                if other.late == _LATE:
                    other.deadline = time.ticks_ms()

    def lost(self, ask):
        """A block is asked for again because its time is over."""
        now = time.ticks_ms()
        queued = self._shortest is not None and self._rtt.srtt > 2 * self._shortest + _QUEUE_MS
        if not queued and ask.tries <= 2:
            self._threshold = min(self._threshold, self.size)
            return
        if self._cut_at is None or time.ticks_diff(ask.sent_at, self._cut_at) > 0:
            self._cut_at = now
            self.size = self._threshold = max(self.size >> 1, 1)
            self._grown = 0
