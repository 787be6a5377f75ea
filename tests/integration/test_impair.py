"""The impairment proxy: what it decides (pure, no clock), and that its datagrams arrive as decided."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from godwit.impair import Direction, Impairment, Relay, Settings
from godwit.places import REPO

pytestmark = pytest.mark.limit(30)


def fates(count=2000, size=100, seed=1, step=1.0, **settings):
    """[arrival times since sending, ..] of `count` datagrams, one every `step` seconds."""
    direction = Direction(Settings(**settings), seed)
    return [[due - k * step for due in direction.fate(k * step, size)] for k in range(count)], direction.counts


def lost(found):
    return {k for k, dues in enumerate(found) if not dues}


# --- Direction


def test_a_perfect_link_does_nothing():
    found, counts = fates(10)
    assert found == [[0.0]] * 10
    assert counts == {
        "datagrams": 10, "bytes": 1000, "passed": 10, "passed_bytes": 1000,
        "lost": 0, "overflow": 0, "doubled": 0, "late": 0,
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_probabilities_are_met_and_counted(seed):
    found, counts = fates(20000, seed=seed, loss=0.1, double=0.05, late=0.02, late_s=0.4, delay_s=0.1)
    assert counts["lost"] == len(lost(found)) and 1800 < counts["lost"] < 2200
    arrived = [dues for dues in found if dues]
    assert counts["doubled"] == sum(len(dues) == 2 for dues in arrived) and 800 < counts["doubled"] < 1000
    assert counts["late"] == sum(dues[0] > 0.3 for dues in arrived) and 300 < counts["late"] < 420
    assert {round(dues[0], 6) for dues in arrived} == {0.1, 0.5}
    assert {round(dues[1] - dues[0], 6) for dues in arrived if len(dues) == 2} == {0.005}


def test_the_same_seed_gives_the_same_fates_and_another_does_not():
    how = {"loss": 0.1, "jitter_s": 0.05, "late": 0.1}
    assert fates(seed=7, **how) == fates(seed=7, **how)
    assert lost(fates(seed=7, **how)[0]) != lost(fates(seed=8, **how)[0])


def test_a_fate_depends_on_nothing_but_the_number_of_the_datagram():
    """So that peers of different speed and size meet the same losses, and a worse link loses the same and more."""
    few = lost(fates(loss=0.02)[0])
    assert few and few < lost(fates(loss=0.1)[0])
    assert few == lost(fates(loss=0.02, size=1000, step=0.01, double=0.5, late=0.5, jitter_s=0.3)[0])


def test_jitter_is_within_its_bounds():
    found, _ = fates(delay_s=0.1, jitter_s=0.05)
    delays = [dues[0] for dues in found]
    assert 0.1 <= min(delays) < 0.105 and 0.145 < max(delays) <= 0.15


def test_rate_and_queue():
    """1000 bit/s, 97 + 28 bytes each: one second a datagram. Of ten at once, what does not fit is dropped."""
    direction = Direction(Settings(rate_bit_s=1000, queue_bytes=500, delay_s=0.25), 1)
    found = [direction.fate(0.0, 97) for _ in range(10)]
    assert found[:4] == [[1.25], [2.25], [3.25], [4.25]] and found[4:] == [[]] * 6
    assert direction.counts["overflow"] == 6 and direction.counts["lost"] == 0
    assert direction.fate(1.0, 97) == [5.25], "one has left, so there is room for one"
    assert direction.fate(60.0, 2000) == [60.25 + 2028 * 8 / 1000], "an idle link takes what its queue could not"


def test_headers_may_be_left_out():
    assert Direction(Settings(rate_bit_s=800, headers=0), 1).fate(5.0, 100) == [6.0]


def test_what_is_lost_had_its_time_on_the_link():
    direction = Direction(Settings(rate_bit_s=1000, loss=1.0), 1)
    assert direction.fate(0.0, 97) == []
    direction.settings = Settings(rate_bit_s=1000)
    assert direction.fate(0.0, 97) == [2.0]


# --- the sockets


class Echo:
    """A server that answers every datagram with the sender's port and the datagram itself."""

    def __enter__(self):
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self.address = self._sock.getsockname()
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def _run(self):
        while True:
            data, sender = self._sock.recvfrom(2000)
            if data == b"end":
                return
            self._sock.sendto(b"%d %s" % (sender[1], data), sender)

    def __exit__(self, *_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"end", self.address)


def caller(port, timeout=5):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", port))
    sock.settimeout(timeout)
    return sock


def ask(sock, text):
    """(port that the server saw, the text that came back)."""
    sock.send(text)
    port, _, back = sock.recv(2000).partition(b" ")
    return int(port), back


@pytest.fixture
def echo():
    with Echo() as server:
        yield server


def test_clients_are_told_apart_and_everything_is_counted(echo):
    with Impairment(echo.address) as link, caller(link.port) as one, caller(link.port) as other:
        first, text = ask(one, b"abc")
        second, _ = ask(other, b"de")
        assert text == b"abc" and first != second
        assert ask(one, b"f") == (first, b"f")
        counts = link.counts
    assert (counts["up"], counts["up_bytes"], counts["down"], counts["up_passed"]) == (3, 6, 3, 3)
    assert counts["down_bytes"] == 6 + len(f"{first} {second} {first} ")
    assert counts["lost"] == counts["overflow"] == counts["stray"] == counts["blackout"] == 0


def test_one_direction_may_differ(echo):
    with Impairment(echo.address, down={"loss": 1.0}) as link, caller(link.port, 0.2) as sock:
        with pytest.raises(TimeoutError):
            ask(sock, b"x")
        assert (link.counts["up_passed"], link.counts["down_passed"], link.counts["lost"]) == (1, 0, 1)


