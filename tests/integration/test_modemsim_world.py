"""The world around the simulated modem: SIM, network, NAT, peers, track, sky, scenarios (modems.md 7.3, 7.4)."""

import asyncio
import json
import socket

import pytest
from modemsim_bench import ONLINE
from test_modemsim_faults import every_family, run

from godwit.modem import scenario as scenarios
from godwit.modem import track, xtra
from godwit.modem.cells import rsrp_dbm
from godwit.modem.faults import FaultBoard

HARBOUR = (54.4716, 9.0447)


@every_family
def test_sim_states(family):
    async def scenario(bench):
        await bench.plain()
        await bench.at("AT+CEREG=1")
        bench.faults.apply("no_sim")
        await bench.until(b"+CEREG: ")
        for fault, code in (("no_sim", 10), ("sim_failure", 13)):
            bench.faults.clear()
            bench.faults.apply(fault)
            assert (await bench.at("AT+CIMI")).endswith(b"\r\n+CME ERROR: %d\r\n" % code)
        bench.faults.clear()
        await bench.event("attach", 2)
        bench.faults.apply("sim_pin", "1234")
        bench.faults.apply("reboot")
        await bench.event("boot", 2)
        await bench.at("ATE0")
        await bench.at("AT+CMEE=1")
        assert b"+CPIN: SIM PIN" in await bench.at("AT+CPIN?")
        assert b"+CME ERROR: 16" in await bench.at('AT+CPIN="9999"')
        assert (await bench.at('AT+CPIN="1234"')).endswith(b"OK\r\n")
        if family == "nrf91":
            await bench.at("AT+CFUN=1")
        await bench.event("attach", 3)

    run(scenario, family)


@every_family
def test_registration_comes_and_goes(family):
    async def scenario(bench):
        await bench.plain()
        await bench.at("AT+CEREG=3" if family != "sara_r5" else "AT+CEREG=2")
        bench.wire.out.clear()
        bench.faults.apply("cereg_cycle")
        for stat in (2, 4, 5):
            await bench.until(b"\r\n+CEREG: %d" % stat)
        bench.wire.out.clear()
        bench.faults.apply("no_coverage")
        await bench.until(b"\r\n+CEREG: 2")
        bench.faults.clear("no_coverage")
        await bench.until(b"\r\n+CEREG: 1")
        bench.faults.apply("denied", 11)
        await bench.until(b"\r\n+CEREG: 3")
        assert bench.core.radio.emm_cause == 11
        bench.faults.clear("denied")
        await bench.event("attach", 2)

    run(scenario, family)


@every_family
def test_network_and_peer_give_up_in_the_middle_of_a_command(family):
    async def scenario(bench):
        await bench.connected()
        bench.faults.apply("remote_close_on", "AT+CGSN", count=1)
        await bench.at("AT+CGSN")
        assert bench.core.net.get(0).hup
        bench.faults.apply("pdn_deact_on", "AT+CGSN", count=1)
        before = bench.core.radio.ip
        await bench.at("AT+CGSN")
        assert bench.log.counters["pdn_down"] == 1
        assert bench.core.net.all() == [] or bench.core.net.get(0).dead
        async with asyncio.timeout(5):
            while bench.core.radio.ip is None:
                await asyncio.sleep(0.001)
        assert bench.core.radio.ip != before
        bench.faults.apply("pdn_deact")
        assert bench.core.radio.ip is None

    run(scenario, family)


# what is said when peers close: SM by #XAPOLL if asked
CLOSED = {"sara_r5": b"+UUSOCL: 0", "bg95": b'+QIURC: "closed",0', "sim7080": b"+CASTATE: 0,0"}


@pytest.mark.parametrize("family", CLOSED)
def test_remote_close(family):
    async def scenario(bench):
        await bench.connected()
        bench.faults.apply("remote_close")
        await bench.until(b"\r\n%s\r\n" % CLOSED[family])

    run(scenario, family)


@pytest.fixture
def peer():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


