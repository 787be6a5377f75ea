"""The faults of row N2, a table: where a server goes wrong, for how long, and how the job has to end."""

import copy
import dataclasses
from collections.abc import Callable

from aiocoap.numbers.codes import Code
from aiocoap.numbers.types import Type

from faults.net_answers import (
    ack_only,
    block,
    body,
    cancelled,
    code,
    critical,
    endless,
    flipped,
    having,
    no_block,
    non,
    offered_twice,
    older,
    other_genuine,
    other_place,
    past_end,
    payload,
    portal,
    raw_job,
    recreated,
    renumbered,
    replaced,
    replaced_in_mid,
    reset,
    same_head,
    separate,
    shrunk,
    silence,
    some_silence,
    spoilt,
    twice,
    wrong_mid,
    wrong_token,
)

GOOD = ("SUCCEEDED", None)
_MID = 5  # blocks that are answered well before it begins, where it begins in mid-download


@dataclasses.dataclass(frozen=True)
class Fault:
    """`answer(cloud, request, n)` -> [(delay s, datagram)], or None for the usual answer, to the n-th request (from 0)
    of `kind` after the first `after`; `make(world)` changes the world instead, and may give an `answer`."""

    name: str
    answer: Callable | None = None
    ends: tuple = GOOD
    kind: str = "proxy"
    after: int = 0
    hours: float = 3
    document: dict = dataclasses.field(default_factory=dict)
    make: Callable | None = None
    size: int = 10600
    runs: str = "1.1.0"

    def offer(self, world):
        """Put the job up; -> it."""
        return world.offer(**copy.deepcopy(self.document))

    def begin(self, world):
        """-> what stands in the cloud's way from now on: has plan(cloud, kind, request), or None."""
        made = self.make and self.make(world)
        return Standing(self, made or self.answer)


class Standing:
    """A fault at work: it counts."""

    def __init__(self, fault, answer):
        self._fault = fault
        self._answer = answer
        self._n = -fault.after

    def plan(self, cloud, kind, request):
        """As Cloud asks for it."""
        if kind != self._fault.kind or self._answer is None:
            return None
        n, self._n = self._n, self._n + 1
        return None if n < 0 else self._answer(cloud, request, n)


REJECTED, FAILED = "REJECTED", "FAILED"
_LOADING = "Error occurred while downloading the file"
_TYPE = "FW file does not match specified FOTA type"
_DEVICE = "Device rejected the update"

LOST = (FAILED, _LOADING)  # given up, because it is the same each time

