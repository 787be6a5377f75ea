"""Tables of the bench's updates (fota.py): times and ratios, bytes on the air, what it costs the device."""

from __future__ import annotations

from .fota import DEFLATED, HEAP, PRODUCT, WAYS, Found
from .jobs import AIOCOAP, OURS, PEERS
from .report import Table

TITLE = "Results of the update benchmark"
IP_UDP = 28
DTLS = 37  # a record of DTLS 1.2 with AES-GCM: header 13, explicit nonce 8, tag 16 (RFC 6347 4.1, RFC 5288 3)


def tables(found: Found) -> list[Table]:
    """-> all of them, those without rows left out."""
    made = [_times(found), _air(found), _device(found)]
    return [table for table in made if table.rows]


def facts(found: Found) -> list[str]:
    """What was measured, how it went."""
    plain, deflated = found.files["plain"], found.files["deflated"]
    failed = [outcome for outcome in found.outcomes if not outcome.good]
    ours = sum(outcome.job.who == OURS for outcome in failed)
    late = "" if found.late_ms <= 3 else " THE MACHINE DID NOT KEEP UP: times are too long."
    return [
        f"The update: {found.count} files, {found.tree:,} bytes; as a bundle {plain[0]:,} bytes, deflated "
        f"{deflated[0]:,}. The device: 32-bit MicroPython, littlefs2 on the desk's flash image, plain CoAP.",
        f"{len(failed)} of {len(found.outcomes)} runs failed, {ours} of them updates. Cores busy {found.busy:.0%} of "
        f"the time, 99 % of the datagrams delivered within {found.late_ms} ms of their time.{late}",
    ]


def _mean(found, link, way):
    mean = found.mean_s(link, way)
    if mean is not None:
        return f"{mean:.1f}"
    outcomes = found.of(link, way)
    return f"fails {sum(not o.good for o in outcomes)}/{len(outcomes)}" if outcomes else "-"


def _ratio(found, link, way):
    peers = [mean for mean in (found.mean_s(link, peer) for peer in PEERS) if mean]
    ours = found.mean_s(link, way)
    return f"{min(peers) / ours:.1f}" if peers and ours else "-"


def _times(found):
    ways = found.plan.ways
    ours = [way for way in ways if WAYS[way][0] != AIOCOAP and way not in PEERS]
    heads = ["RTT ms", "loss", *ways, *(f"x {way}" for way in ours)]
    rows = []
    for link in found.plan.links():
        seconds = [_mean(found, link, way) for way in ways]
        rows.append([link.rtt_ms, f"{link.loss:.0%}", *seconds, *(_ratio(found, link, way) for way in ours)])
    count = len(found.plan.seeds)
    return Table("Seconds until the last byte, and times faster than the faster of the two peers", heads, rows, [
        "aiocoap and coap-client download the plain bundle with Block2, one block after the other, into a file. "
        "`update`: Fetch as in a node: manifest and signature first, then 4,096 bytes at a time, each checked, written "
        "and flushed; W: blocks in flight within those. `one call`: lib/coap downloads all of it in one call, and "
        f"checks nothing. Where there is loss, the mean of {count} seed(s), the same for everybody. Blocks of 1,024 "
        "bytes. A ratio is missing where no peer always arrived.",
    ])  # fmt: skip


def _air(found):
    ways = [way for way in (PRODUCT, DEFLATED, AIOCOAP) if way in found.plan.ways]
    heads = ["RTT ms", "loss"]
    for way in ways:
        heads += [f"{way}: CoAP", "with DTLS, UDP, IP"]
    rows = []
    for link in found.plan.links():
        row = [link.rtt_ms, f"{link.loss:.0%}"]
        for way in ways:
            row += _bytes(found, [outcome for outcome in found.of(link, way) if outcome.good])
        rows.append(row)
    return Table("Bytes on the air, both directions, per byte of the unpacked firmware", heads, rows, [
        f"Everything that was sent, lost or not. With DTLS, UDP, IP: {DTLS} + {IP_UDP} bytes more for each datagram; a "
        "session's handshake (3 KB with a certificate chain of two) is the session's, and not counted.",
    ])  # fmt: skip


def _bytes(found, outcomes):
    if not outcomes:
        return ["-", "-"]
    per = len(outcomes) * found.tree
    coap = sum(o.counts["up_bytes"] + o.counts["down_bytes"] for o in outcomes)
    datagrams = sum(o.counts["up"] + o.counts["down"] for o in outcomes)
    return [f"{coap / per:.3f}", f"{(coap + datagrams * (DTLS + IP_UDP)) / per:.3f}"]


def _device(found):
    heads = ["", *found.idle]
    devices = [outcome.device if outcome.good else None for outcome in found.idle.values()]
    rows = [[name, *("-" if device is None else show(device) for device in devices)] for name, show in _FIGURES]
    return Table("What it costs the device (no delay, no loss)", heads, rows, [
        f"Heap: most in use after a collection at each block and each file, code loaded from .mpy files included, of "
        f"{HEAP}; the least that will do is row H1 of tests/faults. Times are of this machine; facts/fota.md 3.2 says "
        "what they mean on a board. Bytes programmed are littlefs2's, metadata and copies included.",
    ])  # fmt: skip


_FIGURES = (
    ("4 KB erases, download", lambda d: d["erases_fetch"]),
    ("4 KB erases, whole update", lambda d: d["erases"]),
    ("program operations", lambda d: d["programs"]),
    ("bytes programmed", lambda d: d["written"]),
    ("peak heap, bytes", lambda d: d["peak"]),
    ("of that before the update", lambda d: d["before"]),
    ("installation, s", lambda d: f"{d['install_s']:.2f}"),
    ("signature check, ms", lambda d: f"{d['verify_us'] / 1000:.2f}"),
    ("SHA-256 of 100 KB, ms", lambda d: f"{d['hash_us'] / 1000:.2f}"),
)
