"""The simulated BG95 at the wire: transcript, cell vectors, syntax, sockets, files, bearer, ends (modems.md 2C)."""

import socket
import time

import pytest
from modemsim_support import running_modem

NAME = "coap.example"
BOOT = (b"\r\nRDY\r\n\r\nAPP RDY\r\n\r\n+CFUN: 1\r\n\r\n+CPIN: READY\r\n\r\n+QUSIM: 1\r\n\r\n+QIND: SMS DONE\r\n"
        b"\r\n+QIND: PB DONE\r\n")

SERVING = '+QENG: "servingcell","%s","eMTC","FDD",262,01,1A2B3C4,417,1300,3,3,3,5A10,-92,-10,-62,15,27'
# Command, information lines; in this order.
EXAMPLES = (
    ('AT+QENG="servingcell"', [SERVING % "NOCONN"]),
    ('AT+QENG="neighbourcell"', [
        '+QENG: "neighbourcell intra","eMTC",1300,251,-18,-108,-75,3,11,5,62,62,62',
        '+QENG: "neighbourcell inter","eMTC",6300,107,-13,-115,-80,0,4,62,62,5']),
    ("AT+QNWINFO", ['+QNWINFO: "eMTC","26201","LTE BAND 3",1300']),
    ("AT+QCSQ", ['+QCSQ: "eMTC",-62,-92,175,-10']),
    ("AT+QCELLSCAN=8,60", ['+QCELLSCAN: "eMTC",262,01,5A10,1300,417,1A2B3C4,-92,-10,-62',
                           '+QCELLSCAN: "eMTC",262,02,5A11,6300,33,C0FFEE,-100,-12,-68']),
    ("AT+CESQ", ["+CESQ: 99,99,255,255,20,49"]),
    ("AT+CEREG=2", []),
    ("AT+CEREG?", ['+CEREG: 2,1,"5A10","1A2B3C4",8']),
    ("AT+COPS?", ['+COPS: 0,2,"26201",8']),
    ("ATI", ["Quectel", "BG95-M3", "Revision: BG95M3LAR02A04"]),
    ("AT+GSN", ["352656100000001"]),
    ("AT+QCCID", ["+QCCID: 8949020000000000019F"]),
    ("AT+QGMR", ["BG95M3LAR02A04"]),
    ('AT+QURCCFG="urcport","uart1"', []),
    ('AT+QCFG="nwscanseq",020301,1', []),
    ('AT+QCFG="nwscanmode",3,1', []),
    ('AT+QCFG="nwscanmode"', ['+QCFG: "nwscanmode",3,1']),
    ('AT+QCFG="iotopmode",0,1', []),
    ('AT+QCFG="band",0,80084,80084,1', []),
    ('AT+QCFG="psm/urc",0', []),
    ('AT+QICSGP=1,1,"apn","user","pw",2', []),
    ("AT+QICSGP=1", ['+QICSGP: 1,"apn","user","pw",2']),
    ("AT+QIACT?", []),
    ("AT+QIACT=1", []),
    ("AT+QIACT?", ['+QIACT: 1,1,1,"10.81.7.2"']),
    ("AT+QIGETERROR", ["+QIGETERROR: 0,operate successfully"]),
    ("AT+QISTATE?", []),
    ('AT+CPSMS=1,,,"00100001","00101010"', []),
    ("AT+QPSMS?", ['+QPSMS: 1,,,"3600","600"']),
    ("AT+QPSMCFG=60,4", []),
    ("AT+QPSMCFG?", ["+QPSMCFG: 60,4"]),
    ("AT+QSCLK=1", []),
    ("AT+CTZU=1", []),
    ('AT+CEDRXS=1,4,"0010"', []),
    ("AT+QGPS?", ["+QGPS: 0"]),
    ('AT+QGPSCFG="priority",1', []),
    ('AT+QGPSCFG="priority"', ['+QGPSCFG: "priority",1']),
    ('AT+QGPSCFG="gnssconfig",1', []),
    ('AT+QGPSCFG="outport","none"', []),
    ('AT+QGPSCFG="outport"', ['+QGPSCFG: "outport","none"']),
)


@pytest.fixture
def peer():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


@pytest.fixture
def modem(tmp_path, peer):
    with started(tmp_path, peer) as running:
        yield running


def started(tmp_path, peer, *args):
    return running_modem(tmp_path, "--family", "bg95", "--speed", "100", "--place", "harbour", "--resolve",
                         f"{NAME}:5683=127.0.0.1:{peer.getsockname()[1]}", *args, ready=False)


