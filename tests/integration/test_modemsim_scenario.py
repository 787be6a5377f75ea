"""Where the simulated node goes, and what happens to it when: tracks and scenario files (modems.md 7.3, 7.4)."""

import json

import pytest
from modemsim_support import running_modem
from test_modemsim_faults import every_family, run

from godwit.modem import scenario as scenarios
from godwit.modem import track
from godwit.modem.cells import rsrp_dbm
from godwit.modem.faults import FaultBoard

HARBOUR = (54.4716, 9.0447)

# along a track


def test_a_track_has_places_levels_and_holes(tmp_path):
    path = tmp_path / "track.csv"
    path.write_text("# seconds,lat,lon,alt,rsrp\n0,54.4716,9.0447,4\n600,54.4716,9.0447\n1200,52.5,13.4,35,-101\n"
                    "1800,52.6,13.4,35,-\n2400,52.7,13.4,35\n")
    way = track.Track(track.load(path), 1_000_000)

    def at(seconds):
        return way.spot(1_000_000 + seconds * 1000)

    assert (at(0).cell.eci, at(0).cell.rsrp, at(0).speed) == (0x01A2B3C4, 49, 0)  # the harbour's vector
    assert at(900).speed > 100 and 90 < at(900).heading < 180 and at(900).cell.eci != at(0).cell.eci
    assert rsrp_dbm(at(1200).cell.rsrp) == -101 and at(1500).lat == pytest.approx(52.55)
    assert at(1800).cell is None and at(2399).cell is None
    assert at(9999).lat == 52.7 and at(9999).cell == at(2400).cell and len(at(2400).cell.neighbours) == 4


NOT_TRACKS = (
    "\xff", "0,\0", "", "0,91,0\n", "0,1\n", "a,1,2\n", "5,1,2\n5,1,2\n", "0,1,2,3,4,5\n", "0,1,2,3,x\n",
)  # fmt: skip


@pytest.mark.parametrize("text", NOT_TRACKS)
def test_a_file_that_is_not_a_track(tmp_path, text):
    (tmp_path / "track").write_text(text, "latin-1")
    with pytest.raises(track.TrackError):
        track.load(tmp_path / "track")


@every_family
def test_driving_through_a_hole(family):
    """Cell, hole, another cell: the registration follows, the address stays."""
    points = [track.Point(0, *HARBOUR), track.Point(1000, *HARBOUR, rsrp="-"), track.Point(2000, 52.5, 13.4)]

    async def scenario(bench):
        bench.core._route = track.Track(points, bench.clock.now_ms())
        await bench.plain()
        await bench.at("AT+CEREG=2")
        before = bench.core.radio.ip
        bench.clock.skip(1000)
        await bench.until(b"\r\n+CEREG: 2")
        bench.clock.skip(1000)
        await bench.until(b"\r\n+CEREG: 1", b"\r\n+CEREG: 5")
        assert bench.core.radio.ip == before and bench.core.radio.cell.eci >> 24 == 2
        assert bench.log.counters["coverage_lost"] == bench.log.counters["coverage_found"] == 1

    run(scenario, family)


# scenarios


