"""The world around the simulated modem: SIM, network, NAT, peers, sky, power (modems.md 7.3, 7.4)."""

import asyncio
import socket

import pytest
from modemsim_bench import ONLINE
from test_modemsim_faults import every_family, run

from godwit.modem import xtra

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


@every_family
def test_an_attach_brings_another_address(family):
    async def scenario(bench):
        await bench.connected()
        before = bench.core.radio.ip
        await bench.at("AT+CFUN=4")
        assert bench.core.radio.ip is None
        await bench.at("AT+CFUN=1")
        async with asyncio.timeout(5):
            while bench.core.radio.ip is None:
                await asyncio.sleep(0.001)
        assert bench.core.radio.ip != before

    run(scenario, family)


@every_family
def test_signal_and_supply(family):
    async def scenario(bench):
        await bench.plain()
        bench.faults.apply("signal", -120)
        assert b"+CESQ: 99,99,255,255,20,21\r\n" in await bench.at("AT+CESQ")
        bench.wire.out.clear()
        bench.faults.apply("brownout")
        said = b"\r\nUNDER-VOLTAGE WARNNING\r\n\r\nUNDER-VOLTAGE POWER DOWN\r\n"
        assert await bench.said() == (said if family == "sim7080" else b"")
        bench.write(b"AT\r")
        assert await bench.said() == b""
        bench.faults.apply("pwrkey")
        await bench.event("boot", 2)

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


NEIGHBOURS = {"nrf91": "AT%NCELLMEAS", "bg95": 'AT+QENG="neighbourcell"', "sim7080": "AT+CENG?"}


@pytest.mark.parametrize("family", NEIGHBOURS)
def test_neighbours_that_fail_or_are_too_many(family):
    async def scenario(bench):
        await bench.plain()
        if family == "sim7080":
            await bench.at("AT+CENG=1,1")
        bench.faults.apply("ncell_big", count=1)
        bench.write(NEIGHBOURS[family].encode() + b"\r")
        async with asyncio.timeout(5):
            while len(bench.wire.out) < 3500:
                await asyncio.sleep(0.001)
        await bench.said()
        bench.faults.apply("ncell_fail", count=1)
        bench.write(NEIGHBOURS[family].encode() + b"\r")
        await bench.until(*((b"%NCELLMEAS: 1",) if family == "nrf91" else (b"\r\nERROR\r\n", b"\r\nOK\r\n")))
        assert b"1300,251" not in bench.wire.out

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


def test_datagrams_that_overtake_each_other(peer):
    async def scenario(bench):
        await bench.connected()
        bench.faults.apply("reorder", 1.0, count=1)
        for data in (b"first", b"second"):
            bench.core.net.get(0).send(data)
        assert [(await asyncio.to_thread(peer.recvfrom, 100))[0] for _ in range(2)] == [b"second", b"first"]

    run(scenario, port=peer.getsockname()[1], timing={"rrc_setup": 0})


def test_datagrams_that_take_their_time(peer):
    async def scenario(bench):
        await bench.connected()
        bench.faults.apply("delay", 80)
        before = asyncio.get_running_loop().time()
        bench.core.net.get(0).send(b"x")
        assert (await asyncio.to_thread(peer.recvfrom, 100))[0] == b"x"
        assert asyncio.get_running_loop().time() - before >= 0.08

    run(scenario, port=peer.getsockname()[1])