def registered(modem):
    """Booted, echo off, numeric errors, on the network."""
    terminal = modem.terminal
    terminal.until(b"+QIND: PB DONE\r\n")
    terminal.write(b"ATE0\r")
    terminal.exactly(b"ATE0\r\r\nOK\r\n")
    terminal.ok("AT+CMEE=1")
    modem.event("bearer_up")
    return terminal


def online(modem):
    """With the context active."""
    terminal = registered(modem)
    terminal.ok('AT+QICSGP=1,1,"iot.example","","",0')
    terminal.ok("AT+QIACT=1")
    return terminal


def opened(modem, number=0, kind="UDP", mode=0):
    terminal = online(modem)
    host, port = (NAME, 5683) if kind == "UDP" else ("127.0.0.1", 0)
    terminal.ok(f'AT+QIOPEN=1,{number},"{kind}","{host}",{port},0,{mode}')
    terminal.exactly(f"\r\n+QIOPEN: {number},0\r\n".encode())
    return terminal


def send(terminal, command, data):
    terminal.write(command.encode() + b"\r")
    terminal.exactly(b"\r\n> ")
    terminal.write(data)
    terminal.exactly(b"\r\nSEND OK\r\n")


def test_golden_transcript(modem, peer):
    terminal = registered(modem)
    terminal.write(b"AT+QIACT=1\r")
    terminal.exactly(b"\r\nOK\r\n")
    terminal.write(f'AT+QIOPEN=1,0,"UDP","{NAME}",5683,0,0\r'.encode())
    terminal.exactly(b"\r\nOK\r\n\r\n+QIOPEN: 0,0\r\n")
    request, answer = bytes.fromhex("40011234B161"), bytes.fromhex("60451234FF0D0A4F4B")
    send(terminal, "AT+QISEND=0,6", request)
    data, address = peer.recvfrom(100)
    assert data == request
    peer.sendto(answer, address)
    terminal.exactly(b'\r\n+QIURC: "recv",0\r\n')
    terminal.write(b"AT+QIRD=0,1500\r")
    terminal.exactly(b"\r\n+QIRD: 9\r\n" + answer + b"\r\n\r\nOK\r\n")
    terminal.write(b"AT+QIRD=0,1500\r")
    terminal.exactly(b"\r\n+QIRD: 0\r\n\r\nOK\r\n")
    terminal.write(b"AT+QICLOSE=0\r")
    terminal.exactly(b"\r\nOK\r\n")
    assert terminal.quiet() == b""


def test_start_cells_and_syntax(tmp_path, peer):
    with started(tmp_path, peer, "--timing", "rrc_inactivity=0.5") as modem:
        terminal = modem.terminal
        terminal.exactly(BOOT)
        terminal.write(b"AT\r")
        terminal.exactly(b"AT\r\r\nOK\r\n")  # echo is on
        terminal.ok("ATE0")
        terminal.ok("AT+CMEE=1")
        modem.event("bearer_up")
        assert terminal.ok('AT+QENG="servingcell"') == [SERVING % "CONNECT"]
        end = time.monotonic() + 10
        while modem.ask(get="state")["rrc"] and time.monotonic() < end:  # until the network lets go
            time.sleep(0.02)
        for command, lines in EXAMPLES:
            assert terminal.ok(command) == lines, command
        utc, local = terminal.ok("AT+QLTS=1")[0], terminal.ok("AT+CCLK?")[0]
        assert utc[:8] == '+QLTS: "' and utc[27:] == '+08,0"' and (int(utc[19:21]) + 2) % 24 == int(local[17:19])
        for command in ('AT+QCFG="nosuch"', 'AT+QENG="nosuch"', 'AT+QSSLCFG="nosuch",1'):
            assert terminal.at(command) == "\r\n+CME ERROR: 50\r\n", command
        assert terminal.at("AT+QIACT=1") == "\r\nERROR\r\n"  # active already
        assert any('"dtls"' in line for line in terminal.ok("AT+QSSLCFG=?"))


