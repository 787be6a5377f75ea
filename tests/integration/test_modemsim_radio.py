"""Attach, cells and time of the simulated modem (modems.md 2A.3 - 2A.5, 2A.9, 7.4), and its sockets' death and life."""

import re
import time

import pytest
from modemsim_support import running_modem

from godwit.modem import cells, generic_format
from godwit.modem.clock import SimClock
from godwit.modem.sm import format as fmt
from godwit.modem.timing import active_time_s, periodic_time_s
from godwit.world import World

FAST = ("--speed", "100", "--place", "harbour")
VECTOR_A = (r'%NCELLMEAS: 0,"01A2B3C4","26201","5A10",65535,1300,417,49,20,\d+,1300,251,33,4,0,6300,107,26,14,25')
VECTOR_B = (r'%NCELLMEAS: 0,"01A2B3C4","26201","5A10",50,\d+,1300,417,49,20,\d+,1,0,'
            r'"00C0FFEE","26202","5A11",65535,0,6300,33,41,15,\d+,0,0')


@pytest.fixture
def modem(tmp_path):
    with running_modem(tmp_path, *FAST) as running:
        yield running


def test_index_conversions():
    for index, dbm in ((49, -92), (97, -44), (27, -114), (-5, -145), (33, -108), (26, -115), (0, -140), (255, None)):
        assert cells.rsrp_dbm(index) == dbm
    for index, db in ((27, -6.5), (34, -3), (14, -13), (-3, -21), (20, -10), (4, -18), (255, None)):
        assert cells.rsrq_db(index) == db
    assert (cells.snr_db(39), cells.snr_db(127)) == (15, None)


def test_timer_codecs():
    for bits, seconds in (("00100001", 3600), ("00101000", 28800), ("01000001", 36000), ("10100011", 180),
                          ("01001000", 288000), ("10000101", 150), ("11100000", 0)):
        assert periodic_time_s(bits) == seconds
    for bits, seconds in (("00000011", 6), ("00000101", 10), ("00100001", 60), ("01000011", 1080), ("11100000", None)):
        assert active_time_s(bits) == seconds


def test_time_formats():
    """The sample of modems.md 2A.10: 2026-01-02 03:04:05 UTC, two hours ahead."""
    now_ms = 1767323045000
    assert generic_format.local_time(now_ms) == '+CCLK: "26/01/02,05:04:05+08"'
    assert fmt.xtime(now_ms) == '%XTIME: "80","62102030405080","00"'
    assert generic_format.parse_local_time("26/01/02,05:04:05+08") == 1767323045


def test_route_is_a_day():
    route, day = cells.Route(), 86400_000
    spots = [route.spot(20000 * day + minute * 60_000) for minute in range(1440)]
    assert {spot.cell.eci for spot in spots} == {place[4].eci for place in cells.PLACES}
    for a, b in zip(spots, spots[1:]):
        assert abs(a.lat - b.lat) * 111_200 < 600 and b.speed < 12  # no jump, no aeroplane
    assert {spot.place for spot in spots if spot.speed == 0} == {place[0] for place in cells.PLACES}
    assert all(-17 <= spot.cell.rsrp <= 97 for spot in spots)


def test_vectors_and_parity(tmp_path):
    with running_modem(tmp_path, *FAST, "--timing", "rrc_inactivity=0.3") as modem:
        modem.attach()
        check_vectors(modem.terminal)


def check_vectors(terminal):
    terminal.ok("AT+CSCON=1")
    terminal.until(b"+CSCON: 0\r\n")
    terminal.ok("AT%NCELLMEAS")
    assert re.fullmatch(VECTOR_A, terminal.until(b"25\r\n").decode().strip())
    terminal.ok("AT%NCELLMEAS=3,2")
    assert re.fullmatch(VECTOR_B, terminal.until(b",0,0\r\n").decode().strip())
    (monitor,) = terminal.ok("AT%XMONITOR")
    assert monitor.startswith('%XMONITOR: 1,"Netz","Netz","26201","5A10",7,3,"01A2B3C4",417,1300,49,39,""')
    assert terminal.ok("AT+CESQ") == ["+CESQ: 99,99,255,255,20,49"]
    assert terminal.ok("AT%CONEVAL") == ['%CONEVAL: 0,0,7,49,20,39,"01A2B3C4","26201",417,1300,3,0,0,10,1,1,107']
    assert terminal.ok("AT+COPS?") == ['+COPS: 0,2,"26201",7']


