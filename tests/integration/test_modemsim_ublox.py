"""The simulated SARA-R5 and SARA-R422 at the wire: transcript, cell vectors, syntax, sockets, bearer (modems.md 2D)."""

import socket

import pytest
from modemsim_support import running_modem

SPEED = ("--family", "sara_r5", "--speed", "100", "--place", "harbour")
CELL = ("\r\n+UCGED: 2\r\n6,4,262,01\r\n1300,3,50,50,5a10,1a2b3c4,417,c0a80101,8001,02,49,20,15.00,1,0,9,48,-40,-5,64,"
        "255,255,0\r\n\r\nOK\r\n")
NAME = "coap.example"


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
    return running_modem(tmp_path, *SPEED, "--resolve", f"{NAME}:5683=127.0.0.1:{peer.getsockname()[1]}", *args,
                         ready=False)


def registered(modem):
    """Echo off, numeric errors, on the network."""
    modem.event("boot")
    terminal = modem.terminal
    terminal.write(b"ATE0\r")
    terminal.until(b"ATE0\r\r\nOK\r\n")
    terminal.ok("AT+CMEE=1")
    modem.event("bearer_up")
    return terminal


def online(modem):
    """With the internal stack up."""
    terminal = registered(modem)
    for command in ("AT+UPSD=0,100,1", "AT+UPSD=0,0,0", "AT+UPSDA=0,3"):
        terminal.ok(command)
    terminal.until(b'+UUPSDA: 0,"10.81.7.2"\r\n')
    return terminal


def test_golden_transcript(modem, peer):
    terminal = online(modem)
    terminal.write(b"AT+USOCR=17\r")
    terminal.exactly(b"\r\n+USOCR: 0\r\n\r\nOK\r\n")
    terminal.write(b'AT+USOST=0,"192.0.2.10",5683,6\r')
    terminal.exactly(b"\r\n@")
    terminal.quiet(0.06)
    request, answer = bytes.fromhex("40011234B161"), bytes.fromhex("60451234FF0D0A4F4B")
    terminal.write(request)
    terminal.exactly(b"\r\n+USOST: 0,6\r\n\r\nOK\r\n")
    data, address = peer.recvfrom(100)
    assert data == request
    peer.sendto(answer, address)
    terminal.exactly(b"\r\n+UUSORF: 0,9\r\n")
    terminal.write(b"AT+USORF=0,1024\r")
    terminal.exactly(b'\r\n+USORF: 0,"192.0.2.10",5683,9,"' + answer + b'"\r\n\r\nOK\r\n')
    terminal.write(b"AT+USOCL=0\r")
    terminal.exactly(b"\r\nOK\r\n")
    assert terminal.quiet() == b""
    counters = modem.ask(get="counters")["counters"]
    assert "bytes_before_prompt" not in counters


def test_the_shared_cell(modem):
    terminal = registered(modem)
    terminal.ok("AT+UCGED=2")
    assert terminal.at("AT+UCGED?") == CELL
    assert terminal.ok("AT+CEREG?") == ['+CEREG: 0,1']
    terminal.ok("AT+CEREG=2")
    assert terminal.ok("AT+CEREG?") == ['+CEREG: 2,1,"5A10","01A2B3C4",7']


def test_the_shared_cell_of_r422(tmp_path, peer):
    with started(tmp_path, peer, "--model", "r422") as modem:
        terminal = registered_r422(modem)
        terminal.ok("AT+UCGED=2")
        assert terminal.ok("AT+UCGED?") == ["+UCGED: 2", "6,262,01",
                                            '1300,3,50,50,5a10,417,-92,-10,175,-1,3,255,128,"C0A80101"']
        # Its one bearer needs no activation; the prefix of the DNS answer is another.
        assert terminal.at("AT+UPSDA=0,3") == "\r\n+CME ERROR: 3\r\n"
        assert terminal.ok("AT+USOCR=17") == ["+USOCR: 0"]
        assert terminal.ok(f'AT+UDNSRN=0,"{NAME}"') == ['+UUDNSRN: "192.0.2.10"']
        assert terminal.ok("AT+CGMM") == ["SARA-R422M8S"]


