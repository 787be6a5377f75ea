"""The bench's modem part: that it measures what it says. No time is asserted."""

import pytest
from click.testing import CliRunner

from bench import command, modem, modem_rig, modem_tables
from bench.modem import Found, Job, Outcome, Plan
from godwit.places import BUILD, REPO
from godwit.size import Module, Size

pytestmark = pytest.mark.limit(90)
needs_32_bit = pytest.mark.skipif(not (BUILD / "bin" / "micropython32").exists(), reason="no 32-bit MicroPython")


def counters(**known):
    return dict.fromkeys(modem.COUNTED, 0) | known


def fix(how, seed, ttff_s, spent=None, before=None, why="", family="nrf91", **loaded):
    told = {"loaded": {"gnss_fix": ["modem.nrf91.gnss"], **loaded}}
    job = Job(family, "fix", how, seed)
    return Outcome(job, why, ttff_s, counters(**(spent or {})), counters(**(before or {})), told=told)


def sized(*modules):
    made = tuple(Module(name, name.split(".")[0], kind, 0, heap, 0) for name, kind, heap in modules)
    return Size(32, made, {}, 0, 0, 1000, 1100)


SIZE = sized(
    ("at.client", "start", 1000), ("modem.nrf91", "start", 700), ("modem.nrf91.gnss", "cold", 90),
    ("modem.link", "cold", 500), ("cloud.nrfcloud", "start", 9999),
)  # fmt: skip


def found_of(*outcomes):
    return Found(modem.QUICK, list(outcomes), {"nrf91": SIZE})


@pytest.fixture(scope="module")
def small():
    """One search, two uplinks, and the driver's objects, really made."""
    plan = Plan(("nrf91",), (1,), 2, 20.0, helps=("hint",), sides=("host",))
    return modem.measure(plan)


@needs_32_bit
def test_a_search_is_counted_from_rest_to_rest(small):
    (one,), failed = small.of("nrf91", "fix", "hint")
    assert not failed
    # What is told goes over the UART and not on air; a search that is helped by nothing else takes no datagram.
    assert one.spent["bytes_up"] == one.spent["bytes_down"] == one.spent["rrc_connected_ms"] == 0
    assert 0 < one.spent["uart_in"] < 500 and 0 < one.spent["commands"] < 20
    assert one.spent["gnss_on_ms"] >= one.ttff_s * 1000 - 100 > 20000
    assert set(one.before.values()) == {0}
    loaded = one.told["loaded"]
    assert "modem.nrf91.gnss" in loaded["gnss_hint"] and "gnss_need" not in loaded, "it claims no A-GNSS here"
    assert "modem.link" in loaded["attach"] and "modem.nrf91.cells" in loaded["cells"]


@needs_32_bit
def test_an_uplink_is_counted_by_itself(small):
    (one,), failed = small.of("nrf91", "uplink", "host")
    assert not failed and len(one.uplinks) == 2
    for each in one.uplinks:
        assert (each["count"], each["messages"], each["commands"]) == (modem.RECORDS, 1, 1)
        assert (each["datagrams_up"], each["datagrams_down"]) == (1, 1)
        # CoAP's head and DTLS's 37 bytes come on top of the payload, the command on top of that.
        assert each["payload"] + 37 < each["bytes_up"] < each["payload"] + 120
        assert each["bytes_up"] < each["uart_in"] < each["bytes_up"] + 60
        assert each["bytes_down"] < each["uart_out"] and each["allocated"] > each["payload"]


@needs_32_bit
def test_a_driver_is_measured_by_what_it_loads(small):
    ((family, at, stays, objects, endpoint, attach, opening, cells, gnss, most, names),) = (
        modem_tables.driver_table(small).rows
    )
    assert family == "nrf91" and min(at, stays, objects, endpoint, attach, opening, cells, gnss) > 500
    assert most == at + stays + objects + endpoint + max(attach, opening, cells, gnss)
    assert names == small.sizes["nrf91"].names_all
    assert len(modem_tables.tables(small)) == 3


def test_a_download_is_spread_over_what_it_serves():
    assert modem.SERVES == {"pgps": 12, "xtra": 42}
    one = fix("pgps", 1, 6.0, {"bytes_up": 5, "gnss_on_ms": 6000}, {"bytes_up": 1200, "bytes_down": 24000})
    assert modem_tables.per_fix(one, "bytes_up") == 105 and modem_tables.per_fix(one, "bytes_down") == 2000
    rows = modem_tables.fix_table(found_of(fix("none", 1, 35.0), fix("none", 2, 45.0), fix("none", 3, 36.0), one)).rows
    assert rows[0][:5] == ["nrf91", "none", "36.0", "45.0", "1.00"]
    assert rows[1] == ["nrf91", "P-GPS", "6.0", "6.0", "0.17", 105, 2000, 2100, 0, 0, "0.0", "6.0"]


