"""The facts of a day: what the twin recorded, and when the power was cut; nothing of what the firmware claims.

`gather` asks the REST side of the twin, `derive` is pure and makes one JSON-able dict out of the answers; checks.py
and summary.py read only that. The shapes of the records are the twin's (tools/godwit/twin/summary.py).
"""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime
from itertools import pairwise

from . import options

_CELL_SERVICES = ("SCELL", "MCELL", "WIFI")
_CBOR = 60
_ONLINE_ALERT, _DIED_ALERT = 1, 100  # facts/nrfcloud.md 6.3; from 100 on the firmware's own
_TRAFFIC = ("bytes_up", "bytes_down", "datagrams_up", "datagrams_down")
_EARTH_M = 6_371_000
_PAIR_S = 900  # a GNSS fix and a cell fix further apart in time say nothing about each other: the node moves


async def gather(day) -> dict:
    """Ask the twin for everything and derive the facts of `day` (day.Day)."""
    records = await day.operator.records()
    known = day.options.device_id in records["devices"]
    document = await day.operator.device() if known else {}
    locations = await day.operator.locations() if known else []
    messages = await day.operator.messages() if known else []
    facts = derive(records, document, locations, messages, day.options.device_id, day.job_id, day.cut_ms)
    facts.update(of_the_run(day))
    facts["heap"]["size"] = day.options.heap
    return facts


def of_the_run(day) -> dict:
    """What only the orchestrator can know: the frame of the day."""
    opts, node = day.options, day.node
    life = f"{node.boots} boots: {node.cuts} power cuts, {node.resets} restarts, {node.crashes} crashes"
    sampling = max(options.SETTINGS["sample_interval_s"], options.DESIRED["sample_interval_s"])
    return {
        "device_id": opts.device_id,
        "bits": opts.bits,
        "modem": opts.modem,
        "assisted": opts.family.assisted,
        "dtls": opts.dtls,
        "jwt": opts.jwt,
        "drop": opts.drop,
        "hours": opts.hours,
        "max_age_s": options.MAX_AGE_S,
        "world_start_ms": day.start_ms,
        "world_end_ms": day.end_ms,
        "wall_s": round(day.watch.seconds(), 1),
        "life": life,
        "expected_samples": int(opts.hours * 3600 / sampling),
        "wanted_config": options.DESIRED,
    }


def derive(records, document, locations, messages, device_id, job_id, cut_ms) -> dict:
    """Pure: the answers of the REST calls -> facts."""
    device = records["devices"].get(device_id, {})
    requests = [row for row in records["requests"] if row["device"] == device_id]
    return {
        "sessions": {
            "handshakes": records["totals"]["handshakes"],
            "failed": [row["reason"] for row in records["handshake_failures"]],
        },
        "auth": _auth(records),
        "traffic": {name: records["totals"][name] for name in _TRAFFIC},
        "repeats": records["totals"].get("repeats", 0),
        "twin_errors": [row["error"] for row in records["errors"]],
        "requests": {
            "total": len(records["requests"]),
            "delta_fetches": len(_answered(requests, "GET", "state")),
            "d2c_cbor": _in_cbor(requests, "msg/d2c"),
            "bulk_cbor": _in_cbor(requests, "msg/d2c/bulk"),
        },
        "shadow": _shadow(document),
        "messages": device.get("messages", {}),
        "alerts": _alerts(messages),
        "ground_fix": {
            "answered": len([r for r in _answered(requests, "FETCH", "loc/ground-fix") if r.get("format") == _CBOR]),
            "stored": sum(device.get("fixes", {}).get(service, 0) for service in _CELL_SERVICES),
        },
        "agnss": _agnss(requests),
        "gnss": {
            "stored": device.get("fixes", {}).get("GNSS", 0),
            "worst_m": worst_distance(locations),
            **_fixes(messages),
        },
        "fota": _fota(records, device, requests, device_id, job_id, cut_ms),
        "heap": {"peak": _heap_peak(messages)},
    }


def _answered(requests, method, path):
    return [row for row in requests if (row["method"], row["path"]) == (method, path) and row["code"].startswith("2.")]


def _in_cbor(requests, path):
    return len([row for row in _answered(requests, "POST", path) if row.get("format") == _CBOR])


def _alerts(messages):
    """How many alerts say that the node is online, and how many that a task of it died."""
    stored = [item["message"] for item in messages if isinstance(item.get("message"), dict)]
    kinds = [message.get("type") for message in stored if message.get("appId") == "ALERT"]
    return {"online": kinds.count(_ONLINE_ALERT), "died": kinds.count(_DIED_ALERT)}


def _auth(records):
    refused = [row["reason"] for row in records["auth"] if row["reason"] is not None]
    return {
        "accepted": len(records["auth"]) - len(refused),
        "refused": len(refused),
        "reasons": sorted(set(refused)),
    }


def _agnss(requests):
    answers = _answered(requests, "FETCH", "loc/agnss")
    return {"answered": len(answers), "bytes": sum(row["bytes_out"] for row in answers)}


