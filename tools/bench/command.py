"""`godwit bench`, `make bench`: measure, print, and with the full set write RESULTS.md, MODEM.md and UPDATE.md."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import time
from pathlib import Path

import click

from godwit.places import BUILD, REPO

from . import codec, downloads, fota, fota_tables, memory, modem, modem_tables, report

RESULTS = Path(__file__).with_name("RESULTS.md")
MODEM = Path(__file__).with_name("MODEM.md")
UPDATE = Path(__file__).with_name("UPDATE.md")
_PROGRAMS = ("micropython64", "micropython32", "coap-client")
PARTS = ("codec", "cbor", "memory", "downloads", "modem", "update")
_OWN_PAGES = {"modem", "update"}


@click.command()
@click.option("--quick", is_flag=True, help="A small set in 1 to 2 minutes; writes no page.")
@click.option("--only", multiple=True, type=click.Choice(PARTS), help="Only this part; modem and update write pages.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the page here in any case.")
@click.option("--quiet", is_flag=True, help="No line after each download.")
def bench(quick, only, output, quiet):
    """Godwit beside others, and what its modems cost. Exit status 1 when a download or a fix of ours fails."""
    missing = [name for name in _PROGRAMS if not (BUILD / "bin" / name).exists()]
    if missing:
        raise click.ClickException(f"not there: {', '.join(missing)}; `make setup` says why")
    say = (lambda _: None) if quiet else (lambda line: click.echo(line, err=True))
    parts = only or PARTS
    broken = False
    if set(parts) - _OWN_PAGES:
        broken = _others(quick, only, parts, output, say)
    if "modem" in parts:
        alone = set(parts) == {"modem"}
        broken = _modem(quick, only, output if alone else None, say) or broken
    if "update" in parts:
        alone = set(parts) == {"update"}
        broken = _update(quick, only, output if alone else None, say) or broken
    if broken:
        raise click.exceptions.Exit(1)


def _others(quick, only, parts, output, say):
    """CoAP client and codecs: every part but the modem's. -> whether a download of ours is broken."""
    started = time.monotonic()
    plan = downloads.QUICK if quick else downloads.FULL
    tables, goals, facts = [], [], _facts(quick, only)
    broken = False
    if "codec" in parts:
        found = {bits: codec.coap(bits) for bits in (64, 32)}
        tables.append(codec.coap_table(found))
        goals += codec.coap_goals(found)
    if "cbor" in parts:
        tables.append(codec.cbor_table({bits: codec.run_device("device_cbor.py", bits) for bits in (64, 32)}))
    if "memory" in parts:
        tables += memory.measure(plan.size, (8,) if quick else memory.WINDOWS)
    if "downloads" in parts:
        found = downloads.measure(plan, say)
        made = [downloads.table(found), downloads.variant_table(found), downloads.link_table(found)]
        tables = [table for table in made if table] + tables
        goals = downloads.goals(found) + goals
        facts += downloads.facts(found)
        broken = any(not o.good for o in found.outcomes if o.job.who == downloads.OURS)
    if goals:
        tables.insert(0, report.goal_table(goals))
    _conclude(started, facts, tables)
    target = output or (None if quick or only else RESULTS)
    if target:
        _write(target, report.page(_command(quick, only), facts, tables))
    return broken


def _modem(quick, only, output, say):
    """The modem part, which has a page of its own. -> whether something failed."""
    started = time.monotonic()
    found = modem.measure(modem.QUICK if quick else modem.FULL, say)
    facts, tables = _facts(quick, only) + modem_tables.facts(found), modem_tables.tables(found)
    _conclude(started, facts, tables)
    target = output or (None if quick else MODEM)
    if target:
        _write(target, report.page(_command(quick, only), facts, tables, modem_tables.TITLE))
    return any(outcome.why for outcome in found.outcomes)


def _update(quick, only, output, say):
    """The update part, which has a page of its own. -> whether an update failed."""
    started = time.monotonic()
    found = fota.measure(fota.QUICK if quick else fota.FULL, say)
    facts, tables = _facts(quick, only) + fota_tables.facts(found), fota_tables.tables(found)
    _conclude(started, facts, tables)
    target = output or (None if quick else UPDATE)
    if target:
        _write(target, report.page(_command(quick, only), facts, tables, fota_tables.TITLE))
    outcomes = [*found.outcomes, *found.idle.values()]
    return any(not outcome.good for outcome in outcomes if outcome.job.who == fota.OURS)


def _conclude(started, facts, tables):
    facts.append(f"The whole run took {time.monotonic() - started:.0f} s.")
    report.show(tables)
    for fact in facts:
        click.echo(fact)


def _write(target, page):
    target.write_text(page, encoding="utf-8")
    click.echo(f"written: {target.name}")


def _command(quick, only):
    """-> the command that does the same again."""
    return "make bench" + (' ARGS="' + " ".join(_arguments(quick, only)) + '"' if quick or only else "")


def _arguments(quick, only):
    return ["--quick"] * quick + [f"--only {part}" for part in only]


def _facts(quick, only):
    """What was measured, when, and on what."""
    state = _said("git", "-C", REPO, "rev-parse", "--short", "HEAD") or "no commit"
    state += " with changes in lib" if _said("git", "-C", REPO, "status", "--porcelain", "lib") else ""
    scope = " ".join(_arguments(quick, only)) or "everything"
    peers = f"aiocoap {_version('aiocoap')}, libcoap's coap-client {_libcoap()}"
    return [
        f"{datetime.date.today()}, {state}, {scope}; {os.cpu_count()} cores {platform.machine()}, "
        f"CPython {platform.python_version()}, {_micropython()}; {peers}.",
    ]


def _version(name):
    import importlib.metadata

    return importlib.metadata.version(name)


def _said(*command):
    """What a program prints; nothing when it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout + done.stderr).strip()


def _micropython():
    return _said(BUILD / "bin" / "micropython64", "-c", "import sys; print(sys.version.split('; ')[-1])")


def _libcoap():
    usage = _said(BUILD / "bin" / "coap-client", "-?")  # there is no option that only says the version
    return usage.partition(" v")[2].partition(" ")[0]