FAULTS = (
    # codes
    Fault("503", code(Code.SERVICE_UNAVAILABLE), after=_MID),
    Fault("503-30s", code(Code.SERVICE_UNAVAILABLE, 30), after=_MID),
    Fault("503-2h", code(Code.SERVICE_UNAVAILABLE, 7200, 1), after=_MID),
    Fault("503-first", code(Code.SERVICE_UNAVAILABLE, 60)),
    Fault("502-first", code(Code.BAD_GATEWAY)),
    Fault("502", code(Code.BAD_GATEWAY), after=_MID),
    Fault("500-first", code(Code.INTERNAL_SERVER_ERROR)),
    Fault("500", code(Code.INTERNAL_SERVER_ERROR), after=_MID),
    Fault("504", code(Code.GATEWAY_TIMEOUT), after=_MID),
    Fault("404-first", code(Code.NOT_FOUND), ends=LOST),
    Fault("404", code(Code.NOT_FOUND), after=_MID, ends=LOST),
    Fault("412", code(Code.PRECONDITION_FAILED), after=_MID, ends=LOST),
    Fault("401-once", code(Code.UNAUTHORIZED, times=1), after=_MID),
    Fault("401", code(Code.UNAUTHORIZED), after=_MID),
    Fault("403", code(Code.FORBIDDEN), after=_MID, ends=LOST),
    Fault("429", code(Code(0x9D), 120), after=_MID),
    Fault("400", code(Code.BAD_REQUEST), after=_MID, ends=LOST),
    Fault("408", code(Code.REQUEST_ENTITY_INCOMPLETE), after=_MID, ends=LOST),
    Fault("203", code(Code.VALID), after=_MID, ends=LOST),
    Fault("204", code(Code.CHANGED), after=_MID, ends=LOST),
    Fault("231", code(Code.CONTINUE)),
    # messages
    Fault("reset-first", reset),
    Fault("reset", reset, after=_MID),
    Fault("silence-first", silence),
    Fault("silence", silence, after=_MID),
    Fault("some-silence", some_silence),
    Fault("separate-2s", separate(2, Type.CON)),
    Fault("separate-non", separate(5, Type.NON)),
    Fault("separate-60s", separate(60, Type.CON), after=_MID),
    Fault("ack-only", ack_only, after=_MID),
    Fault("wrong-token", spoilt(wrong_token), after=_MID),
    Fault("wrong-mid", spoilt(wrong_mid), after=_MID),
    Fault("three-times", twice),
    Fault("non", non),
    Fault("critical-option", block(critical), after=_MID),
    Fault("garbage", spoilt(lambda data, n: b"\xff" * len(data)), after=_MID),
    Fault("cut", spoilt(lambda data, n: data[: len(data) // 2]), after=_MID),
    # versions
    Fault("etag-each", having(etag=lambda n: bytes((n & 255,)))),
    Fault("etag-once", having(etag=lambda n: b"a" if n < 4 else b"b")),
    Fault("etag-long", having(etag=b"12345678")),
    # blocks
    Fault("smaller", shrunk((6, 5, 2)), hours=1),
    Fault("small", shrunk((2,)), hours=1),
    Fault("block-larger", block(renumbered(lambda n, m, s: (n, m, 7))), after=_MID),
    Fault("jump", block(renumbered(lambda n, m, s: (n + 1, m, s))), after=_MID),
    Fault("jump-once", block(other_place, 1), after=_MID),
    Fault("always-0", block(renumbered(lambda n, m, s: (0, m, s))), after=_MID),
    Fault("early-end", block(renumbered(lambda n, m, s: (n, False, s))), after=_MID),
    Fault("early-end-once", block(renumbered(lambda n, m, s: (n, False, s)), 1), after=_MID),
    Fault("late-more", block(renumbered(lambda n, m, s: (n, True, s)))),
    Fault("no-block", block(no_block), after=_MID, ends=LOST),
    Fault("short-block", block(payload(lambda data: data[:1000])), after=_MID),
    Fault("long-block", block(payload(lambda data: data + bytes(60))), after=_MID),
    Fault("empty-block", block(payload(lambda data: b"")), after=_MID),
    Fault("size2-one-more", having(size2=11625)),
    Fault("size2-changes", having(size2=lambda n: 11624 + n)),
    Fault("size2-zero", having(size2=0)),
    Fault("size2-absent", having(size2=None)),
    # contents
    Fault("format-text", having(content_format=0)),
    Fault("format-absent", having(content_format=None)),
    Fault("flip-once", block(payload(flipped), 1), after=_MID),
    Fault("flip", block(payload(flipped)), after=_MID, ends=LOST),
    Fault("flip-first", block(payload(flipped)), ends=LOST),
    Fault("portal", block(portal), ends=LOST),
    Fault("portal-in-mid", block(portal), after=_MID, ends=LOST),
    Fault("endless", block(endless), after=_MID),
    Fault("past-end", past_end, after=_MID),
    Fault("other-payload", make=replaced(same_head), ends=LOST),
    Fault("other-in-mid", make=replaced_in_mid(same_head), after=_MID, ends=LOST),
    Fault("newer-in-mid", make=replaced_in_mid(other_genuine), after=_MID, runs="1.2.0"),
    Fault("older", make=replaced(older), ends=(REJECTED, _DEVICE)),
    Fault("cut-image", make=replaced(lambda world, image: image[:-1000]), ends=LOST),
    Fault("longer-image", make=replaced(lambda world, image: image + bytes(5000))),
    Fault("empty-image", make=replaced(lambda world, image: b""), ends=LOST),
    # jobs
    Fault("size-plus-1", document={"fileSize": 11625}, ends=(REJECTED, _DEVICE)),
    Fault("size-0", document={"fileSize": 0}, ends=(REJECTED, _DEVICE)),
    Fault("size-negative", document={"fileSize": -1}, ends=(REJECTED, _DEVICE)),
    Fault("size-huge", document={"fileSize": 1 << 40}, ends=(REJECTED, _DEVICE)),
    Fault("size-text", document={"fileSize": "abc"}, ends=(REJECTED, None)),
    Fault("host-number", document={"host": 7}, ends=(REJECTED, None)),
    Fault("two-files", document={"path": "a.bin b.bin"}, ends=(REJECTED, None)),
    Fault("modem-type", document={"firmwareType": "MODEM"}, ends=(REJECTED, _TYPE)),
    Fault("type-list", document={"firmwareType": ["APP"]}, ends=(REJECTED, _TYPE)),
    Fault("version-none", document={"version": None}),
    Fault("version-list", document={"version": [1, 2]}),
    Fault("job-infinite-size", raw_job(b'{"jobId":"x","jobDocument":{"firmwareType":"APP","fileSize":1e999,'
                                        b'"host":"bundles.nrfcloud.com","path":"a","version":"1"}}'), kind="check"),
    Fault("job-no-document", raw_job(b'{"jobId":"x","status":"QUEUED"}'), kind="check"),
    Fault("job-list", raw_job(b"[1,2,3]"), kind="check"),
    Fault("job-garbage", raw_job(b"\xa1\x01\x02\xff"), kind="check"),
    Fault("job-cut", raw_job(b'{"jobId":"x","jobDocument":{"firmwareType":"AP'), kind="check"),
    Fault("job-large", raw_job(b'{"jobId":"' + b"x" * 900 + b'"}'), kind="check"),
    Fault("job-nested", raw_job(b"[" * 900), kind="check"),
    Fault("job-id-number", body(jobId=17), kind="check", hours=1),
    Fault("job-id-empty", body(jobId=""), kind="check", hours=1),
    Fault("job-id-path", body(jobId="../../state"), kind="check", hours=1),
    Fault("job-status-new", body(status="PONDERING"), kind="check", hours=1),
    Fault("cancelled", make=cancelled, after=_MID, size=61000, ends=("CANCELLED", None)),
    Fault("offered-twice", make=offered_twice),
    Fault("recreated", make=recreated, kind="check", document={"fileSize": 11625}, ends=(REJECTED, _DEVICE)),
    Fault("check-503", code(Code.SERVICE_UNAVAILABLE, 600), kind="check"),
    Fault("check-500", code(Code.INTERNAL_SERVER_ERROR), kind="check"),
    Fault("check-silence", silence, kind="check"),
    Fault("check-reset", reset, kind="check"),
    Fault("check-separate", separate(10, Type.CON, "check"), kind="check"),
    Fault("report-500", code(Code.INTERNAL_SERVER_ERROR), kind="report"),
    Fault("report-503", code(Code.SERVICE_UNAVAILABLE, 300), kind="report"),
    Fault("report-silence", silence, kind="report"),
)  # fmt: skip