def _fixes(messages):
    """What was told of the fixes: {"accurate": how many say how good they are, "moving": with speed and heading,
    "unexplained": without a message of the same time that says how they were got, "by": {assistance: fixes}}."""
    stored = [item["message"] for item in messages if isinstance(item.get("message"), dict)]
    fixes, ways = {}, {}
    for one in stored:
        if one.get("appId") == "GNSS" and isinstance(one.get("data"), dict):
            fixes[one.get("ts")] = one["data"]  # by time: a message may come twice
        elif one.get("appId") == "FIX":
            ways[one.get("ts")] = dict(word.partition("=")[::2] for word in str(one.get("data")).split())
    by = Counter(way.get("assistance", "?") for ts, way in ways.items() if ts in fixes)
    return {
        "accurate": sum((fix.get("acc") or 0) > 0 for fix in fixes.values()),
        "moving": sum("spd" in fix and "hdg" in fix for fix in fixes.values()),
        "unexplained": len([ts for ts in fixes if not ts or ts not in ways]),
        "by": dict(sorted(by.items())),
    }


def _shadow(document):
    state = document.get("state") or {}
    reported = state.get("reported") or {}
    info = (reported.get("device") or {}).get("deviceInfo") or {}
    return {
        "version": state.get("version", 0),
        "delta": state.get("delta") or {},
        "desired": state.get("desired") or {},
        "reported": reported,
        "app_version": info.get("appVersion"),
    }


def _heap_peak(messages):
    """Highest value of the HEAP messages, in bytes."""
    peaks = []
    for item in messages:
        message = item.get("message")
        if isinstance(message, dict) and message.get("appId") == "HEAP":
            try:
                peaks.append(int(float(message["data"])))
            except (KeyError, TypeError, ValueError):
                continue
    return max(peaks, default=None)


def _fota(records, device, requests, device_id, job_id, cut_ms):
    execution = next((item for item in device.get("executions", []) if item["job"] == job_id), None)
    polls = [row for row in requests if (row["method"], row["path"]) == ("GET", "fota/exec/current")]
    fota = {"polls": len(polls), "history": [], "detail": None, "version": options.NEXT_VERSION, "size": 0}
    fota.update(served=0, covered=0, before_cut=0, resumed_at=None, refetched=0)
    fota.update(last_block_t=None, succeeded_t=None, auth_before_success_t=None)
    if execution is None:
        return fota
    fota["history"] = [step["status"] for step in execution["history"]]
    fota["detail"] = execution["detail"]
    fota["size"] = int(execution["document"]["fileSize"])
    path = execution["document"]["path"]
    download = next((item for item in device["downloads"] if item["path"] == path), None)
    if download is not None:
        fota.update(of_download(download["blocks"], cut_ms))
    fota["succeeded_t"] = next((step["t"] for step in execution["history"] if step["status"] == "SUCCEEDED"), None)
    if fota["succeeded_t"] is not None:
        accepted = [row["t"] for row in records["auth"] if row["reason"] is None and row["device"] == device_id]
        fota["auth_before_success_t"] = max((t for t in accepted if t <= fota["succeeded_t"]), default=None)
    return fota


def of_download(blocks, cut_ms) -> dict:
    """What the served blocks [t, session, offset, size] say about the cut and the resumption.

    After the cut a node may read the head of the bundle (header, manifest) again; `resumed_at` is where it then
    jumps to, and `refetched` counts bytes from there on that had been served before the cut.
    """
    before = [(offset, offset + size) for t, _, offset, size in blocks if cut_ms is None or t <= cut_ms]
    after = [(offset, offset + size) for t, _, offset, size in blocks if cut_ms is not None and t > cut_ms]
    had, resumed_at = merge(before), None
    if after and after[0][0] > 0:
        resumed_at = after[0][0]
    else:
        for (_, end), (start, _) in pairwise(after):
            if start > end:
                resumed_at = start
                break
    refetched = 0
    if resumed_at is not None:
        tail = merge([(start, end) for start, end in after if start >= resumed_at])
        refetched = sum(max(0, min(e1, e2) - max(s1, s2)) for s1, e1 in had for s2, e2 in tail)
    return {
        "served": sum(size for _, _, _, size in blocks),
        "covered": sum(end - start for start, end in merge(before + after)),
        "before_cut": 0 if cut_ms is None else sum(end - start for start, end in had),
        "resumed_at": resumed_at,
        "refetched": refetched,
        "last_block_t": max((row[0] for row in blocks), default=None),
    }


def merge(spans) -> list[tuple[int, int]]:
    """Union of [start, end) spans as a sorted list of disjoint ones."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def worst_distance(locations) -> int | None:
    """Metres between a GNSS fix and the cell fix of the same quarter of an hour, the worst; None without a pair."""
    cells = [(_time(item), item) for item in locations if item["serviceType"] in _CELL_SERVICES]
    fixes = [(_time(item), item) for item in locations if item["serviceType"] == "GNSS"]
    worst = None
    for t, fix in fixes:
        near = min(cells, key=lambda cell: abs(cell[0] - t), default=None)
        if near is not None and abs(near[0] - t) <= _PAIR_S:
            worst = max(worst or 0, int(_metres(fix, near[1])))
    return worst


def _time(item):
    return datetime.fromisoformat(item["insertedAt"].replace("Z", "+00:00")).timestamp()


def _metres(one, other):
    lat1, lon1 = math.radians(float(one["lat"])), math.radians(float(one["lon"]))
    lat2, lon2 = math.radians(float(other["lat"])), math.radians(float(other["lon"]))
    a = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * _EARTH_M * math.asin(math.sqrt(a))
