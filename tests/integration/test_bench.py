"""The bench's parts: that they measure what they say. How fast anything is, is never asserted here."""

import subprocess
import threading
import time

import pytest
from click.testing import CliRunner

from bench import codec, command, downloads, jobs, memory, report, scheduler
from bench.body import body, digest
from bench.downloads import Found, Plan
from bench.jobs import AIOCOAP, LIBCOAP, OURS, Job, Link, Outcome, Runner
from godwit.impair import Relay
from godwit.places import BUILD, REPO

pytestmark = pytest.mark.limit(60)
HAS_32_BIT = (BUILD / "bin" / "micropython32").exists()
BITS = [64, pytest.param(32, marks=pytest.mark.skipif(not HAS_32_BIT, reason="no 32-bit MicroPython"))]
LINK = Link(200, 0.0)


# --- codec


@pytest.mark.parametrize("bits", BITS)
def test_codec_lines_and_the_stand_in_allocates_as_the_original(bits):
    lines = codec.coap(bits)
    assert {who for _, who in lines} == {OURS, codec.STAND_IN} and len(lines) == 12
    for line in lines.values():
        assert line["wire"] == 88 and line["us"] > 0 and line["heap"] >= 0
    for operation in ("encode", "decode", "decode ACK"):
        quoted = codec.QUOTED_HEAP[bits][operation]
        found = lines[operation, codec.STAND_IN]["heap"]
        assert quoted * 0.98 <= found <= quoted * 1.06, (operation, found, quoted)
    assert lines["decode", OURS]["heap"] == lines["decode ACK", OURS]["heap"] == 0
    table = codec.coap_table({bits: lines})
    assert all(len(row) == len(table.heads) for row in table.rows) and len(table.rows) == 8
    assert len(codec.coap_goals({bits: lines})) == 3


def test_goals_of_the_codec_by_hand():
    lines = {}
    for who, us, heap in ((OURS, 2.0, 30), (codec.STAND_IN, 10.0, 1000)):
        for operation in ("encode again", "decode", "exchange"):
            lines[operation, who] = {"us": us, "heap": heap}
    speed, heap, whole = codec.coap_goals({64: lines})
    assert (speed.found, speed.met) == ("5.0 times", True)
    assert (heap.found, heap.met) == ("2.2%", True)  # 60 of 1184 + 1568
    assert (whole.found, whole.met) == ("30 of 3168", True)
    lines["encode again", OURS]["us"] = 4.0
    assert [goal.met for goal in codec.coap_goals({64: lines})] == [False, True, True]


def test_cbor_lines():
    lines = codec.run_device("device_cbor.py", 64)
    assert {line["message"] for line in lines} >= {"TEMP", "GNSS"} and len(lines) >= 8
    table = codec.cbor_table({64: lines})
    assert len(table.rows) == len(lines) and all(len(row) == len(table.heads) for row in table.rows)


# --- scheduler


def job(seed=1, size=1024, rtt=100, **more):
    return Job(more.pop("who", AIOCOAP), Link(rtt, more.pop("loss", 0.0)), seed, size, **more)


def test_never_more_at_a_time_than_the_machine_carries():
    work = [job(seed, 102400, 100) for seed in range(8)]  # 10 blocks a second each
    lock, now, most, seen = threading.Lock(), [0], [0], []

    def run(one):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        return Outcome(one, 1.0)

    found = scheduler.run_all(work, run, seen.append, capacity=3.1 * work[0].weight())
    assert most[0] == 3 and [outcome.job for outcome in found] == work and len(seen) == 8
    most[0] = 0
    scheduler.run_all(work, run, most=2)
    assert most[0] == 2


def test_the_longest_begin_first_and_the_heaviest_runs_alone():
    started = []
    heavy, long, short = job(1, 1 << 20, 1), job(2, 102400, 600), job(3, 2048, 200)

    def run(one):
        started.append(one)
        return Outcome(one, 1.0)

    scheduler.run_all([short, heavy, long], run, most=1)
    assert started == sorted([short, heavy, long], key=lambda one: -one.expected_s())
    assert len(scheduler.run_all([heavy] * 3, run, capacity=0.1)) == 3, "too heavy for anything, yet it runs"


