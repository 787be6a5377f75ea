"""The modem part's tables, and the page MODEM.md. What is measured, and how, is in modem.py."""

from __future__ import annotations

import statistics

from .modem import EVERY_H, HELPS, HINTS, PREDICTIONS, RECORDS, SERVES, SIDES, WORDS, XTRA_H, Found
from .modem_rig import RigError
from .report import Table

TITLE = "The modem part of the bench"
_AIR = ("bytes_up", "bytes_down")

def middle(outcomes, value) -> int:
    """-> median of `value(outcome)`, as a whole number."""
    return round(statistics.median(map(value, outcomes)))


def per_fix(outcome, name) -> float:
    """-> a counter of one fix, with its share of the download that serves several."""
    return outcome.spent[name] + outcome.before[name] / SERVES.get(outcome.job.how, 1)


def fix_table(found: Found) -> Table:
    """Time and bytes of a first fix, by family and help."""
    rows = []
    for family in found.plan.families:
        alone = found.of(family, "fix", "none")[0]
        for how in HELPS[family]:
            good, bad = found.of(family, "fix", how)
            if good or bad:
                rows.append([family, HINTS[family] if how == "hint" else WORDS[how], *_fix_cells(good, bad, alone)])
    heads = [
        "family", "help", "TTFF, s", "worst", "of none", "on air up, B", "down, B", "of that spread",
        "UART to modem, B", "from modem, B", "RRC, s", "GNSS, s",
    ]  # fmt: skip
    return Table("A first fix from a cold start", heads, rows, _FIX_NOTES)


_FIX_NOTES = [
    "- Medians of all runs; `worst` is the longest. Each begins with a modem fresh from the factory, attached, "
    "its session open, at rest, and counts until all is as it was.",
    "- TTFF is what the simulator says of its receiver, and its model of the sky (tools/godwit/modem/sky.py) is "
    "no measurement: 35 s without help, 30 with the time, 25 with time and position, 12 with a file of "
    "predictions and the time, 6 with ephemerides, time and position. Where LTE and GNSS share the antenna "
    "(nrf91), only time without RRC counts.",
    "- Real is what the driver makes of that: bytes, commands, the seconds that assistance takes to come. On "
    "air: DTLS records, without IP and UDP headers. Round trips take 200 to 300 ms.",
    f"- P-GPS: one download of {PREDICTIONS} predictions serves {SERVES['pgps']} fixes, one in {EVERY_H} h; its "
    "bytes (on air: `of that spread`; UART too) and seconds are spread over them. The fix is made without a link.",
    f"- XTRA: a file for {XTRA_H} h serves {SERVES['xtra']} fixes. SIM7080 fetches it by itself, of which the "
    "simulator counts only the body. BG95 gets it over the UART from the node's flash; how it came there is not "
    "counted.",
    "- The position that is hinted at is the cloud's by cell, asked for before. SIM7080: the session that must "
    "be made anew, as GNSS wants LTE off, is counted. Its hint is the modem's clock, which the simulator's "
    "receiver does not read.",
]


def _fix_cells(good, bad, alone):
    if not good:
        return [f"fails {len(bad)}/{len(bad)}: {bad[0].why[:60]}", *["-"] * 9]
    ttff = [one.ttff_s for one in good]
    median = statistics.median(ttff)
    ratio = f"{median / statistics.median(one.ttff_s for one in alone):.2f}" if alone else "-"
    spread = sum(middle(good, lambda one, n=name: one.before[n] / SERVES.get(one.job.how, 1)) for name in _AIR)
    counts = [middle(good, lambda one, n=name: per_fix(one, n)) for name in (*_AIR, "uart_in", "uart_out")]
    seconds = [
        f"{statistics.median(per_fix(one, name) for one in good) / 1000:.1f}"
        for name in ("rrc_connected_ms", "gnss_on_ms")
    ]
    first = f"{median:.1f}" + (f" (fails {len(bad)}/{len(good) + len(bad)})" if bad else "")
    return [first, f"{max(ttff):.1f}", ratio, *counts[:2], spread, *counts[2:], *seconds]


def uplink_table(found: Found) -> Table:
    """What a batch of records costs, by family and by who speaks DTLS."""
    rows = []
    for family in found.plan.families:
        for side in SIDES[family]:
            good, bad = found.of(family, "uplink", side)
            if good or bad:
                cells = _uplink_cells(good[0].uplinks) if good else [f"fails: {bad[0].why[:60]}", *["-"] * 10]
                rows.append([family, side, *cells])
    heads = [
        "family", "DTLS in", "payload, B", "on air up, B", "down, B", "of payload", "datagrams", "AT commands",
        "UART to modem, B", "from modem, B", "of payload", "heap allocated, B", "retained, B",
    ]  # fmt: skip
    return Table(f"An uplink: {RECORDS} records in an open session", heads, rows, _UPLINK_NOTES)


