"""What must be true of a day, as a list of named checks over the facts of the records.

Each check takes the facts (facts.py: only what the twin stored, plus when the power was cut) and says what it found
and whether that is good enough. `godwit run` exits 0 only when every check is ok. Pure: no I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

_BLOCK = 4096  # the update's hash block: what may be fetched twice after a cut
_COAP_BLOCK = 1024
_HOUR_S = 3600
_SENSOR_SHARE = 0.8  # of the messages that the sampling interval promises
_GNSS_NEAR_M = 25_000  # a moving node is served by a cell that far away, at most


@dataclass(frozen=True)
class Check:
    """One requirement; `judge(facts)` returns (what was found, whether it is good enough)."""

    name: str
    wanted: str
    judge: Callable[[dict], tuple[str, bool]]


@dataclass(frozen=True)
class Verdict:
    name: str
    wanted: str
    found: str
    ok: bool


def judge_all(facts: dict) -> list[Verdict]:
    """Every check over the same facts; a fact that is not there fails its check, never the run."""
    verdicts = []
    for check in CHECKS:
        try:
            found, ok = check.judge(facts)
        except (KeyError, TypeError, IndexError) as error:
            found, ok = f"no record ({type(error).__name__} {error})", False
        verdicts.append(Verdict(check.name, check.wanted, found, bool(ok)))
    return verdicts


def _handshake(facts):
    count = facts["sessions"]["handshakes"]
    return f"{count} handshakes", count >= 1


def _auth(facts):
    auth = facts["auth"]
    return f"{auth['accepted']} accepted, {auth['refused']} refused", auth["accepted"] >= 1


def _reauth(facts):
    # Max-Age of the twin is shorter than the day: one session cannot be enough.
    wanted = min(int(facts["hours"] * _HOUR_S // facts["max_age_s"]), 3)
    accepted = facts["auth"]["accepted"]
    return f"{accepted} authentications in {facts['hours']:g} h, Max-Age {facts['max_age_s']} s", accepted > wanted


def _control(facts):
    control = facts["shadow"]["reported"].get("control") or {}
    found = ", ".join(f"{key} {value}" for key, value in control.items()) or "nothing"
    return found, "alertsEn" in control and "logLvl" in control


def _device_info(facts):
    device = facts["shadow"]["reported"].get("device") or {}
    sections = [name for name in ("networkInfo", "deviceInfo", "serviceInfo") if device.get(name)]
    return ", ".join(sections) or "nothing", len(sections) == 3


def _config(facts):
    wanted = facts["wanted_config"]
    reported = facts["shadow"]["reported"].get("config") or {}
    found = {key: reported.get(key) for key in wanted}
    return f"reported {found}", found == wanted and facts["requests"]["delta_fetches"] >= 1


def _delta(facts):
    shadow = facts["shadow"]
    delta = shadow["delta"]
    found = f"shadow version {shadow['version']}, delta {', '.join(delta) or 'empty'}"
    return found, not delta and shadow["version"] > 1


def _ground_fix(facts):
    ground = facts["ground_fix"]
    found = f"{ground['answered']} answered in CBOR, {ground['stored']} positions stored"
    return found, ground["answered"] >= 1 and ground["stored"] >= 1


def _agnss(facts):
    agnss = facts["agnss"]
    if not facts["assisted"]:  # not a byte for a receiver that takes none
        return f"{agnss['answered']} answered to a {facts['modem']}, which takes none", agnss["answered"] == 0
    return f"{agnss['answered']} answered, {agnss['bytes']} B", agnss["answered"] >= 1 and agnss["bytes"] > 0


def _gnss(facts):
    count, off = facts["gnss"]["stored"], facts["gnss"]["worst_m"]
    if not count:
        return "none stored", False
    if off is None:
        return f"{count} stored, none to compare with a cell fix", False
    return f"{count} stored, at most {off} m from the cell fixes' area", off <= _GNSS_NEAR_M


def _explained(facts):
    gnss = facts["gnss"]
    by = ", ".join(f"{name} {count}" for name, count in gnss["by"].items()) or "nobody knows how"
    found = f"by {by}; {gnss['moving']} with speed and heading"
    if gnss["unexplained"]:
        found += f"; {gnss['unexplained']} unexplained"
    # What says how the last one was got may still be in the node when the day ends.
    return found, min(gnss["accurate"], gnss["moving"]) > 0 and len(gnss["by"]) > 0 and gnss["unexplained"] <= 1


def _sensors(facts):
    wanted = int(facts["expected_samples"] * _SENSOR_SHARE)
    count = max([number for app, number in facts["messages"].items() if app not in _NOT_SENSORS], default=0)
    return f"{count} of one kind, {wanted} wanted", count >= max(wanted, 1)


def _cbor(facts):
    alone, batches = facts["requests"]["d2c_cbor"], facts["requests"]["bulk_cbor"]
    return f"{batches} batches and {alone} single messages in CBOR", batches >= 1


def _alerts(facts):
    alerts = facts["alerts"]
    return f"{alerts['online']} online, {alerts['died']} task died", alerts["online"] >= 2 and not alerts["died"]


def _job(facts):
    history = facts["fota"]["history"] or ["no job"]
    worked = "IN_PROGRESS" in history or "DOWNLOADING" in history
    return steps(history), history[-1] == "SUCCEEDED" and worked and facts["fota"]["polls"] >= 1


def steps(history) -> str:
    """The way of a job in words; repetitions are counted."""
    return " > ".join(
        status if count == 1 else f"{status} x{count}"
        for status, count in ((status, len(list(run))) for status, run in groupby(history))
    )


def _served(facts):
    fota = facts["fota"]
    found = f"{fota['covered']:,} of {fota['size']:,} B, {fota['served']:,} B sent"
    # Between manifest and payload there is padding, of which a node with small blocks skips what it can.
    return found, 0 <= fota["size"] - fota["covered"] < _COAP_BLOCK < fota["size"]


def _cut(facts):
    fota = facts["fota"]
    found = f"power cut after {fota['before_cut']:,} B"
    return found, 0 < fota["before_cut"] < fota["size"]


def _resume(facts):
    fota = facts["fota"]
    if fota["resumed_at"] is None:
        return "nothing fetched after the cut", False
    # The header and manifest are read again; whatever lies beyond them must continue where the flash ended.
    found = f"resumed at {fota['resumed_at']:,}, {fota['refetched']:,} B of the payload again"
    return found, fota["resumed_at"] > 0 and fota["refetched"] <= _BLOCK + _COAP_BLOCK


def _version(facts):
    reported = facts["shadow"]["app_version"]
    return f"reports {reported}", reported == facts["fota"]["version"]


def _confirmed(facts):
    # A new version may only be confirmed on a session that was authenticated after its first start.
    auth_s, done = facts["fota"]["auth_before_success_t"], facts["fota"]["succeeded_t"]
    last_block = facts["fota"]["last_block_t"]
    found = "authenticated between last block and SUCCEEDED" if auth_s else "no authentication before SUCCEEDED"
    return found, bool(auth_s) and last_block <= auth_s <= done


def _heap(facts):
    peak, size = facts["heap"]["peak"], facts["heap"]["size"]
    if peak is None:
        return "not reported", False
    return f"peak {peak:,} of {size:,} B", 0 < peak <= size


def _whole_day(facts):
    lived = (facts["world_end_ms"] - facts["world_start_ms"]) / 3600e3
    return f"{lived:.1f} h", lived >= facts["hours"]


_NOT_SENSORS = ("GNSS", "FIX", "HEAP", "DEVICE", "LOG", "ALERT")

CHECKS = (
    Check("day", "the world clock passed the whole day", _whole_day),
    Check("dtls", "DTLS session with the cloud", _handshake),
    Check("auth", "POST /auth/jwt accepted", _auth),
    Check("reauth", "authenticated again when Max-Age ran out", _reauth),
    Check("control", "control section reported", _control),
    Check("device", "device info reported", _device_info),
    Check("config", "desired configuration fetched, applied, reported", _config),
    Check("delta", "shadow delta acknowledged", _delta),
    Check("ground-fix", "position from cells (FETCH /loc/ground-fix)", _ground_fix),
    Check("agnss", "assistance fetched where the receiver takes it (FETCH /loc/agnss)", _agnss),
    Check("gnss", "GNSS fixes stored, and plausible", _gnss),
    Check("how", "fixes with accuracy, speed, heading, and how they were got", _explained),
    Check("cbor", "messages in CBOR, many to a datagram", _cbor),
    Check("alerts", "alerts: online after each start, no task died", _alerts),
    Check("sensors", "sensor messages stored for the whole day", _sensors),
    Check("job", "FOTA job went its way to SUCCEEDED", _job),
    Check("download", "the whole bundle served by /proxy", _served),
    Check("cut", "power cut in mid-download", _cut),
    Check("resume", "resumed from what was on flash", _resume),
    Check("version", "new version reported", _version),
    Check("confirm", "confirmed only after an authenticated round trip", _confirmed),
    Check("heap", "heap peak reported and within the heap", _heap),
)