def test_a_job_that_raises_is_an_outcome():
    def run(_):
        raise OSError("no port")

    (found,) = scheduler.run_all([job()], run)
    assert not found.good and found.why == "OSError: no port"


def test_load_check_sees_work():
    with scheduler.LoadCheck() as load:
        busy, everything = scheduler.cpu_times()
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            pass
    after = scheduler.cpu_times()
    assert after[0] > busy and after[1] > everything
    assert 0 < load.mean <= 1 and load.mean <= load.high * 1.5 + 0.1


# --- downloads


@pytest.mark.skipif(not HAS_32_BIT, reason="no 32-bit MicroPython")
def test_a_small_bench_from_end_to_end(monkeypatch):
    """All clients, both word sizes, both ways of asking, a link with a rate: every body arrives to the byte."""
    monkeypatch.setattr(downloads, "VARIANT_LINK", Link(20, 0.0))
    plan = Plan(10000, (0, 20), (0.0,), (1, 8), (1,), (Link(10, 0.0, 1_000_000),), repeats=1)
    said = []
    found = downloads.measure(plan, said.append)
    assert len(found.outcomes) == len(said) == 14
    assert [outcome.why for outcome in found.outcomes if not outcome.good] == []
    assert said[-1].startswith("[14/14] ") and found.startup_s > 0
    for outcome in found.outcomes:
        assert outcome.counts["down"] >= 10 and outcome.counts["lost"] == 0
        if outcome.job.who == OURS:
            assert outcome.device["blocks"] == 10 and outcome.device["resumed"] == 0
    big, other, rate = downloads.table(found), downloads.variant_table(found), downloads.link_table(found)
    assert [row[0] for row in big.rows] == [0, 20] and len(other.rows) == 3 and len(rate.rows) == 1
    assert "fails" not in str(big.rows + other.rows + rate.rows)
    assert all(goal.met for goal in downloads.goals(found))
    assert "failed: aiocoap 0, coap-client 0, lib/coap 0 of 8, of which 0 " in downloads.facts(found)[1]


@pytest.fixture
def relay():
    with Relay() as thread:
        yield thread


def test_a_wrong_body_does_not_count(relay, tmp_path):
    with downloads.server(3000) as port:
        runner = Runner(relay, port, digest(b"another"), tmp_path)
        for who in (OURS, *jobs.PEERS):
            found = runner.run(Job(who, Link(0), 1, 3000))
            assert not found.good and found.why == "wrong digest"
        right = Runner(relay, port, digest(body(3000)), tmp_path)
        assert right.run(Job(OURS, Link(0), 1, 3000)).good


def test_clients_that_do_not_end_are_ended(relay, tmp_path, monkeypatch):
    dead = Runner(relay, 9, "", tmp_path)
    slow = dead.run(Job(LIBCOAP, Link(0), 1, 3000, limit_s=0.6))
    assert slow.why == "not done after 1 s" and not slow.good
    monkeypatch.setattr(jobs, "SILENCE_S", 0.6)
    assert dead.run(Job(LIBCOAP, Link(0), 1, 3000)).why.startswith("silent since ")


def test_a_client_that_fails_says_why(relay, tmp_path):
    (tmp_path / "coap.py").write_text("raise ValueError('broken on purpose')\n")
    found = Runner(relay, 9, "", tmp_path, tmp_path).run(Job(OURS, Link(0), 1, 3000))
    assert not found.good and "broken on purpose" in found.why


def outcomes(who, seconds, link=LINK, window=1, size=262144, **counts):
    return [Outcome(Job(who, link, seed, size, window), s, counts=counts) for seed, s in enumerate(seconds)]