def test_names(modem):
    terminal = online(modem)
    terminal.ok(f'AT+QIDNSGIP=1,"{NAME}"')
    terminal.exactly(b'\r\n+QIURC: "dnsgip",0,1,600\r\n\r\n+QIURC: "dnsgip","192.0.2.10"\r\n')
    terminal.ok('AT+QIDNSGIP=1,"nowhere.example"')
    terminal.exactly(b'\r\n+QIURC: "dnsgip",565\r\n')
    terminal.ok('AT+QIOPEN=1,3,"UDP","nowhere.example",5683,0,0')
    terminal.exactly(b"\r\n+QIOPEN: 3,565\r\n")
    assert terminal.at('AT+QIOPEN=1,3,"TCP","192.0.2.10",80,0,0') == "\r\nERROR\r\n"
    assert terminal.ok("AT+QIGETERROR") == ["+QIGETERROR: 555,operation not supported"]


def test_buffer_mode(modem, peer):
    terminal = opened(modem, 5)
    assert terminal.ok("AT+QISTATE=1,5") == [f'+QISTATE: 5,"UDP","{NAME}",5683,50000,2,1,0,0,"uart1"']
    terminal.ok(f'AT+QIOPEN=1,5,"UDP","{NAME}",5683,0,0')
    terminal.exactly(b"\r\n+QIOPEN: 5,563\r\n")  # in use
    payload = b"\r\nOK\r\n\x1a> +++\x00"
    send(terminal, f"AT+QISEND=5,{len(payload)}", payload)
    data, address = peer.recvfrom(2000)
    assert data == payload
    for text in (b"one", b"two"):
        peer.sendto(text, address)
    terminal.exactly(b'\r\n+QIURC: "recv",5\r\n')
    assert terminal.quiet() == b""  # once, until the buffer is empty
    for text in (b"one", b"two"):
        terminal.write(b"AT+QIRD=5,1500\r")
        terminal.exactly(b"\r\n+QIRD: 3\r\n" + text + b"\r\n\r\nOK\r\n")
    assert terminal.ok("AT+QIRD=5,0") == ["+QIRD: 6,6,0"]
    peer.sendto(b"three", address)
    terminal.exactly(b'\r\n+QIURC: "recv",5\r\n')
    assert terminal.ok("AT+QISEND=5,0") == [f"+QISEND: {len(payload)},{len(payload)},0"]
    terminal.write(b'AT+QISENDEX=5,"00FF0D"\r')
    terminal.exactly(b"\r\nSEND OK\r\n")
    assert peer.recv(100) == b"\x00\xff\r"
    send(terminal, "AT+QISEND=5", b"until the end\x1a")
    assert peer.recv(100) == b"until the end"
    terminal.write(b"AT+QISEND=5\r")
    terminal.exactly(b"\r\n> ")
    terminal.write(b"never mind\x1b")
    terminal.exactly(b"\r\nERROR\r\n")
    assert terminal.ok("AT+QIGETERROR") == ["+QIGETERROR: 571,cancel send"]
    modem.ask(do="remote_close")
    terminal.exactly(b'\r\n+QIURC: "closed",5\r\n')
    terminal.write(b"AT+QISEND=5,1\r")
    terminal.exactly(b"\r\n> ")
    terminal.write(b"x")
    terminal.exactly(b"\r\nSEND FAIL\r\n")
    assert terminal.at("AT+QISEND=4,1") == "\r\nERROR\r\n"


def test_push_mode_and_service(modem, peer):
    terminal = opened(modem, 1, mode=1)
    send(terminal, "AT+QISEND=1,2", b"hi")
    address = peer.recvfrom(100)[1]
    peer.sendto(b"\r\nOK\r\n", address)
    terminal.exactly(b'\r\n+QIURC: "recv",1,6\r\n\r\nOK\r\n\r\n')
    terminal.ok('AT+QIOPEN=1,2,"UDP SERVICE","127.0.0.1",0,3030,0')
    terminal.exactly(b"\r\n+QIOPEN: 2,0\r\n")
    send(terminal, 'AT+QISEND=2,2,"192.0.2.10",5683', b"ho")
    data, address = peer.recvfrom(100)
    peer.sendto(data, address)
    terminal.exactly(b'\r\n+QIURC: "recv",2\r\n')
    terminal.write(b"AT+QIRD=2,1500\r")
    terminal.exactly(b'\r\n+QIRD: 2,"192.0.2.10",5683\r\nho\r\n\r\nOK\r\n')


