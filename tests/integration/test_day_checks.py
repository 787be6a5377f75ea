"""The checks of a day have teeth: with good facts all pass, and each one fails when its own fact is doctored."""

import copy
import sys

import pytest
from day_support import TOOLS, good_facts

sys.path.insert(0, str(TOOLS))
from godwit.day.checks import CHECKS, judge_all, steps

# check: [(path into the facts, doctored value)]; DELETE takes the fact away.
DELETE = object()
DOCTORED = {
    "day": [("world_end_ms", 1_800_000_000_000 + 23 * 3600 * 1000), ("world_end_ms", DELETE)],
    "dtls": [("sessions.handshakes", 0), ("sessions", DELETE)],
    "auth": [("auth.accepted", 0), ("auth", DELETE)],
    "reauth": [("auth.accepted", 3)],
    "control": [("shadow.reported.control", DELETE), ("shadow.reported.control", {"alertsEn": True})],
    "device": [("shadow.reported.device", DELETE), ("shadow.reported.device.networkInfo", {})],
    "config": [
        ("shadow.reported.config.sample_interval_s", 600),
        ("shadow.reported.config", DELETE),
        ("requests.delta_fetches", 0),
    ],
    "delta": [("shadow.delta", {"config": {"x": 1}}), ("shadow.delta", DELETE), ("shadow.version", 1)],
    "ground-fix": [("ground_fix.answered", 0), ("ground_fix.stored", 0), ("ground_fix", DELETE)],
    "agnss": [("assisted", False), ("agnss.answered", 0), ("agnss.bytes", 0), ("agnss", DELETE)],
    "gnss": [("gnss.stored", 0), ("gnss.worst_m", 50_000), ("gnss.worst_m", None), ("gnss", DELETE)],
    "how": [("gnss.accurate", 0), ("gnss.moving", 0), ("gnss.unexplained", 2), ("gnss.by", {}), ("gnss.by", DELETE)],
    "cbor": [("requests.bulk_cbor", 0), ("requests", DELETE)],
    "alerts": [("alerts.online", 1), ("alerts.died", 1), ("alerts", DELETE)],
    "sensors": [
        ("messages", {"GNSS": 400, "HEAP": 400}),
        ("messages.TEMP", 10, "messages.HUMID", 10),
        ("messages", {}),
    ],
    "job": [
        ("fota.history", ["QUEUED", "IN_PROGRESS", "FAILED"]),
        ("fota.history", ["QUEUED", "SUCCEEDED"]),
        ("fota.history", []),
        ("fota.polls", 0),
    ],
    "download": [("fota.covered", 98_900), ("fota.size", 0, "fota.covered", 0)],
    "cut": [("fota.before_cut", 0), ("fota.before_cut", 100_000)],
    "resume": [("fota.resumed_at", None), ("fota.resumed_at", 0), ("fota.refetched", 50_000)],
    "version": [("shadow.app_version", "1.0.0"), ("shadow.app_version", DELETE)],
    "confirm": [
        ("fota.auth_before_success_t", None),
        ("fota.auth_before_success_t", 500),
        ("fota.auth_before_success_t", 3500),
    ],
    "heap": [("heap.peak", None), ("heap.peak", 200_000), ("heap", DELETE)],
}


def doctor(facts, path, value):
    *parents, last = path.split(".")
    for key in parents:
        facts = facts[key]
    if value is DELETE:
        del facts[last]
    else:
        facts[last] = value


def test_good_day_passes_every_check():
    failed = [(verdict.name, verdict.found) for verdict in judge_all(good_facts()) if not verdict.ok]
    assert failed == []


def test_every_check_is_doctored_here():
    assert {check.name for check in CHECKS} == set(DOCTORED)
    assert len({check.name for check in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize("name", list(DOCTORED))
def test_check_fails_without_its_fact(name):
    for changes in DOCTORED[name]:
        facts = copy.deepcopy(good_facts())
        for path, value in zip(changes[::2], changes[1::2]):
            doctor(facts, path, value)
        verdict = next(v for v in judge_all(facts) if v.name == name)
        assert not verdict.ok, f"{name} still ok with {changes}: {verdict.found}"


def test_steps_count_repetitions():
    assert steps(["QUEUED", "IN_PROGRESS", "IN_PROGRESS", "SUCCEEDED"]) == "QUEUED > IN_PROGRESS x2 > SUCCEEDED"
    assert steps([]) == ""


def test_no_facts_at_all_fail_every_check_without_an_exception():
    assert not any(verdict.ok for verdict in judge_all({}))


def test_a_receiver_that_takes_no_assistance_is_sent_none():
    facts = good_facts() | {"modem": "bg95", "assisted": False, "agnss": {"answered": 0, "bytes": 0}}
    assert all(verdict.ok for verdict in judge_all(facts))