def found_of(*lists, links=()):
    plan = Plan(262144, (200,), (0.0,), (8, 16), (0, 1), links)
    return Found(plan, sum(lists, []), 0.01, 0.5, 0.6, (1, 1, 2))


def test_ratios_are_to_the_faster_peer_that_always_arrived():
    ours = outcomes(OURS, [6.0, 8.0], window=8)
    both = found_of(outcomes(AIOCOAP, [50.0, 54.0]), outcomes(LIBCOAP, [49.0, 49.0]), ours)
    assert both.mean_s(LINK, AIOCOAP) == 52.0 and both.ratio(LINK, 8) == 7.0
    one_failed = found_of(outcomes(AIOCOAP, [50.0, 55.0]), outcomes(LIBCOAP, [49.0, None]), ours)
    assert one_failed.ratio(LINK, 8) == 7.5
    assert downloads.table(one_failed).rows[0][2:5] == ["52.50", "49.00 (fails 1/2)", "7.00"]
    assert found_of(outcomes(AIOCOAP, [None]), ours).ratio(LINK, 8) is None
    assert found_of(outcomes(AIOCOAP, [50.0]), outcomes(OURS, [6.0, None], window=8)).ratio(LINK, 8) is None


def test_without_delay_and_loss_the_median_counts():
    assert downloads.average(outcomes(OURS, [1.0, 2.0, 9.0], Link(0))) == 2.0
    assert downloads.average(outcomes(OURS, [1.0, 2.0, 9.0])) == 4.0


def test_goals_of_the_downloads_by_hand():
    peers = outcomes(AIOCOAP, [50.0]) + outcomes(LIBCOAP, [52.0])
    quick = found_of(peers, outcomes(OURS, [5.0], window=8), outcomes(OURS, [4.0], window=16))
    told = {goal.what: goal for goal in downloads.goals(quick)}
    assert told["RTT 200 ms, 0% loss, 8 in flight"].found == "10.0 times"
    assert all(goal.met for goal in told.values()) and len(told) == 5
    slow = found_of(peers, outcomes(OURS, [60.0], window=8), outcomes(OURS, [None], window=16))
    missed = {goal.what for goal in downloads.goals(slow) if not goal.met}
    assert missed == {
        "RTT 200 ms, 0% loss, 8 in flight",
        "never slower than a peer, W=8",
        "every download of ours arrives, right digest",
    }


def test_share_of_a_link():
    """1024 of 1024 + 22 + 28 bytes are payload: 60 kbit/s carry 57.2 kbit/s of it."""
    link = Link(600, 0.0, 60_000)
    (half,) = outcomes(OURS, [262144 * 8 / 60_000 * 1074 / 1024 * 2], link, 8, down=256, down_bytes=256 * 1046)
    assert downloads.share(half) == pytest.approx(0.5)
    (goal,) = [goal for goal in downloads.goals(found_of([half], links=(link,))) if "kbit/s" in goal.what]
    assert (goal.found, goal.met) == ("50% (W=8)", False)
    assert downloads.share(outcomes(OURS, [None], link)[0]) is None


def test_the_full_plan_is_the_issues():
    alone, together = downloads.jobs_of(downloads.FULL)
    cells = {(one.link.rtt_ms, one.link.loss) for one in alone + together if not one.link.rate_bit_s}
    assert cells == {(rtt, loss) for rtt in (0, 50, 200, 600) for loss in (0.0, 0.02, 0.05, 0.1)}
    assert {(one.link.rate_bit_s, one.link.rtt_ms) for one in together if one.link.rate_bit_s} == {
        (60_000, 600), (300_000, 150),
    }  # fmt: skip
    assert {one.size for one in alone + together} == {262144}
    assert {one.window for one in together if one.who == OURS} == {1, 4, 8, 16}
    assert {one.who for one in together} == {OURS, AIOCOAP, LIBCOAP}


# --- memory