def test_chosen_datagrams_are_lost(echo):
    with Impairment(echo.address, dropped=(1, 3)) as link, caller(link.port) as sock:
        for text in (b"1", b"2", b"3", b"4"):
            sock.send(text)
        assert [sock.recv(100).partition(b" ")[2] for _ in range(2)] == [b"2", b"4"]
        assert link.counts["lost"] == 2


def test_reordering(echo):
    """What is late is overtaken; the seed decides which, so the order is known beforehand."""
    settings = {"late": 0.5, "late_s": 0.8}
    plan = Direction(Settings(**settings), "5/up")
    late = [bool(plan.fate(0, 1)[0]) for _ in range(8)]
    assert 1 < sum(late) < 7
    with Impairment(echo.address, seed=5, up=settings) as link, caller(link.port) as sock:
        for k in range(8):
            sock.send(b"%d" % k)
        came = [int(sock.recv(100).split()[1]) for _ in range(8)]
    assert came == sorted(range(8), key=lambda k: (late[k], k))


def test_blackout_and_rebinding(echo):
    with Impairment(echo.address, delay_s=0.02) as link, caller(link.port) as sock:
        before, _ = ask(sock, b"a")
        link.blackout = True
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            ask(sock, b"lost")
        link.blackout = False
        sock.settimeout(5)
        link.rebind()
        after, text = ask(sock, b"b")
        assert after != before and text == b"b"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:  # what still comes to the old port leads nowhere
            late.sendto(b"x", ("127.0.0.1", before))
            ask(sock, b"c")
        assert (link.counts["blackout"], link.counts["stray"]) == (1, 0), "only the server may send to it"


def test_answers_to_the_old_address_are_dropped():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        with Impairment(server.getsockname()) as link, caller(link.port) as sock:
            sock.send(b"a")
            _, old = server.recvfrom(100)
            link.rebind()
            server.sendto(b"to nobody", old)
            sock.send(b"b")
            _, new = server.recvfrom(100)
            server.sendto(b"answer", new)
            assert new != old and sock.recv(100) == b"answer"
            while not link.counts["stray"]:
                time.sleep(0.01)  # bounded by the limit of this file
            assert link.counts["down"] == 1


def test_many_links_on_one_thread(echo):
    with Relay() as relay:
        links = [Impairment(echo.address, relay=relay, delay_s=0.01 * k, seed=k) for k in range(20)]
        for link in links:
            link.__enter__()
        before = threading.active_count()
        socks = [caller(link.port) for link in links]
        for sock in socks:
            for _ in range(10):
                sock.send(b"x")
        for sock in socks:
            for _ in range(10):
                assert sock.recv(100).endswith(b" x")
            sock.close()
        assert threading.active_count() == before
        assert relay.lateness_ms(1.0) >= relay.lateness_ms(0.5) >= 1
        for link in links:
            link.__exit__(None, None, None)
    assert all(link.counts["down_passed"] == 10 for link in links)


def test_a_server_that_is_away_harms_nobody():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with Impairment(("127.0.0.1", port)) as link, caller(link.port, 0.1) as sock:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                ask(sock, b"x")
        assert link.counts["up"] == 3


def test_the_seed_of_a_failure_is_printed(echo, capsys):
    with pytest.raises(ValueError):
        with Impairment(echo.address, seed=4711, loss=0.25):
            raise ValueError
    told = capsys.readouterr().err
    assert "seed 4711" in told and "loss=0.25" in told
    with Impairment(echo.address, seed=4711):
        pass
    assert capsys.readouterr().err == ""


# --- the command


def command(*words, **how):
    line = [sys.executable, "-m", "godwit", "impair", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(line, cwd=REPO / "tools", **pipes, **how)


def test_command(echo):
    running = command("--server", "127.0.0.1:%d" % echo.address[1], "--seed", 3, "--rtt", 10, "--rebind", 60)
    try:
        told = json.loads(running.stdout.readline())
        assert told["seed"] == 3 and told["delay_s"] == 0.005 and told["listen"].startswith("127.0.0.1:")
        with caller(int(told["listen"].rpartition(":")[2])) as sock:
            assert ask(sock, b"hello")[1] == b"hello"
        running.send_signal(signal.SIGTERM)
        rest, errors = running.communicate(timeout=10)
        assert running.returncode == 0 and errors == ""
        counts = json.loads(rest)
        assert (counts["up"], counts["up_bytes"], counts["down"]) == (1, 5, 1)
    finally:
        running.kill()
        running.communicate()


def test_command_takes_a_seed_and_ends_by_itself():
    seeds = []
    for _ in range(2):
        running = command("--server", "127.0.0.1:9", "--blackout", "0:0.01", "--seconds", 0.05)
        out, errors = running.communicate(timeout=10)
        assert errors == "" and len(out.splitlines()) == 2
        seeds.append(json.loads(out.splitlines()[0])["seed"])
    assert seeds[0] != seeds[1]


@pytest.mark.parametrize("words, status, said", [
    (["--server", "nowhere"], 2, "nowhere: not HOST:PORT"),
    (["--server", "127.0.0.1:9", "--loss", "5"], 2, "5.0 is not in the range"),
    (["--server", "127.0.0.1:9", "--blackout", "a:b"], 2, "AT:SECONDS"),
    (["--server", "127.0.0.1:9", "--listen", "203.0.113.1:9"], 1, "Error: 203.0.113.1:9: "),
])  # fmt: skip
def test_command_tells_what_is_wrong(words, status, said):
    running = command(*words)
    out, errors = running.communicate(timeout=10)
    assert (running.returncode, out) == (status, "") and said in errors and "Traceback" not in errors
