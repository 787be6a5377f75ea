"""nRF Cloud A-GNSS assistance, schema version 1: stream parser, what to ask for, what not again (nrfcloud.md 9).

Pure. Called by lib/cloud (which types to request) and by whoever checks or converts an answer before it goes to a
receiver. The conversion to the modem's own structs is gnss.agnss_nrf91. RAM: one element (62 bytes).
"""

import json

from micropython import const

_SCHEMA = const(1)
_BRACE = const(0x7B)  # "{": the answer is a JSON error report
_MAX_ERROR = const(256)

UTC = const(1)
EPHEMERIS = const(2)
ALMANAC = const(3)
KLOBUCHAR = const(4)
NEQUICK = const(5)
TOW = const(6)
CLOCK = const(7)
LOCATION = const(8)
INTEGRITY = const(9)
QZSS_ALMANAC = const(11)
QZSS_EPHEMERIS = const(12)
QZSS_INTEGRITY = const(13)

# Element sizes in bytes by type; the clock is 12 useful bytes and 4 of padding, 14 to 17 are Galileo (nrfcloud.md 9.1).
# Type 10 marks a file of predictions and is no element.
SIZES = {1: 14, 2: 62, 3: 31, 4: 8, 5: 8, 6: 4, 7: 16, 8: 15, 9: 4, 11: 31, 12: 62, 13: 4, 14: 24, 15: 61, 16: 8, 17: 8}

_GPS = const(1)
_QZSS = const(3)

# Sets that may stay incomplete for ever, because a satellite is out of service or was not asked for: how long one
# serves in s, which of the receiver's masks says what it lacks, and what that mask is when it lacks everything. By
# element type: GPS ephemerides and almanacs, QZSS ephemerides and almanacs.
_SETS = {
    2: (7200, _GPS, 0, 0xFFFFFFFF),
    3: (7 * 86400, _GPS, 1, 0xFFFFFFFF),
    12: (7200, _QZSS, 0, 0x3FF),
    11: (7 * 86400, _QZSS, 1, 0x3FF),
}
_FILTERED_S = const(6600)  # ephemerides of the satellites in view: 110 min, others have risen by then (nrfcloud.md 9.3)


class AgnssError(ValueError):
    """The answer is not assistance data: wrong first byte, or cut off."""


class AgnssRefused(AgnssError):
    """The service reported an error instead. `code`: its number, or None."""

    def __init__(self, code):
        super().__init__("assistance refused: %s" % code)
        self.code = code


def types_for(need, located=True):
    """need record (modem.base) -> list of element types to request, in the order of nrfcloud.md 9.3; [] is nothing.

    `located`: whether the request will carry a cell; without one the service cannot give a location (8).
    """
    flags = need["flags"]
    gps = need["systems"].get(_GPS)
    qzss = need["systems"].get(_QZSS)
    types = []
    if flags & 0x01:
        types.append(UTC)
    for masks, wanted in (
        (gps, (EPHEMERIS, ALMANAC, INTEGRITY)),
        (qzss, (QZSS_EPHEMERIS, QZSS_ALMANAC, QZSS_INTEGRITY)),
    ):
        if masks is None:
            continue
        for needed, kind in zip((masks[0], masks[1], flags & 0x20), wanted):
            if needed:
                types.append(kind)
    if flags & 0x02:
        types.append(KLOBUCHAR)
    if flags & 0x04:
        types.append(NEQUICK)
    if flags & 0x08:
        types.extend((TOW, CLOCK))
    if flags & 0x10 and located:
        types.append(LOCATION)
    return types


def missing(types, given, need, now_s, filtered=False):
    """-> those of `types` that are worth fetching, after `given` (dict: element type -> Unix time when it was fetched).

    The receiver's word counts: what it lacks altogether is fetched. Of a set of which it holds a part, the rest is not
    fetched again while what it was given still serves; it would not come the second time either. `filtered`: only the
    ephemerides of the satellites in view are asked for."""
    found = []
    for kind in types:
        if kind in _SETS:
            valid_s, system, which, everything = _SETS[kind]
            if filtered and kind == 2:
                valid_s = _FILTERED_S
            lacks = need["systems"][system][which] & everything
            age_s = now_s - given.get(kind, -valid_s)
            if lacks != everything and 0 <= age_s < valid_s:
                continue
        found.append(kind)
    return found


class Parser:
    """Feed chunks of any size; `sink(type, index, element)` gets each element as a memoryview valid during the call.

    After an unknown type nothing can be read any more (its size is unknown): `unknown` names it, the rest is ignored.
    `counts`: type -> elements seen.
    """

    def __init__(self, sink):
        self._sink = sink
        self._buf = memoryview(bytearray(62))
        self._fill = 0
        self._want = 1  # bytes that complete what is being read
        self._kind = None  # None: a section header is due
        self._left = 0  # elements left in the section
        self._index = 0
        self._error = None  # text of a JSON report, while it is collected
        self._started = False
        self.unknown = None
        self.counts = {}

    def feed(self, chunk):
        """Raises AgnssError when the first byte is neither the schema nor a report."""
        i = 0
        n = len(chunk)
        while i < n and self.unknown is None:
            if not self._started:
                self._begin(chunk[0])
            if self._error is not None:
                self._error = (self._error + bytes(chunk[i:]))[:_MAX_ERROR]
                return
            take = min(self._want - self._fill, n - i)
            self._buf[self._fill : self._fill + take] = chunk[i : i + take]
            self._fill += take
            i += take
            if self._fill == self._want:
                self._complete()

    def finish(self):
        """The answer has ended. Raises AgnssRefused for a report, AgnssError when it was cut off."""
        if self._error is not None:
            raise AgnssRefused(_report_code(self._error))
        if not self._started:
            raise AgnssError("empty")
        if self.unknown is None and (self._fill or self._kind is not None):
            raise AgnssError("cut off")

    def _begin(self, first):
        self._started = True
        if first == _BRACE:
            self._error = b""
        elif first != _SCHEMA:
            raise AgnssError("schema %d" % first)

    def _complete(self):
        """One piece is whole: schema byte, section header, or element."""
        buf = self._buf
        self._fill = 0
        if self._want == 1:
            self._want = 3
            return
        if self._kind is None:
            self._open_section(buf[0], buf[1] | buf[2] << 8)
            return
        self._sink(self._kind, self._index, buf[: self._want])
        self.counts[self._kind] = self.counts.get(self._kind, 0) + 1
        self._index += 1
        self._left -= 1
        if not self._left:
            self._kind = None
            self._want = 3

    def _open_section(self, kind, count):
        size = SIZES.get(kind)
        if size is None:
            self.unknown = kind
        elif count:
            self._kind, self._left, self._index, self._want = kind, count, 0, size


def _report_code(text):
    """`{"appId":"AGNSS","messageType":"DATA","err":n}` -> n, or None."""
    try:
        report = json.loads(bytes(text))
    except ValueError:
        return None
    code = report.get("err") if isinstance(report, dict) else None
    return code if isinstance(code, int) else None
