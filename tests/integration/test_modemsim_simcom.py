"""The simulated SIM7080 at the wire: transcript, cells, files, DTLS, GNSS with predictions, power (modems.md 2B)."""

import functools
import http.server
import socket
import threading
import time

import pytest
from modemsim_support import running_modem
from test_modemsim_dtls import HOST, certificates, server  # noqa: F401 a fixture among them

from godwit.modem import xtra

NAME = "coap.example"
XTRA_URL = "http://iot2.xtracloud.net/xtra3gr_72h.bin"
POISON = b"\r\nOK\r\n\r\n+CME ERROR: 3\r\n> \x1a+++\x00\xff"


class Silent(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and keeps quiet about it."""

    def log_message(self, *args):
        pass


@pytest.fixture
def peer():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


def started(tmp_path, *args, speed=100):
    return running_modem(tmp_path, "--family", "sim7080", "--speed", speed, "--place", "harbour", *args, ready=False)


@pytest.fixture
def modem(tmp_path, peer):
    with started(tmp_path, "--resolve", f"{NAME}:5683=127.0.0.1:{peer.getsockname()[1]}") as running:
        yield running


def registered(modem, boots=1):
    """Echo off, numeric errors, a fixed speed, on the network."""
    modem.event("boot", count=boots)
    terminal = modem.terminal
    terminal.write(b"ATE0\r")
    terminal.until(b"ATE0\r\r\nOK\r\n")
    terminal.ok("AT+CMEE=1")
    modem.event("bearer_up", count=boots)
    return terminal


def online(modem):
    terminal = registered(modem)
    terminal.write(b"AT+CNACT=0,1\r")
    terminal.exactly(b"\r\nOK\r\n\r\n+APP PDP: 0,ACTIVE\r\n")
    return terminal


def opened(modem, mode=0):
    terminal = online(modem)
    terminal.write(f'AT+CAOPEN=0,0,"UDP","{NAME}",5683,{mode}\r'.encode())
    terminal.exactly(b"\r\n+CAOPEN: 0,0\r\n\r\nOK\r\n")
    return terminal


def spoken(terminal, peer, data=b"\x40\x01\x12\x34\xb1\x61"):
    """One datagram up; returns where it came from."""
    terminal.write(b"AT+CASEND=0,%d\r" % len(data))
    terminal.exactly(b"\r\n> ")
    terminal.write(data)
    terminal.exactly(b"\r\nOK\r\n")
    got, source = peer.recvfrom(2048)
    assert got == data
    return source


def test_golden_transcript(modem, peer):
    terminal = opened(modem)
    source = spoken(terminal, peer)
    answer = bytes.fromhex("60451234FF0D0A4F4B")
    peer.sendto(answer, source)
    terminal.exactly(b"\r\n+CADATAIND: 0\r\n")
    terminal.write(b"AT+CARECV=0,1460\r")
    terminal.exactly(b"\r\n+CARECV: 9," + answer + b"\r\nOK\r\n")
    terminal.write(b"AT+CARECV=0,1460\r")
    terminal.exactly(b"\r\n+CARECV: 0\r\n\r\nOK\r\n")
    terminal.write(b"AT+CACLOSE=0\r")
    terminal.exactly(b"\r\nOK\r\n")
    assert terminal.at("AT+CACLOSE=0") == "\r\nERROR\r\n"


def test_several_datagrams_are_announced_once_and_come_one_by_one_in_pieces(modem, peer):
    terminal = opened(modem)
    source = spoken(terminal, peer)
    for data in (POISON, b"second"):
        peer.sendto(data, source)
    terminal.exactly(b"\r\n+CADATAIND: 0\r\n")
    terminal.ok("AT+CASRIP=1")
    for piece in (POISON[:10], POISON[10:], b"second"):
        size = 10 if piece == POISON[:10] else 1460
        terminal.write(b"AT+CARECV=0,%d\r" % size)
        terminal.exactly(b'\r\n+CARECV: %d,"192.0.2.10",5683,%s\r\nOK\r\n' % (len(piece), piece))
    assert terminal.quiet() == b""


def test_pushed_datagrams_and_a_full_buffer(modem, peer):
    terminal = opened(modem, mode=1)
    source = spoken(terminal, peer)
    peer.sendto(POISON, source)
    terminal.exactly(b'\r\n+CAURC: "recv",0,%d\r\n%s' % (len(POISON), POISON))
    modem.ask(fault="rx_full", count=1)
    peer.sendto(b"lost", source)
    terminal.exactly(b'\r\n+CAURC: "buffer full"\r\n')


def test_what_cannot_be_opened_or_sent_says_so(modem, peer):
    terminal = registered(modem)
    assert terminal.ok(f'AT+CAOPEN=0,0,"UDP","{NAME}",5683') == ["+CAOPEN: 0,21"]
    terminal.ok("AT+CNACT=0,1")
    terminal.until(b"ACTIVE\r\n")
    assert terminal.ok('AT+CAOPEN=0,0,"UDP","no.such.host",5683') == ["+CAOPEN: 0,20"]
    assert terminal.at(f'AT+CAOPEN=0,0,"TCP","{NAME}",80') == "\r\nERROR\r\n"
    assert terminal.ok("AT+CAOPEN?") == []
    assert terminal.at("AT+CASEND=0,4") == "\r\nERROR\r\n"
    terminal.ok(f'AT+CAOPEN=12,0,"UDP","{NAME}",5683')
    assert terminal.ok("AT+CASTATE?") == ["+CASTATE: 12,1"]
    assert terminal.at(f'AT+CAOPEN=12,0,"UDP","{NAME}",5683') == "\r\nERROR\r\n"
    terminal.write(b"AT+CASEND=12,4,100\r")
    terminal.exactly(b"\r\n> ")
    terminal.write(b"ab")
    terminal.exactly(b"\r\nERROR\r\n")  # the window has closed


def test_lost_bearer_and_remote_close(modem):
    terminal = opened(modem)
    modem.ask(do="remote_close")
    terminal.exactly(b"\r\n+CASTATE: 0,0\r\n")
    assert terminal.at("AT+CASEND=0,4") == "\r\nERROR\r\n"
    terminal.ok("AT+CACLOSE=0")
    terminal.ok(f'AT+CAOPEN=1,0,"UDP","{NAME}",5683')
    modem.ask(do="pdn_deact")
    terminal.exactly(b"\r\n+APP PDP: 0,DEACTIVE\r\n\r\n+CASTATE: 1,0\r\n")
    assert terminal.ok("AT+CNACT?")[0] == '+CNACT: 0,0,"0.0.0.0"'
    modem.event("bearer_up", count=2)
    terminal.ok("AT+CACLOSE=1")
    terminal.ok("AT+CNACT=0,1")
    terminal.exactly(b"\r\n+APP PDP: 0,ACTIVE\r\n")
    assert terminal.ok("AT+CNACT?")[0] == '+CNACT: 0,1,"10.81.7.3"'  # another address than before


def test_cells_are_those_of_the_facts(modem):
    terminal = registered(modem)
    assert terminal.at("AT+CPSI?") == (
        "\r\n+CPSI: LTE CAT-M1,Online,262-01,0x5A10,27440068,417,EUTRAN-BAND3,1300,3,3,-10,-92,-62,18\r\n\r\nOK\r\n")
    terminal.ok("AT+CENG=1,1")
    assert terminal.ok("AT+CENG?") == [
        "+CENG: 1,1,3,LTE CAT-M1",
        '+CENG: 0,"1300,417,-92,-62,-10,15,23056,27440068,262,01,255"',
        '+CENG: 1,"1300,251,-108,-75,-18,3"',
        '+CENG: 2,"6300,107,-115,-80,-13,0"']
    terminal.ok("AT+CEREG=2")
    assert terminal.ok("AT+CEREG?") == ['+CEREG: 2,1,"5A10","01A2B3C4",7']
    assert terminal.ok("AT+CSQ") == ["+CSQ: 25,99"]
    assert terminal.ok("AT+CGNAPN") == ['+CGNAPN: 1,"iot.example"']
    terminal.ok("AT+CFUN=0")
    assert terminal.ok("AT+CPSI?") == ["+CPSI: NO SERVICE,Offline"]


def test_files_survive_a_power_cut(modem):
    terminal = registered(modem)
    assert terminal.at('AT+CFSGFIS=3,"a.bin"') == "\r\nERROR\r\n"  # not open
    terminal.ok("AT+CFSINIT")
    for mode, part in ((0, POISON), (1, b"tail")):
        terminal.write(b'AT+CFSWFILE=3,"a.bin",%d,%d,5000\r' % (mode, len(part)))
        terminal.exactly(b"\r\nDOWNLOAD\r\n")
        terminal.write(part)
        terminal.exactly(b"\r\nOK\r\n")
    modem.ask(do="reset")
    terminal = registered(modem, boots=2)
    terminal.ok("AT+CFSINIT")
    assert terminal.ok('AT+CFSGFIS=3,"a.bin"') == [f"+CFSGFIS: {len(POISON) + 4}"]
    terminal.write(b'AT+CFSRFILE=3,"a.bin",0,1024\r')
    terminal.exactly(b"\r\n+CFSRFILE: %d\r\n%stail\r\nOK\r\n" % (len(POISON) + 4, POISON))
    terminal.ok('AT+CFSDFILE=3,"a.bin"')
    assert terminal.at('AT+CFSGFIS=3,"a.bin"') == "\r\nERROR\r\n"
    assert terminal.at('AT+CFSWFILE=3,"a.bin",0,10241,5000') == "\r\nERROR\r\n"


@pytest.mark.parametrize("name, clock, result", [("server", "network", 0), ("wrong-ca", "network", 24),
                                                ("server", "unset", 24), ("server", "ignored", 0)])
def test_dtls_with_files(tmp_path, certificates, name, clock, result):  # noqa: F811
    with server(certificates, name) as (process, port), started(
            tmp_path, "--resolve", f"{HOST}:5684=127.0.0.1:{port}", "--file", f"ca.pem={certificates / 'ca.pem'}",
            speed=50) as modem:
        terminal = registered(modem)
        if clock == "network":
            terminal.ok("AT+CLTS=1")
            terminal.ok("AT+CFUN=0")
            terminal.ok("AT+CFUN=1")
            terminal.until(b"+CTZV: 8\r\n")
            modem.event("bearer_up", count=2)
        for command in ("AT+CNACT=0,1", 'AT+CSSLCFG="SSLVERSION",0,5', 'AT+CSSLCFG="CONVERT",2,"ca.pem"',
                        f'AT+CSSLCFG="IGNORERTCTIME",0,{int(clock == "ignored")}', 'AT+CASSLCFG=0,"SSL",1',
                        'AT+CASSLCFG=0,"CRINDEX",0', 'AT+CASSLCFG=0,"CACERT","ca.pem"'):
            terminal.ok(command)
        modem.event("pdn_up")
        terminal.quiet(0.05)
        assert terminal.ok(f'AT+CAOPEN=0,0,"UDP","{HOST}",5684', 20) == [f"+CAOPEN: 0,{result}"]
        if result == 0:
            terminal.write(b"AT+CASEND=0,5\r")
            terminal.exactly(b"\r\n> ")
            terminal.write(b"hello")
            terminal.exactly(b"\r\nOK\r\n")
            assert process.stdout.read(5) == b"hello"
            process.stdin.write(b"answer\n")
            process.stdin.flush()
            terminal.exactly(b"\r\n+CADATAIND: 0\r\n")
            terminal.write(b"AT+CARECV=0,1460\r")
            terminal.exactly(b"\r\n+CARECV: 7,answer\n\r\nOK\r\n")


def test_a_certificate_must_be_there_and_be_one(modem):
    terminal = registered(modem)
    assert terminal.at('AT+CSSLCFG="CONVERT",2,"ca.pem"') == "\r\nERROR\r\n"
    assert terminal.at('AT+CASSLCFG=0,"CACERT","ca.pem"') == "\r\nERROR\r\n"
    terminal.ok("AT+CFSINIT")
    terminal.write(b'AT+CFSWFILE=3,"ca.pem",0,5,5000\r')
    terminal.exactly(b"\r\nDOWNLOAD\r\n")
    terminal.write(b"-----")
    terminal.exactly(b"\r\nOK\r\n")
    assert terminal.at('AT+CSSLCFG="CONVERT",2,"ca.pem"') == "\r\nERROR\r\n"


def test_gnss_waits_until_lte_lets_go(modem):
    terminal = online(modem)
    assert terminal.ok("AT+CGNSINF") == ["+CGNSINF: 0," + "," * 16]
    terminal.ok("AT+CGNSPWR=1")
    modem.event("gnss_start")
    time.sleep(0.6)  # a minute: it would have found its satellites
    assert terminal.ok("AT+CGNSINF") == ["+CGNSINF: 1,0" + "," * 16]
    terminal.ok("AT+CNACT=0,0")
    terminal.until(b"DEACTIVE\r\n")
    modem.event("gnss_fix")
    fields = terminal.ok("AT+CGNSINF")[0].removeprefix("+CGNSINF: ").split(",")
    assert len(fields) == 18 and fields[:2] == ["1", "1"]
    assert abs(float(fields[3]) - 54.4716) < 0.001 and abs(float(fields[4]) - 9.0447) < 0.001
    terminal.ok("AT+CGNSPWR=0")
    assert terminal.ok("AT+CGNSINF") == ["+CGNSINF: 0," + "," * 16]


def test_single_shot_and_stream(modem):
    terminal = registered(modem)
    terminal.ok("AT+CFUN=0")
    terminal.ok("AT+SGNSCMD=1,0")
    terminal.until(b"\r\n+SGNSCMD: 1,")
    terminal.quiet(0.05)
    terminal.ok("AT+SGNSCMD=2,1000,0,0")
    terminal.until(b"\r\n+SGNSCMD: 2,")
    terminal.ok("AT+SGNSCMD=0")


def test_predictions_need_a_file_and_the_time(tmp_path):
    now = int(time.time())
    (tmp_path / "xtra").write_bytes(xtra.make(now - 7200, 72))
    with started(tmp_path, "--file", f"{XTRA_URL}={tmp_path / 'xtra'}") as modem:
        terminal = online(modem)
        assert terminal.at("AT+CGNSXTRA") == "\r\n+CGNSXTRA: 0,0,1980/01/06,00:00:00\r\n\r\nOK\r\n"
        terminal.ok("AT+CGNSXTRA=1")
        assert terminal.ok("AT+CGNSCPY") == ["+CGNSCPY: 1"]
        terminal.write(f'AT+HTTPTOFS="{XTRA_URL}","/customer/Xtra3.bin"\r'.encode())
        terminal.exactly(b"\r\nOK\r\n\r\n+HTTPTOFS: 200,14943\r\n")
        assert terminal.ok("AT+CGNSCPY") == ["+CGNSCPY: 0"]
        assert terminal.ok("AT+CFUN=0") == ["+APP PDP: 0,DEACTIVE"]  # it comes before the final result
        terminal.ok("AT+CGNSPWR=1")
        terminal.write(b"AT+CGNSCOLD\r")
        terminal.exactly(b"\r\nOK\r\n\r\n+CGNSXTRA: 2\r\n")  # nobody has told it the time
        for moment, said in ((now - 86400, 2), (now, 0)):  # a day before the file begins; now
            terminal.ok("AT+CCLK=\"%s\"" % time.strftime("%y/%m/%d,%H:%M:%S+00", time.gmtime(moment)))
            terminal.write(b"AT+CGNSCOLD\r")
            terminal.exactly(b"\r\nOK\r\n\r\n+CGNSXTRA: %d\r\n" % said)
        assert modem.events("gnss_start")[-1]["expected_s"] == 12.0
        hours, whole, _ = terminal.ok("AT+CGNSXTRA")[0].removeprefix("+CGNSXTRA: ").split(",", 2)
        assert hours in ("69", "70") and whole == "72"


def test_download_from_a_server(tmp_path):
    """A real one behind a name; what is not there, and what is nobody's name."""
    (tmp_path / "x.bin").write_bytes(POISON)
    handler = functools.partial(Silent, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        try:
            with started(tmp_path, "--resolve", f"files.example:80=127.0.0.1:{site.server_port}") as modem:
                terminal = online(modem)
                for url, said in (("http://files.example/x.bin", b"200,%d" % len(POISON)),
                                  ("http://files.example/y.bin", b"404,0"), ("http://no.such/x.bin", b"603,0")):
                    terminal.write(f'AT+HTTPTOFS="{url}","/customer/x.bin"\r'.encode())
                    terminal.exactly(b"\r\nOK\r\n\r\n+HTTPTOFS: %s\r\n" % said)
                terminal.ok("AT+CFSINIT")
                assert terminal.ok('AT+CFSGFIS=3,"x.bin"') == [f"+CFSGFIS: {len(POISON)}"]
        finally:
            site.shutdown()


def test_power_key_toggles_and_boot_lines_come_at_a_fixed_speed(modem):
    terminal = registered(modem)
    terminal.ok("AT+IPR=115200")
    modem.ask(do="pwrkey")
    terminal.exactly(b"\r\nNORMAL POWER DOWN\r\n")
    terminal.write(b"AT\rAT\r")
    assert terminal.quiet(0.2) == b""
    modem.ask(do="pwrkey")
    terminal.exactly(b"\r\nRDY\r\n\r\n+CFUN: 1\r\n\r\n+CPIN: READY\r\n\r\nSMS Ready\r\n")
    terminal.write(b"AT+CPOWD=1\r")
    terminal.exactly(b"AT+CPOWD=1\r\r\nNORMAL POWER DOWN\r\n")  # the echo is on again; no OK
    modem.ask(do="pwrkey")
    terminal.until(b"SMS Ready\r\n")
    for command in (b"AT+CFUN=1,1", b"AT+CREBOOT"):
        terminal.write(command + b"\r")
        terminal.until(b"\r\nOK\r\n\r\nRDY\r\n")
        terminal.until(b"SMS Ready\r\n")


def test_psm_ends_the_uart_and_the_power_key_brings_it_back(tmp_path, peer):
    with started(tmp_path, "--resolve", f"{NAME}:5683=127.0.0.1:{peer.getsockname()[1]}", "--timing",
                 "rrc_inactivity=0.3") as modem:
        asleep_and_awake(modem)


def asleep_and_awake(modem):
    terminal = opened(modem)
    terminal.ok("AT+IPR=115200")
    terminal.ok("AT+CPSMSTATUS=1")
    terminal.ok('AT+CPSMS=1,,,"00100001","00000001"')
    assert terminal.ok("AT+CPSMRDP") == ["+CPSMRDP: 1,2,3600,2,3600,3600"]
    terminal.ok('AT+CPSMS=1,,,"00100001","00000000"')  # at once: nobody waits for it, so it takes real time
    terminal.until(b'+CPSMSTATUS: "ENTER PSM"\r\n')
    terminal.write(b"AT\r")
    assert terminal.quiet(0.2) == b""
    modem.ask(do="pwrkey")
    modem.event("boot", count=2)
    terminal.write(b"AT\r")
    terminal.until(b"AT\r\r\nOK\r\n")
    assert b"RDY" not in terminal.buffer
    terminal.ok("ATE0")
    assert terminal.ok("AT+CAOPEN?") == []  # volatile things are gone
    modem.event("bearer_up", count=2)
    assert terminal.ok("AT+CGPADDR=1") == ['+CGPADDR: 1,"10.81.7.2"']  # the network has remembered the address
    assert terminal.ok("AT+CPSMS?") == ['+CPSMS: 1,,,"00100001","00000000"']


def test_sim_states(tmp_path):
    with started(tmp_path, "--fault", "sim_pin=1234") as modem:
        modem.event("boot")
        terminal = modem.terminal
        terminal.ok("ATE0")
        terminal.ok("AT+CMEE=1")
        assert terminal.ok("AT+CPIN?") == ["+CPIN: SIM PIN"]
        assert terminal.at("AT+CIMI") == "\r\n+CME ERROR: 11\r\n"
        for wrong, code in (("1", 16), ("2", 16)):
            assert terminal.at(f'AT+CPIN="{wrong}"') == f"\r\n+CME ERROR: {code}\r\n"
        terminal.ok('AT+CPIN="1234"')
        modem.event("bearer_up")
        assert terminal.ok("AT+CPIN?") == ["+CPIN: READY"]
        modem.ask(do="reset")
        modem.event("boot", count=2)
        terminal.until(b"", 1)
        terminal.write(b"ATE0\r")
        terminal.until(b"\r\nOK\r\n")
        terminal.ok("AT+CMEE=1")
        for _ in range(2):
            assert terminal.at('AT+CPIN="0000"') == "\r\n+CME ERROR: 16\r\n"
        assert terminal.at('AT+CPIN="0000"') == "\r\n+CME ERROR: 12\r\n"
        assert terminal.ok("AT+CPIN?") == ["+CPIN: SIM PUK"]
        modem.ask(fault="no_sim")
        assert terminal.at("AT+CPIN?") == "\r\n+CME ERROR: 10\r\n"