def test_bearer_lost(modem):
    terminal = opened(modem)
    modem.ask(do="pdn_deact")
    terminal.exactly(b'\r\n+QIURC: "pdpdeact",1\r\n')
    assert terminal.quiet() == b""
    assert terminal.ok("AT+QIACT?") == []
    assert terminal.at("AT+QIACT=1") == "\r\nERROR\r\n"  # deactivate first
    terminal.ok("AT+QIDEACT=1")
    assert terminal.ok("AT+QISTATE?") == []
    terminal.ok("AT+QIACT=1")
    assert terminal.ok("AT+QIACT?") == ['+QIACT: 1,1,1,"10.81.7.3"']
    assert '+QIURC: "pdpdeact",1' in terminal.ok("AT+CFUN=4")
    assert terminal.ok("AT+QNWINFO") == ["+QNWINFO: No Service"]
    assert terminal.ok("AT+QCSQ") == ['+QCSQ: "NOSERVICE"']
    assert terminal.ok('AT+QENG="servingcell"') == ['+QENG: "servingcell","LIMSRV"']
    assert terminal.ok('AT+QENG="neighbourcell"') == []


def test_files(modem):
    terminal = registered(modem)
    content = b"\x12\x34\x00\xff\r\nOK\r\n\x55"  # words 1234 00FF 0D0A 4F4B 0D0A 5500
    terminal.write(f'AT+QFUPL="ca.pem",{len(content)},100\r'.encode())
    terminal.exactly(b"\r\nCONNECT\r\n")
    terminal.write(content)
    checksum = 0x1234 ^ 0x00FF ^ 0x0D0A ^ 0x4F4B ^ 0x0D0A ^ 0x5500
    terminal.exactly(f"\r\n+QFUPL: {len(content)},{checksum:x}\r\n\r\nOK\r\n".encode())
    assert terminal.ok('AT+QFLST="*"') == [f'+QFLST: "ca.pem",{len(content)}']
    assert terminal.at('AT+QFUPL="ca.pem",3,100') == "\r\n+CME ERROR: 407\r\n"
    terminal.write(b'AT+QFDWL="UFS:ca.pem"\r')
    terminal.exactly(b"\r\nCONNECT\r\n" + content + f"\r\n+QFDWL: {len(content)},{checksum:x}\r\n\r\nOK\r\n".encode())
    terminal.ok("AT+CFUN=1,1")
    terminal.exactly(BOOT)
    terminal.ok("ATE0")
    assert terminal.ok('AT+QFLST="UFS:ca.pem"') == [f'+QFLST: "ca.pem",{len(content)}']  # a file outlives a reset
    terminal.ok('AT+QFDEL="UFS:ca.pem"')
    terminal.ok("AT+CMEE=1")
    assert terminal.at('AT+QFLST="ca.pem"') == "\r\n+CME ERROR: 405\r\n"
    terminal.write(b'AT+QFUPL="x",3,1\r')
    terminal.exactly(b"\r\nCONNECT\r\n")
    terminal.write(b"ab")  # and no more: the window closes
    terminal.exactly(b"\r\nERROR\r\n")
    assert terminal.ok("AT+QFLST") == []


def test_ends_of_life(tmp_path, peer):
    with started(tmp_path, peer, "--timing", "rrc_inactivity=0.5") as modem:
        terminal = registered(modem)
        terminal.ok('AT+QCFG="psm/urc",1')
        terminal.ok('AT+CPSMS=1,,,"00100001","00000000"')
        terminal.until(b"\r\nPSM POWER DOWN\r\n")
        terminal.write(b"AT\r")
        assert terminal.quiet() == b""  # the UART is dead
        modem.ask(do="pwrkey")
        terminal.exactly(BOOT)
        terminal.until(b"\r\n+QPSMTIMER: 3600,0\r\n")  # what the network grants at registration
        terminal.until(b"\r\nPSM POWER DOWN\r\n")
        modem.ask(do="pwrkey")
        terminal.exactly(BOOT)
        terminal.ok("ATE0")
        terminal.ok("AT+CPSMS=0")
        terminal.ok('AT+QCFG="psm/enter",1')
        terminal.ok('AT+CPSMS=1,,,"00100001","01011111"')  # three hours of active time, not waited for
        terminal.until(b"\r\nPSM POWER DOWN\r\n", timeout_s=10)
        modem.ask(do="pwrkey")
        terminal.exactly(BOOT)
        terminal.ok("ATE0")
        terminal.ok("AT+CPSMS=0")
        terminal.ok("AT+QPOWD=1")
        terminal.exactly(b"\r\nPOWERED DOWN\r\n")
        terminal.write(b"AT\r")
        assert terminal.quiet() == b""
        modem.ask(do="pwrkey")
        terminal.exactly(BOOT)