@every_family
def test_nat_forgets_who_is_silent(family, peer):
    """A datagram after a pause comes from another port; what goes to the old one is lost."""

    async def heard():
        return await asyncio.to_thread(peer.recvfrom, 100)

    async def scenario(bench):
        await bench.connected()
        sock = bench.core.net.get(0)
        sources = []
        for pause_s in (0, 10, 100):
            bench.clock.skip(pause_s)
            if pause_s == 100:
                peer.sendto(b"too late", sources[-1])
                await asyncio.sleep(0.02)
                assert not sock.queue
            sock.send(b"x")
            sources.append((await heard())[1])
        assert sources[0] == sources[1] != sources[2]
        bench.faults.apply("nat_rebind")
        sock.send(b"x")
        assert (await heard())[1] != sources[2]

    run(scenario, family, port=peer.getsockname()[1], nat_timeout_s=60)


@every_family
def test_a_full_receive_buffer_loses_datagrams(family, peer):
    said = {"bg95": b"incoming full", "sim7080": b'+CAURC: "buffer full"'}

    async def scenario(bench):
        await bench.connected()
        sock = bench.core.net.get(0)
        bench.faults.apply("rx_full", count=1)
        sock.deliver(b"lost", ("192.0.2.10", 5683))
        await asyncio.sleep(0.005)
        assert bench.log.counters["datagrams_overflow"] == 1 and not sock.queue
        assert said.get(family, b"") in bench.wire.out
        sock.deliver(b"kept", ("192.0.2.10", 5683))
        assert sock.queue or family == "nrf91"

    run(scenario, family)


# family -> commands that lead to a handshake, and what says that it has failed
SECURE = {
    "nrf91": (("AT#XSSOCKET=1,2,0,1,0", 'AT#XCONNECT=0,"a.example",5683'), b"\r\nERROR\r\n"),
    "sara_r5": ((*ONLINE["sara_r5"][:4], "AT+USECPRF=0", "AT+USECPRF=0,0,0", "AT+USOSEC=0,1,0",
                 'AT+USOCO=0,"192.0.2.10",5683'), b"+CME ERROR"),
    "bg95": (("AT+QIACT=1", 'AT+QSSLCFG="dtls",1,1', 'AT+QSSLCFG="seclevel",1,0', 'AT+QSSLCFG="negotiatetime",1,10',
              'AT+QSSLOPEN=1,1,0,"a.example",5683,0'), b"+QSSLOPEN: 0,5"),
    "sim7080": (("AT+CNACT=0,1", 'AT+CSSLCFG="SSLVERSION",0,5', 'AT+CASSLCFG=0,"SSL",1',
                 'AT+CAOPEN=0,0,"UDP","a.example",5683'), b"+CAOPEN: 0,27"),
}


@every_family
@pytest.mark.parametrize("fault", ["dtls_alert", "dtls_silent"])
def test_handshakes_that_fail(family, fault):
    commands, failure = SECURE[family]

    async def scenario(bench):
        await bench.plain()
        bench.faults.apply(**{"name": fault})
        for command in commands[:-1]:
            assert (await bench.at(command)).endswith(b"OK\r\n"), command
            if "ACT" in command or "UPSDA" in command:
                await bench.event("pdn_up")
        bench.write(commands[-1].encode() + b"\r")
        await bench.until(failure, timeout_s=20)
        assert bench.log.counters["dtls_failed"] == 1
        assert bench.log.counters["datagrams_up"] == 0

    run(scenario, family)


@every_family
def test_neighbours_that_fail_or_are_too_many(family):
    commands = {"nrf91": "AT%NCELLMEAS", "bg95": 'AT+QENG="neighbourcell"', "sim7080": "AT+CENG?"}
    if family not in commands:
        pytest.skip("reports no neighbours")

    async def scenario(bench):
        await bench.plain()
        if family == "sim7080":
            await bench.at("AT+CENG=1,1")
        bench.faults.apply("ncell_big", count=1)
        bench.write(commands[family].encode() + b"\r")
        async with asyncio.timeout(5):
            while len(bench.wire.out) < 3500:
                await asyncio.sleep(0.001)
        await bench.said()
        bench.faults.apply("ncell_fail", count=1)
        bench.write(commands[family].encode() + b"\r")
        await bench.until(*((b"%NCELLMEAS: 1",) if family == "nrf91" else (b"\r\nERROR\r\n", b"\r\nOK\r\n")))
        assert b"1300,251" not in bench.wire.out

    run(scenario, family)


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