def test_measurement_rules(modem):
    terminal = modem.terminal
    assert terminal.at("AT%NCELLMEAS") == "\r\nERROR\r\n"  # LTE is off
    modem.attach()
    modem.ask(fault="ncell_fail", count=1)
    terminal.ok("AT%NCELLMEAS")
    assert terminal.at("AT%NCELLMEAS") == "\r\nERROR\r\n"  # one is running
    terminal.until(b"%NCELLMEAS: 1\r\n")
    # Extended searches carry the neighbours; while connected the advance is known, with its time.
    terminal.ok("AT%NCELLMEAS=4,3")
    line = terminal.until(b"%NCELLMEAS: 0") + terminal.until(b"\r\n")
    assert b",1,2,1300,251,33,4,0,6300,107,26,14,25," in line
    terminal.ok("AT%NCELLMEAS=5")
    terminal.ok("AT%NCELLMEASSTOP")
    assert modem.ask(get="state")["stat"] == 1


def test_attach_announces_in_order(modem):
    terminal = modem.terminal
    for command in ("AT+CEREG=5", "AT+CSCON=1", "AT+CGEREP=1", "AT%MDMEV=1", "AT%XTIME=1"):
        terminal.ok(command)
    assert terminal.at("AT+CCLK?") == "\r\nERROR\r\n"
    terminal.ok("AT+CFUN=1")
    text = terminal.until(b"ME PDN ACT 0\r\n").decode()
    order = ["%MDMEV: SEARCH STATUS 1", '+CEREG: 2,"5A10","01A2B3C4",7\r\n', "+CSCON: 1",
             '+CEREG: 1,"5A10","01A2B3C4",7,,,"00000101","00100001"\r\n', "%XTIME: ", "+CGEV: ME PDN ACT 0"]
    positions = [text.index(part) for part in order]
    assert positions == sorted(positions)
    assert terminal.ok("AT+CEREG?") == ['+CEREG: 5,1,"5A10","01A2B3C4",7,,,"00000101","00100001"']
    (clock,) = terminal.ok("AT+CCLK?")
    assert abs(generic_format.parse_local_time(clock.split('"')[1]) - modem.ask(get="state")["now_ms"] / 1000) < 30
    terminal.ok("AT+CFUN=4")
    text = (terminal.until(b"+CSCON: 0\r\n") + terminal.quiet()).decode()
    assert "+CEREG: 0\r\n" in text and "ME DETACH" in text
    terminal.ok("AT+CFUN=0")
    assert terminal.ok("AT+CEREG?") == ["+CEREG: 0,0"]  # reporting does not survive CFUN=0


def test_denied_and_no_coverage(modem):
    terminal = modem.terminal
    modem.ask(fault="denied", arg=11, count=1)
    for command in ("AT+CEREG=5", "AT+CNEC=24", "AT+CFUN=1"):
        terminal.ok(command)
    terminal.until(b'+CEREG: 3,"5A10","01A2B3C4",7,0,11\r\n')
    terminal.until(b"+CNEC_EMM: 11\r\n")
    assert terminal.ok("AT%XMONITOR") == ["%XMONITOR: 3"]
    terminal.ok("AT+CFUN=4")
    modem.ask(fault="no_coverage")
    terminal.ok("AT+CFUN=1")
    terminal.until(b"+CEREG: 4\r\n")
    modem.ask(clear="no_coverage")
    terminal.until(b"+CEREG: 1,")


def test_sim_and_lost_urcs(modem):
    terminal = modem.terminal
    modem.ask(fault="no_sim")
    terminal.ok("AT+CEREG=5")
    terminal.ok("AT+CFUN=1")
    terminal.until(b"+CEREG: 90\r\n")
    assert terminal.at("AT+CPIN?") == terminal.at("AT+CIMI") == terminal.at("AT%XICCID") == "\r\nERROR\r\n"
    terminal.ok("AT+CFUN=4")
    modem.ask(clear="no_sim")
    modem.ask(fault="urc_lost", arg=1.0)
    terminal.ok("AT+CFUN=1")
    modem.event("pdn_up")
    assert terminal.quiet(0.05).count(b"+CEREG: 1") == 0
    assert terminal.ok("AT+CEREG?")[0].startswith("+CEREG: 5,1,")  # asking helps


def test_release_assistance_shortens_the_connection(tmp_path):
    """The modem counts connected time, which is what a node pays for."""

    def connected_ms(folder, release, value=2):
        folder.mkdir()
        world = World(folder / "world")
        with running_modem(folder, *FAST, "--world", folder / "world") as modem:
            terminal = modem.terminal
            terminal.ok("AT%RAI=1")
            terminal.ok("AT+CSCON=1")
            modem.attach()
            terminal.ok("AT#XSOCKET=1,2,0")
            terminal.ok('AT#XCONNECT=0,"127.0.0.1",9')
            world.advance(10_000)
            terminal.until(b"+CSCON: 0\r\n")
            before = modem.ask(get="counters")["counters"]["rrc_connected_ms"]
            if release and value == 2:  # what is sent next is the last
                terminal.ok("AT#XSOCKETOPT=0,1,61,2")
            terminal.ok('AT#XSEND=0,0,0,"x"')
            terminal.until(b"+CSCON: 1")
            if release:
                terminal.ok('AT#XSEND=0,0,0,"y"' if value == 2 else "AT#XSOCKETOPT=0,1,61,1")
            world.advance(600 if release else 5_100)
            terminal.until(b"+CSCON: 0\r\n")
            return modem.ask(get="counters")["counters"]["rrc_connected_ms"] - before

    plain, released = connected_ms(tmp_path / "a", False), connected_ms(tmp_path / "b", True)
    assert 5_000 <= plain < 6_500 and 500 <= released < 2_000
    assert 500 <= connected_ms(tmp_path / "c", True, 1) < 2_000  # nothing follows: said after the last