def registered_r422(modem):
    modem.event("boot")
    terminal = modem.terminal
    terminal.write(b"ATE0\r")
    terminal.until(b"\r\nOK\r\n")
    terminal.ok("AT+CMEE=1")
    modem.event("pdn_up")
    return terminal


def test_start_and_syntax(modem):
    modem.event("boot")
    terminal = modem.terminal
    assert terminal.quiet() == b""  # no boot line: the host polls
    terminal.write(b"AT\r")
    terminal.exactly(b"AT\r\r\nOK\r\n")  # echo is on
    terminal = online(modem)
    examples = (
        ("ATI9", ["03.15,A00.01"]),
        ("AT+CGMM", ["SARA-R510M8S"]),
        ("AT+CGSN", ["352656100000001"]),
        ("AT+CIMI", ["262010000000001"]),
        ("AT+CCID", ["+CCID: 8949020000000000019"]),
        ("AT+CPIN?", ["+CPIN: READY"]),
        ("AT+COPS?", ['+COPS: 0,2,"26201",7']),
        ("AT+CFUN?", ["+CFUN: 1"]),
        ("AT+CSQ", ["+CSQ: 25,99"]),
        ("AT+CESQ", ["+CESQ: 99,99,255,255,20,49"]),
        ("AT+UPSND=0,0", ['+UPSND: 0,0,"10.81.7.2"']),
        ("AT+UPSND=0,8", ["+UPSND: 0,8,1"]),
        ("AT+URAT=7", []),
        ("AT+URAT?", ["+URAT: 7"]),
        ("AT+UPSV=4", []),
        ("AT+UPSV?", ["+UPSV: 4"]),
        ("AT+UPSMR=1", []),
        ("AT+UBANDMASK=0,524420,0", []),
        ("AT+UGPS?", ["+UGPS: 0"]),
        (f'AT+UDNSRN=0,"{NAME}"', ['+UDNSRN: "192.0.2.10"']),
        ("AT+USOER", ["+USOER: 0"]),
    )
    for command, lines in examples:
        assert terminal.ok(command) == lines, command
    for command in ("AT+UMNOPROF=100", 'AT+UDNSRN=0,"nowhere.example"', "AT+UCGED=5", "AT+UPSDA=0,3", "AT+USOCR=6"):
        assert terminal.at(command) == "\r\n+CME ERROR: 3\r\n", command
    terminal.ok("AT+CMEE=2")
    assert terminal.at("AT+UCGED=5") == "\r\n+CME ERROR: operation not allowed\r\n"


def test_bearer_comes_and_goes(modem):
    terminal = online(modem)
    terminal.ok("AT+USOCR=17")
    modem.ask(do="pdn_deact")
    terminal.exactly(b"\r\n+UUPSDD: 0\r\n")
    assert terminal.at("AT+USOCL=0") == "\r\n+CME ERROR: 3\r\n"  # the socket is gone with it, without a word
    assert terminal.at("AT+USOCR=17") == "\r\n+CME ERROR: 3\r\n"
    terminal.ok("AT+UPSDA=0,3", timeout_s=10)
    terminal.until(b'+UUPSDA: 0,"10.81.7.3"\r\n')  # another address
    terminal.ok("AT+UPSDA=0,4")
    assert terminal.quiet() == b""  # nobody has lost it
    terminal.ok("AT+UPSDA=0,3")
    terminal.until(b"+UUPSDA: 0")
    terminal.until(b"\r\n")
    terminal.ok("AT+CEREG=1")
    assert terminal.at("AT+CFUN=4") == "\r\n+UUPSDD: 0\r\n\r\n+CEREG: 0\r\n\r\nOK\r\n"
    assert terminal.at("AT+UPSDA=0,3") == "\r\n+CME ERROR: 3\r\n"