@pytest.mark.parametrize("text", ["", "0,91,0\n", "0,1\n", "a,1,2\n", "5,1,2\n5,1,2\n", "0,1,2,3,4,5\n", "0,1,2,3,x\n"])
def test_a_file_that_is_not_a_track(tmp_path, text):
    (tmp_path / "track").write_text(text)
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


# the sky


def test_what_helps_how_much():
    """Seconds to the first fix by what the receiver was told."""

    async def scenario(bench):
        gnss, now = bench.core.gnss, bench.core.gnss.now_s()
        found = [gnss.time_to_fix()]
        assert not gnss.hint_time(now + 3600)  # an hour wrong is no help
        found.append(gnss.time_to_fix())
        assert gnss.hint_time(now + 1)
        found.append(gnss.time_to_fix())
        assert gnss.hint_position(*HARBOUR) and not gnss.hint_position(91, 0)
        found.append(gnss.time_to_fix())
        gnss.load_xtra(xtra.make(int(now) - 60, 72))
        found.append(gnss.time_to_fix())
        gnss.load_xtra(xtra.make(int(now) - 73 * 3600, 72))
        found.append(gnss.time_to_fix())
        assert found == [35, 35, 30, 25, 9, 25]
        with pytest.raises(xtra.XtraError):
            gnss.load_xtra(b"\0" * 100)

    run(scenario, "bg95")


def test_receivers_without_a_fix_and_with_a_wrong_date():
    async def scenario(bench):
        await bench.at("ATE0")
        await bench.at("AT+CFUN=0")
        bench.faults.apply("no_fix")
        await bench.at("AT+CGNSPWR=1")
        bench.clock.skip(100)
        await asyncio.sleep(0.05)
        assert (await bench.at("AT+CGNSINF")).startswith(b"\r\n+CGNSINF: 1,0,")
        bench.faults.clear("no_fix")
        bench.faults.apply("week_rollover")
        await bench.event("gnss_fix")
        assert (await bench.at("AT+CGNSINF")).startswith(b"\r\n+CGNSINF: 1,1,20070")
        assert bench.core.counters()["gnss_on_ms"] > 100_000

    run(scenario, "sim7080", faults=("week_rollover",))


# counters


@every_family
def test_bytes_and_radio_time_are_counted(family):
    async def scenario(bench):
        await bench.connected()
        counted = bench.core.counters()
        assert counted["uart_in"] > 30 and counted["uart_out"] > 30
        before = counted["rrc_connected_ms"]
        bench.core.net.get(0).send(b"x" * 100)
        bench.clock.skip(2)
        await asyncio.sleep(0.01)
        counted = bench.core.counters()
        assert counted["bytes_up"] == 100 and counted["rrc_connected_ms"] >= before

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


# power lines


def test_dtr_lets_a_simcom_sleep_and_wakes_it():
    async def scenario(bench):
        await bench.plain()
        bench.faults.apply("dtr", 0)
        assert (await bench.at("AT")).endswith(b"OK\r\n")  # it was not allowed to
        await bench.at("AT+CSCLK=1")
        bench.faults.apply("dtr", 0)
        bench.write(b"AT\r")
        assert await bench.said() == b""
        bench.faults.apply("dtr", 1)
        assert await bench.at("AT") == b"\r\nOK\r\n"  # nothing was forgotten, the echo neither
        bench.faults.apply("pwrkey")
        bench.write(b"AT\r")
        assert await bench.said() == b""
        bench.faults.apply("pwrkey")
        await bench.event("boot", 2)

    run(scenario, "sim7080")


def test_datagrams_that_take_their_time(peer):
    async def scenario(bench):
        await bench.connected()
        bench.faults.apply("delay", 80)
        peer.setblocking(False)
        bench.core.net.get(0).send(b"x")
        await asyncio.sleep(0.02)
        with pytest.raises(BlockingIOError):
            peer.recvfrom(100)
        peer.setblocking(True)
        peer.settimeout(5)
        assert (await asyncio.to_thread(peer.recvfrom, 100))[0] == b"x"

    run(scenario, port=peer.getsockname()[1])