def test_scenario_at_a_time_a_command_a_phase_an_event_and_a_byte(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text("""
[[rules]]
when = {command = "AT+CGSN", nth = 2}
do = {error = {arg = "AT+CGSN", count = 1}}
[[rules]]
when = {phase = "attach"}
do = {denied = 13}
[[rules]]
when = {event = "denied"}
do = {denied = false}
[[rules]]
when = {at = 5000}
do = {echo = true, reboot = true}
""")

    async def scenario(bench):
        bench.core.play(scenarios.load(path))
        assert b"352656100000001" in await bench.at("AT+CGSN")
        assert await bench.at("AT+CGSN") == b"\r\nERROR\r\n"
        assert b"352656100000001" in await bench.at("AT+CGSN")
        await bench.at("AT+CEREG=5")
        await bench.at("AT+CFUN=1")
        await bench.until(b"+CEREG: 3,\"5A10\",\"01A2B3C4\",7,0,13")
        await bench.event("attach")
        bench.clock.skip(5000)
        await bench.event("boot", 2)
        assert bench.core.scenario.left() == []
        assert (await bench.at("AT")).endswith(b"AT\r\r\nOK\r\n")

    run(scenario)


@every_family
def test_scenario_at_a_byte(family):
    async def scenario(bench):
        await bench.plain()
        bench.core.play(scenarios.load_rules([
            {"when": {"byte": 10}, "do": {"reboot": True}},
            {"when": {"byte": 12, "direction": "in"}, "do": {"mute": {"arg": "AT", "count": 1}}}], "test"))
        bench.write(b"AT+CGSN\r")
        await bench.event("boot", 2)
        assert bytes(bench.wire.out).startswith(b"\r\n3526561") and b"\r\n35265610" not in bench.wire.out
        bench.write(b"ATE0\r")
        assert b"OK" not in await bench.said()

    run(scenario, family)


BAD_RULES = (
    {}, {"when": {}, "do": {"echo": True}}, {"when": {"at": 1}, "do": {}}, {"when": {"at": -1}, "do": {"echo": True}},
    {"when": {"at": 1, "nth": 2}, "do": {"echo": True}}, {"when": {"phase": "lunch"}, "do": {"echo": True}},
    {"when": {"byte": 0}, "do": {"echo": True}}, {"when": {"byte": 1, "direction": "up"}, "do": {"echo": True}},
    {"when": {"command": "AT", "nth": 0}, "do": {"echo": True}}, {"when": {"at": 1}, "do": {"nonsense": True}},
    {"when": {"at": 1}, "do": {"mute": True}}, {"when": {"at": 1}, "do": {"drop": "much"}},
    {"when": {"at": 1}, "do": {"echo": {"count": 0}}}, {"when": {"at": True}, "do": {"echo": True}},
)  # fmt: skip


@pytest.mark.parametrize("rule", BAD_RULES)
def test_a_scenario_that_says_nothing_we_know(tmp_path, rule):
    (tmp_path / "s.json").write_text(json.dumps([rule]))
    with pytest.raises(scenarios.ScenarioError):
        scenarios.load(tmp_path / "s.json")


def test_the_board_refuses_what_does_not_fit():
    for name, arg in (("urc_inside", "nowhere"), ("length", "x"), ("late", "AT:x"), ("reboot_on", None)):
        with pytest.raises(ValueError, match=name):
            FaultBoard().apply(name, arg)


def test_the_options_of_the_program(tmp_path):
    """Track, NAT timeout and scenario of a whole process; counters and what is left of the scenario, by the socket."""
    (tmp_path / "way.csv").write_text("0,52.5,13.4\n")
    (tmp_path / "s.json").write_text(json.dumps([{"when": {"phase": "attach"}, "do": {"urc_lost": 0.0}},
                                                 {"when": {"at": 1e6}, "do": {"reboot": True}}]))
    with running_modem(tmp_path, "--family", "bg95", "--speed", 100, "--track", tmp_path / "way.csv",
                       "--nat-timeout", 60, "--scenario", tmp_path / "s.json", ready=False) as modem:
        assert modem.event("attach")["eci"] >> 24 == 2
        assert modem.ask(get="scenario")["left"] == [{"when": {"at": 1e6}, "do": {"reboot": True}}]
        assert modem.ask(get="counters")["counters"]["uart_out"] > 0
        assert modem.ask(get="state")["faults"] == {"urc_lost": 0.0}


def test_options_that_cannot_be_honoured_are_one_line(tmp_path):
    (tmp_path / "bad").write_text("{")
    for option in (("--track", tmp_path / "bad"), ("--track", tmp_path / "none"), ("--scenario", tmp_path / "bad"),
                   ("--file", f"a={tmp_path / 'none'}"), ("--nat-timeout", "-1")):
        with pytest.raises(AssertionError) as caught:
            with running_modem(tmp_path, *option):
                pass
        assert "Error: " in str(caught.value) and "Traceback" not in str(caught.value)
