"""How long an answer takes: RFC 6298 (SRTT, RTTVAR) with Karn's rule, in integer milliseconds.

messages.py feeds it and asks it for the first retransmission time of a request, in place of a fixed ACK_TIMEOUT. Pure.
"""

import time

from micropython import const

_FLOOR_MS = const(200)  # least margin above SRTT: a peer, a modem or a garbage collection may pause for so long
_CEILING_MS = const(60000)  # RFC 6298 2.5
_FRESH_MS = const(10000)  # by then LTE has released the radio connection: the next round trip is another one


class RTT:
    """Round trip time to one peer: `srtt`, `samples` (count), `at` (ticks of the last one), `rto()`."""

    def __init__(self, initial_ms):
        """initial_ms: ACK_TIMEOUT (RFC 7252 4.8), which holds until there is a fresh sample."""
        self._initial = initial_ms
        self._floor = min(_FLOOR_MS, initial_ms)
        self._rto = initial_ms
        self._var = 0  # 4 x RTTVAR
        self._srtt = 0  # 8 x SRTT
        self.at = 0
        self._doubted = -1
        self._doubt_ms = 0
        self.samples = 0

    def sample(self, ms):
        """A request that was sent once has been acknowledged or answered after `ms` (Karn: never one sent twice)."""
        ms = max(ms, 0)
        if not self.samples:
            self._srtt = 8 * ms
            self._var = 2 * ms
        else:
            error = ms - (self._srtt >> 3)
            self._srtt += error
            self._var += abs(error) - (self._var >> 2)
        self.samples += 1
        self.at = time.ticks_ms()
        self._rto = min((self._srtt >> 3) + max(self._var, self._floor), _CEILING_MS)

    @property
    def srtt(self):
        """Smoothed round trip time (ms); 0 before the first sample."""
        return self._srtt >> 3

    def doubt(self, mid, ms):
        """A request that was sent again, at last with `ms` to wait, has been answered: was it lost, or only slow?"""
        self._doubted = mid
        self._doubt_ms = ms

    def answered_again(self, mid):
        """There is a second answer to a message id. If it is the one in doubt nothing was lost, we were too hasty: the
        longer time holds until the next sample (RFC 6298 5.7), because a link that has become slow gives none else.

        To back off for every repetition makes losses compound: 1.5 times the time of a download at 10 % loss.
        """
        if mid == self._doubted:
            self._doubted = -1
            self._rto = min(max(self._rto, self._doubt_ms), _CEILING_MS)

    def rto(self):
        """ms to wait for an answer before the first retransmission, jitter not included."""
        if time.ticks_diff(time.ticks_ms(), self.at) > _FRESH_MS:
            return max(self._rto, self._initial)
        return self._rto