def test_least_heap_is_found():
    asked = []

    def works(kilobytes):
        asked.append(kilobytes)
        return kilobytes >= 54

    assert memory.least_heap(works) == 54 and len(asked) < 12
    with pytest.raises(Exception, match="not even"):
        memory.least_heap(lambda _: False)


@pytest.mark.skipif(not HAS_32_BIT, reason="no 32-bit MicroPython")
def test_memory_tables(tmp_path):
    sizes = memory.compile_all(tmp_path)
    assert {"coap", "coap.client", "cbor", "net.udp", "device_download"} <= set(sizes) and min(sizes.values()) > 0
    rows = dict(memory.after_import(tmp_path, sizes).rows)
    some, everything = rows["coap: import coap coap.client"], rows["coap: all its modules"]
    flash = sum(size for name, size in sizes.items() if name.split(".")[0] == "coap")
    assert 4000 < some < everything < 4 * flash
    assert rows[f"coap: .mpy files, {sum(n.split('.')[0] == 'coap' for n in sizes)} modules"] == flash
    ((name, peak, own, least),) = memory.in_download(tmp_path, 8192, (4,)).rows
    assert name == "W=4" and own < peak < least * 1024 < 10 * peak


# --- the command and its page


def run_command(*words):
    return CliRunner().invoke(command.bench, list(words))


def test_page(tmp_path):
    done = run_command("--quick", "--only", "cbor", "--output", str(tmp_path / "page.md"))
    assert done.exit_code == 0, done.output
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("# Results of the bench\n") and 'make bench ARGS="--quick --only cbor"' in page
    assert "| cbor.dumps | TEMP | 64 |" in page and "MicroPython v" in page
    assert "CBOR on MicroPython" in done.output
    assert {line.count("|") for line in page.splitlines() if line.startswith("|")} == {8}


def test_status_is_one_when_a_download_of_ours_is_broken(monkeypatch, tmp_path):
    broken = found_of(outcomes(AIOCOAP, [50.0]), outcomes(OURS, [None], window=8))
    monkeypatch.setattr(downloads, "measure", lambda plan, say: broken)
    before = command.RESULTS.read_bytes() if command.RESULTS.exists() else None
    done = run_command("--only", "downloads")
    assert done.exit_code == 1 and "MISSED" in done.output and "fails 1/1" in done.output
    assert (command.RESULTS.read_bytes() if before is not None else None) == before, "a part writes no page"


def test_a_program_that_is_not_there_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(command, "BUILD", tmp_path)
    done = run_command("--quick")
    assert done.exit_code == 1 and "not there: micropython64, micropython32, coap-client" in done.output


def test_tables_and_missed_goals():
    table = report.Table("T", ["name", "n", "x"], [["a", 12345, "1.5"], ["b", 2, "fails 3/3"]], ["A note."])
    lines = ["| name | n | x |", "| --- | ---: | --- |", "| a | 12,345 | 1.5 |", "| b | 2 | fails 3/3 |"]
    assert table.markdown().splitlines() == ["## T", "", *lines, "", "A note."]
    goals = [report.Goal("fine", "2", ">= 1", True), report.Goal("bad", "0", ">= 1", False)]
    assert [row[0] for row in report.goal_table(goals).rows] == ["bad", "fine"]


def test_the_server_runs_as_a_program(tmp_path):
    with downloads.server(100) as port:
        uri = f"coap://127.0.0.1:{port}/fw?offset=40"
        done = subprocess.run([BUILD / "bin" / "coap-client", "-o", tmp_path / "got", uri], timeout=20, check=True)
        assert done.returncode == 0 and (tmp_path / "got").read_bytes() == body(100)[40:]


def test_page_in_the_tree_is_of_a_full_run():
    """What the README quotes: made by the plain command, and no table is missing."""
    page = (REPO / "tools" / "bench" / "RESULTS.md").read_text()
    assert "Written by `make bench`;" in page and "everything;" in page
    for title in ("Goals", "Download of 256 KiB", "Links with a rate", "Encoding and decoding", "CBOR", "Heap after"):
        assert f"## {title}" in page