def test_failures_are_seen():
    good, bad = fix("none", 1, 35.0), fix("none", 2, None, why="no fix")
    table = modem_tables.fix_table(found_of(good, bad, fix("agnss", 1, None, why="broken")))
    assert table.rows[0][2] == "35.0 (fails 1/2)" and table.rows[1][2] == "fails 1/1: broken"
    assert {len(row) for row in table.rows} == {len(table.heads)}
    broken = Outcome(Job("nrf91", "uplink", "host"), "silent")
    table = modem_tables.uplink_table(found_of(broken))
    assert len(table.rows[0]) == len(table.heads) and "silent" in table.rows[0][2]
    assert modem_tables.facts(found_of(good, broken))[1] == "Failed: nrf91 uplink host, seed 1: silent"


def test_heap_retained_is_from_uplink_to_uplink():
    line = {name: 0 for name in modem.COUNTED} | {"payload": 100, "allocated": 9}
    uplinks = [line | {"before": before} for before in (1000, 1040, 1020, 1060)]
    row = modem_tables.uplink_table(found_of(Outcome(Job("nrf91", "uplink", "host"), uplinks=uplinks))).rows[0]
    assert row[-2:] == [9, 20]


def test_code_beside_what_stays_is_the_most_of_one_run():
    first, second = fix("none", 1, 35.0, attach=["modem.link"]), fix("none", 2, 35.0, attach=["modem.link"])
    second.told["loaded"]["gnss_fix"] = ["modem.nrf91.gnss", "modem.link"]
    assert modem_tables.verb_costs(found_of(first, second), "nrf91") == {"gnss_fix": 590, "attach": 500}
    stranger = fix("none", 1, 35.0, cells=["modem.sara_r5.cells"])
    with pytest.raises(modem_rig.RigError, match="cells loads .*which its firmware has not"):
        modem_tables.verb_costs(found_of(stranger), "nrf91")


def test_the_full_plan_is_the_issues():
    work = modem.jobs_of(modem.FULL)
    kinds = {(job.family, job.how) for job in work if job.what == "fix"}
    assert {how for family, how in kinds if family in ("nrf91", "sara_r5")} == {"none", "hint", "agnss", "pgps"}
    for family in ("bg95", "sim7080"):
        assert {how for one, how in kinds if one == family} == {"none", "hint", "xtra"}
    assert len([job for job in work if job.what == "fix"]) == 14 * len(modem.FULL.seeds) and modem.FULL.speed == 1
    assert {job.family for job in work if job.what == "uplink"} == {job.family for job in work if job.what == "objects"}
    assert len(work) == len(set(work))


@needs_32_bit
def test_a_program_that_ends_or_is_silent_is_an_outcome(tmp_path, monkeypatch):
    with pytest.raises(modem_rig.RigError, match="python ended before ready: oh no"):
        _python("print('oh no')").told("event", "ready")
    silent = _python("import time; time.sleep(60)")
    try:
        with pytest.raises(modem_rig.RigError, match="no ready after 0 s: it said nothing"):
            silent.told("event", "ready", 0.2)
    finally:
        silent.end()


def _python(code):
    import sys

    return modem_rig.Process("python", [sys.executable, "-c", code], None)


def test_pages_and_status(monkeypatch, tmp_path):
    results = {"found": found_of(fix("none", 1, 35.0))}
    monkeypatch.setattr(modem, "measure", lambda plan, say: results["found"])
    monkeypatch.setattr(command, "MODEM", tmp_path / "MODEM.md")
    run = CliRunner().invoke
    done = run(command.bench, ["--only", "modem", "--quick"])
    assert done.exit_code == 0 and not (tmp_path / "MODEM.md").exists(), done.output
    done = run(command.bench, ["--only", "modem"])
    assert done.exit_code == 0 and "written: MODEM.md" in done.output
    page = (tmp_path / "MODEM.md").read_text()
    assert page.startswith("# The modem part of the bench\n") and "| nrf91 | none | 35.0 |" in page
    results["found"] = found_of(fix("none", 1, None, why="lost"))
    assert run(command.bench, ["--only", "modem", "--quick"]).exit_code == 1


def test_page_in_the_tree_is_of_a_full_run():
    page = (REPO / "tools" / "bench" / "MODEM.md").read_text()
    for family, helps in modem.HELPS.items():
        for how in helps:
            word = modem.HINTS[family] if how == "hint" else modem.WORDS[how]
            assert f"| {family} | {word} | " in page
    assert "no time compressed; failed: 0." in page