def test_sockets(modem, peer):
    terminal = online(modem)
    for handle in range(7):
        assert terminal.ok("AT+USOCR=17") == [f"+USOCR: {handle}"]
    assert terminal.at("AT+USOCR=17") == "\r\n+CME ERROR: 3\r\n"
    assert terminal.at("AT+USOWR=1,5") == "\r\n+CME ERROR: 3\r\n"  # not connected
    assert terminal.ok("AT+USOER") == ["+USOER: 107"]
    terminal.ok(f'AT+USOCO=1,"{NAME}",5683')
    assert terminal.ok("AT+USOCTL=1,4") == [f'+USOCTL: 1,4,"{NAME}",5683']
    assert terminal.ok('AT+USOWR=1,5,"hello"') == ["+USOWR: 1,5"]
    data, address = peer.recvfrom(2000)
    assert data == b"hello"
    peer.sendto(b"first, which is long", address)
    terminal.exactly(b"\r\n+UUSORF: 1,20\r\n")
    peer.sendto(b"second", address)
    assert terminal.quiet() == b""  # it has been told that something waits
    assert terminal.ok("AT+USORF=1,0") == ["+USORF: 1,26"]
    terminal.write(b"AT+USORF=1,5\r")  # the rest of the datagram is lost
    terminal.exactly(b'\r\n+USORF: 1,"192.0.2.10",5683,5,"first"\r\n\r\nOK\r\n\r\n+UUSORF: 1,6\r\n')
    terminal.write(b"AT+USORD=1,1024\r")
    terminal.exactly(b'\r\n+USORD: 1,6,"second"\r\n\r\nOK\r\n')
    assert terminal.ok("AT+USORF=1,1024") == ["+USORF: 1,0"]
    assert terminal.ok("AT+USOCTL=1,2") == ["+USOCTL: 1,2,5"]
    assert terminal.ok("AT+USOCTL=1,3") == ["+USOCTL: 1,3,11"]
    terminal.ok("AT+UDCONF=1,1")
    assert terminal.ok('AT+USOWR=1,3,"00FF22"') == ["+USOWR: 1,3"]
    assert peer.recv(2000) == b"\x00\xff\x22"
    peer.sendto(b'"OK"\r\n', address)
    terminal.exactly(b"\r\n+UUSORF: 1,6\r\n")
    assert terminal.ok("AT+USORF=1,1024") == ['+USORF: 1,"192.0.2.10",5683,6,"224F4B220D0A"']
    modem.ask(do="remote_close")
    terminal.exactly(b"\r\n+UUSOCL: 1\r\n")


def test_bytes_too_soon_after_the_prompt(modem, peer):
    terminal = online(modem)
    terminal.ok("AT+USOCR=17")
    terminal.write(b'AT+USOST=0,"192.0.2.10",5683,4\rsoon')  # the payload is there before the prompt
    terminal.exactly(b"\r\n@\r\n+USOST: 0,4\r\n\r\nOK\r\n")
    assert peer.recv(100) == b"soon"
    assert modem.ask(get="counters")["counters"]["bytes_before_prompt"] == 4
    modem.ask(fault="prompt_strict")
    terminal.write(b'AT+USOST=0,"192.0.2.10",5683,4\rsoon')
    terminal.exactly(b"\r\n@")
    assert terminal.quiet() == b""
    terminal.write(b"late")
    terminal.exactly(b"\r\n+USOST: 0,4\r\n\r\nOK\r\n")
    assert peer.recv(100) == b"late"
    modem.ask(fault="prompt_error", count=1)
    assert terminal.at('AT+USOST=0,"192.0.2.10",5683,4').endswith("ERROR\r\n")


def test_ends_of_life(tmp_path, peer):
    with started(tmp_path, peer, "--timing", "rrc_inactivity=0.5") as modem:
        terminal = registered(modem)
        terminal.ok('AT+CSGT=1,"hello"')
        terminal.ok("AT+CFUN=16")
        terminal.until(b"\r\nhello\r\n")
        terminal.write(b"AT\r")
        terminal.exactly(b"AT\r\r\nOK\r\n")  # echo is back
        terminal.ok("ATE0")
        for command in ("AT+UPSMR=1", 'AT+CPSMS=1,,,"00100001","00000000"'):
            terminal.ok(command)
        terminal.until(b"+UUPSMR: 1\r\n")
        terminal.write(b"AT\r")
        assert terminal.quiet() == b""  # the UART is dead
        modem.ask(do="pwrkey")
        terminal.exactly(b"\r\n+UUPSMR: 0\r\n\r\nhello\r\n")
        for command in ("ATE0", "AT+CPSMS=0", "AT+CPWROFF"):
            terminal.ok(command)
        modem.event("off")
        terminal.write(b"AT\r")
        assert terminal.quiet() == b""
