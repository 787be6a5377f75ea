"""What the tests of `godwit run` share: facts of a good day, and a way to run a real one and read its report."""

import json
import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
TOOLS = REPO / "tools"
_MARGIN_S = 30  # over the day's own limit, which must be what ends it


_GNSS = {"stored": 8, "worst_m": 300, "accurate": 8, "moving": 8, "unexplained": 0, "by": {"agnss": 7, "none": 1}}


def good_facts():
    """Facts of a day on which everything worked, as facts.py gathers them."""
    return {
        "device_id": "nrf-359746166000016",
        "hours": 24.0,
        "max_age_s": 28800,
        "bits": 32,
        "modem": "nrf91",
        "assisted": True,
        "dtls": "host",
        "jwt": "host",
        "life": "3 boots",
        "wall_s": 30.0,
        "world_start_ms": 1_800_000_000_000,
        "world_end_ms": 1_800_000_000_000 + 24 * 3600 * 1000,
        "sessions": {"handshakes": 3},
        "auth": {"accepted": 5, "refused": 0},
        "requests": {"total": 500, "delta_fetches": 12, "d2c_cbor": 3, "bulk_cbor": 70},
        "alerts": {"online": 3, "died": 0},
        "traffic": {"bytes_up": 1, "bytes_down": 1, "datagrams_up": 1, "datagrams_down": 1},
        "messages": {"TEMP": 97, "HUMID": 97, "GNSS": 8, "HEAP": 6},
        "expected_samples": 96,
        "wanted_config": {"sample_interval_s": 900},
        "shadow": {
            "version": 20,
            "delta": {},
            "app_version": "1.1.0",
            "reported": {
                "control": {"alertsEn": True, "logLvl": 3},
                "config": {"sample_interval_s": 900, "uplink_interval_s": 1800},
                "device": {
                    "networkInfo": {"cellID": 1},
                    "deviceInfo": {"appVersion": "1.1.0"},
                    "serviceInfo": {"fota_v2": ["APP"]},
                },
            },
        },
        "ground_fix": {"answered": 8, "stored": 8},
        "agnss": {"answered": 4, "bytes": 9000},
        "gnss": dict(_GNSS),
        "fota": {
            "polls": 12,
            "history": ["QUEUED", "IN_PROGRESS", "SUCCEEDED"],
            "version": "1.1.0",
            "size": 100_000,
            "served": 106_000,
            "covered": 100_000,
            "before_cut": 52_000,
            "resumed_at": 49_152,
            "refetched": 3000,
            "last_block_t": 1000,
            "auth_before_success_t": 2000,
            "succeeded_t": 3000,
        },
        "heap": {"peak": 120_000, "size": 163_840},
    }


def day_environment():
    """Environment of the command line: the tree's own tools, no colour."""
    return dict(os.environ, PYTHONPATH=str(TOOLS), NO_COLOR="1")


def day_command(*arguments):
    return [sys.executable, "-m", "godwit", "run", *map(str, arguments)]


def godwit(*arguments, timeout_s=60):
    """Run the command line; -> CompletedProcess with stdout and stderr together."""
    return subprocess.run(
        [sys.executable, "-m", "godwit", *map(str, arguments)],
        env=day_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def run_day(workdir, *arguments, limit_s=100):
    """Run one day in `workdir`; -> (exit status, output, report dict or None)."""
    report = Path(workdir) / "report.json"
    day = Path(workdir) / "day"
    done = godwit(
        "run", "--workdir", day, "--report", report, "--timeout", limit_s, *arguments, timeout_s=limit_s + _MARGIN_S
    )
    facts = json.loads(report.read_text()) if report.exists() else None
    return done.returncode, done.stdout, facts