def test_pdn_loss_kills_sockets_but_not_kept_ones(modem):
    terminal = modem.terminal
    modem.attach()
    for _ in range(2):
        terminal.ok("AT#XSOCKET=1,2,0")
    terminal.ok("AT#XSOCKETOPT=1,1,34,1")
    for handle in (0, 1):
        terminal.ok(f'AT#XCONNECT={handle},"127.0.0.1",9')
    terminal.ok("AT#XAPOLL=,1,1")
    terminal.ok("AT+CGEREP=1")
    modem.ask(do="pdn_deact")
    terminal.until(b"+CGEV: NW PDN DEACT 0\r\n")
    terminal.until(b"#XAPOLL: 0,16\r\n")
    terminal.until(b"+CGEV: ME PDN ACT 0\r\n")
    assert terminal.at('AT#XSEND=0,0,0,"x"') == "\r\nERROR\r\n"
    assert terminal.ok('AT#XSEND=1,0,0,"x"') == ["#XSEND: 1,0,1"]
    assert terminal.ok("AT#XCLOSE") == ["#XCLOSE: 0,0", "#XCLOSE: 1,0"]


def test_psm_begins_when_the_world_moves_on(tmp_path):
    world = World(tmp_path / "world")
    with running_modem(tmp_path, *FAST, "--world", tmp_path / "world") as modem:
        modem.terminal.ok("AT%XMODEMSLEEP=1,500,10240")
        modem.terminal.ok("AT+CSCON=1")
        modem.attach()
        world.advance(6_000)
        modem.terminal.until(b"+CSCON: 0\r\n")
        world.advance(11_000)
        modem.terminal.until(b"%XMODEMSLEEP: 1,3600000\r\n")
        modem.terminal.ok("AT#XSOCKET=1,2,0")
        modem.terminal.ok('AT#XSENDTO=0,0,0,"127.0.0.1",9,"x"')
        modem.terminal.until(b"%XMODEMSLEEP: 1,0\r\n")
    world.close()


def test_serving_cell_follows_the_time_of_day(tmp_path):
    world = World(tmp_path / "world")
    start = -(world.now_ms() % 86400_000) + 86400_000
    world.advance(start + 6 * 3600_000)
    with running_modem(tmp_path, "--speed", "100", "--world", tmp_path / "world") as modem:
        modem.attach()
        seen = []
        for hours in (0, 4, 4, 4, 5):
            world.advance(hours * 3600_000)
            seen.append(modem.terminal.ok("AT%XMONITOR")[0].split('"')[9])
        assert seen == ["01A2B3C4", "01A2B30A", "01A2C101", "01A2C207", "01A2B3C4"]
    world.close()


def test_compressed_time_is_true_time(tmp_path):
    """At speed 100 an attach takes the world seconds of the table and a hundredth of them for real."""
    with running_modem(tmp_path, *FAST, "--timing", "scan=30") as modem:
        began, world_began = time.monotonic(), modem.event("boot")["t"]
        modem.attach()
        took_world = (modem.event("pdn_up")["t"] - world_began) / 1000
        took_real = time.monotonic() - began
        assert 31 < took_world < 45
        assert took_real < 3


def test_clock_never_jumps_past_a_timer():
    import asyncio

    async def scenario():
        clock, fired = SimClock(World(None), 1000), []
        began = time.monotonic()
        for seconds in (5, 1, 3, 3.001):
            timer = clock.later(seconds, lambda s=seconds: fired.append((s, clock.now_ms())))
            due[seconds] = timer.due_ms
        task = asyncio.create_task(clock.run())
        await clock.sleep(6)
        task.cancel()
        return fired, (time.monotonic() - began) * 1000

    due = {}
    fired, took_ms = asyncio.run(scenario())
    assert [s for s, _ in fired] == [1, 3, 3.001, 5]
    for seconds, at_ms in fired:
        # World time never goes on by more than real time beyond a timer that is due, however slow the machine.
        assert 0 <= at_ms - due[seconds] <= took_ms + 1