_UPLINK_NOTES = [
    "- Medians of the uplinks after the first two; `retained`: how much fuller each finds the heap than the one "
    "before, on average. Payload: the CBOR body. On air: DTLS records of the message and of its answer, without "
    "IP and UDP headers.",
    "- Heap: all that was allocated with the collector off, nearly all of it garbage, the code being loaded "
    "before.",
    "- A SARA has its DTLS in the modem: it reads 1,024 bytes of a datagram, which a server's certificate may "
    "not fit.",
]


def _uplink_cells(uplinks):
    def mid(name):
        return round(statistics.median(one[name] for one in uplinks))

    payload, air, line = mid("payload"), mid("bytes_up") + mid("bytes_down"), mid("uart_in") + mid("uart_out")
    retained = round((uplinks[-1]["before"] - uplinks[0]["before"]) / max(len(uplinks) - 1, 1))
    datagrams = mid("datagrams_up") + mid("datagrams_down")
    return [
        payload, mid("bytes_up"), mid("bytes_down"), f"{air / payload:.2f}", datagrams, mid("commands"),
        mid("uart_in"), mid("uart_out"), f"{line / payload:.2f}", mid("allocated"), retained,
    ]  # fmt: skip


_VERBS = ("attach", "open", "cells")  # every other one is the receiver's


def driver_table(found: Found) -> Table:
    """What one driver takes of a 32-bit heap."""
    rows = [[family, *_driver_cells(found, family)] for family in found.plan.families]
    heads = [
        "family", "at", "modem, stays", "its objects", "an endpoint", *(f"for {verb}" for verb in _VERBS), "for GNSS",
        "most", "names, all",
    ]  # fmt: skip
    return Table("Heap of one driver, 32 bit, .mpy, bytes", heads, rows, _DRIVER_NOTES)


_DRIVER_NOTES = [
    "- `at` and `modem, stays`: code that is there from the start of the firmware (`make size`, with the family "
    "as `--modem`).",
    "- `for` a verb: what of at, modem and gnss was found loaded beside it when the verb was over in these runs, "
    "by the sizes of that measurement; it goes afterwards. GNSS: the most of any of its verbs, with any help. "
    "`for open`: DTLS in the modem with sara_r5, a plain socket with the others, whose DTLS is net's and not "
    "counted.",
    "- `most`: all that stays, and the largest of the verbs. Names: interned ones of the whole firmware with "
    "that family.",
]


def verb_costs(found: Found, family) -> dict[str, int]:
    """-> verb -> bytes of the code that it had beside what stays, in the run where that was most."""
    heap = {module.name: module.heap for module in found.sizes[family].modules}
    costs = {}
    for how in HELPS[family]:
        for one in found.of(family, "fix", how)[0]:
            for verb, names in one.told["loaded"].items():
                if set(names) - set(heap):
                    raise RigError(f"{family}: {verb} loads {set(names) - set(heap)}, which its firmware has not")
                costs[verb] = max(costs.get(verb, 0), sum(heap[name] for name in names))
    return costs


def _driver_cells(found, family):
    size = found.sizes[family]
    stays = [
        sum(m.heap for m in size.modules if m.kind == "start" and m.package == package) for package in ("at", "modem")
    ]
    good = found.of(family, "objects")[0]
    objects = [good[0].told["driver"], good[0].told["endpoint"]] if good else [0, 0]
    costs = verb_costs(found, family)
    chosen = [costs.pop(verb, 0) for verb in _VERBS] + [max(costs.values(), default=0)]
    return [*stays, *objects, *chosen, sum(stays) + sum(objects) + max(chosen), size.names_all]


def tables(found: Found) -> list[Table]:
    """-> all three."""
    return [fix_table(found), uplink_table(found), driver_table(found)]


def facts(found: Found) -> list[str]:
    """-> what was run, and what of it failed."""
    plan = found.plan
    failed = [one for one in found.outcomes if one.why]
    speed = f"quiet searches {plan.speed:g} times as fast as they are" if plan.speed > 1 else "no time compressed"
    said = [
        f"{len(found.outcomes)} nodes, {len(plan.seeds)} for each kind of fix, which differ by seed "
        f"({', '.join(map(str, plan.seeds))}) and place; {speed}; failed: {len(failed)}."
    ]
    for one in failed:
        said.append(f"Failed: {one.job.family} {one.job.what} {one.job.how}, seed {one.job.seed}: {one.why}")
    return said
