"""The serial line of the simulated modem: framing, grammar, URC policy, data mode, faults (modems.md 1, 2A.6)."""

import socket
import time

import pytest
from modemsim_support import Terminal, running_modem

from godwit.modem.grammar import Bare, CommandError, parse

FAST = ("--speed", "50", "--place", "harbour")


@pytest.fixture
def modem(tmp_path):
    with running_modem(tmp_path, *FAST) as running:
        yield running


class Echo:
    """A UDP peer: records datagrams, answers when told to."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.settimeout(3)
        self.port = self.sock.getsockname()[1]

    def receive(self):
        data, self.peer = self.sock.recvfrom(65535)
        return data

    def silent(self, seconds=0.1):
        self.sock.settimeout(seconds)
        try:
            return self.sock.recvfrom(65535)[0]
        except TimeoutError:
            return None
        finally:
            self.sock.settimeout(3)


@pytest.fixture
def peer():
    echo = Echo()
    yield echo
    echo.sock.close()


def connected(modem, peer):
    modem.attach()
    modem.terminal.ok("AT#XSOCKET=1,2,0")
    modem.terminal.ok(f'AT#XCONNECT=0,"127.0.0.1",{peer.port}')
    return modem.terminal


@pytest.mark.parametrize(
    "line, expected",
    [
        ("", ("", "exec", [])),
        ("e0", ("E0", "exec", [])),
        ("+CEREG?", ("+CEREG", "read", [])),
        ("#xgnss=?", ("#XGNSS", "test", [])),
        ("%XMONITOR", ("%XMONITOR", "exec", [])),
        ('%JWT=,600,"a,b",""', ("%JWT", "set", [None, 600, "a,b", ""])),
        ("#X=1,", ("#X", "set", [1, None])),
        ("#X=,,-5", ("#X", "set", [None, None, -5])),
        ("#X=", ("#X", "set", [None])),
        ('#X="a\r\nb"', ("#X", "set", ["a\r\nb"])),
        ("#X=5A10", ("#X", "set", [Bare("5A10")])),
    ],
)
def test_grammar(line, expected):
    assert parse(line) == expected


BAD_LINES = ("+", "CFUN=1", "+CFUN=1;+COPS?", '+X="a', '+X="a"b', '+X=a"b"', "+C FUN=1", "\0", "E22")


@pytest.mark.parametrize("line", BAD_LINES)
def test_grammar_refuses(line):
    with pytest.raises(CommandError):
        parse(line)


def test_framing_and_junk(modem):
    terminal = modem.terminal
    for sent in (b"AT\r", b"\x00\xff+++AT\r", b"at\r", b"AAT\r", b"\nAT\r\n", b"AT+x\x08\x7f\r"):
        terminal.write(sent)
        terminal.exactly(b"\r\nOK\r\n")
    terminal.write(b"AT+CFUM\x08N?\r")
    terminal.exactly(b"\r\n+CFUN: 0\r\n\r\nOK\r\n")
    terminal.write(b"AT+CFUN=1;+COPS?\r")
    terminal.exactly(b"\r\nERROR\r\n")
    terminal.write(b"ATE2\r")
    terminal.exactly(b"\r\nERROR\r\n")
    terminal.write(b"AT" + b"x" * 9000 + b"\r")
    terminal.exactly(b"\r\nERROR\r\n")
    assert terminal.quiet() == b""


def test_cme_errors_follow_cmee_but_not_for_sm_commands(modem):
    terminal = modem.terminal
    assert terminal.at("AT%CMNG=2,1,0") == "\r\nERROR\r\n"
    terminal.ok("AT+CMEE=1")
    assert terminal.at("AT%CMNG=2,1,0") == "\r\n+CME ERROR: 513\r\n"
    assert terminal.at("AT#XCLOSE=3") == "\r\nERROR\r\n"
    assert terminal.at("AT+CMEE=2") == "\r\nERROR\r\n"


def test_echo_comes_back_literally(modem):
    terminal = modem.terminal
    terminal.ok("ATE1")
    terminal.write(b"AT+CFUN?\r")
    terminal.exactly(b"AT+CFUN?\r\r\n+CFUN: 0\r\n\r\nOK\r\n")
    assert terminal.at("ATE0") == "ATE0\r\r\nOK\r\n"
    assert terminal.at("AT") == "\r\nOK\r\n"


def test_every_command_of_the_day_is_known(modem):
    terminal = modem.terminal
    modem.attach()
    terminal.ok("AT+CMEE=1")
    for command in ("ATI", "AT+CGMI", "AT+CGMM", "AT+CGMR", "AT+CGSN", "AT+CGSN=1", "AT+CIMI", "AT+CPIN?", "AT+CFUN?",
                    "AT+COPS?", "AT+CEREG?", "AT+CGEREP?", "AT+CSCON?", "AT+CNEC=24", "AT+CESQ", "AT+CGATT?",
                    "AT+CGDCONT?", 'AT+CGDCONT=0,"IPV4V6","iot"', "AT+CGAUTH=0,0", "AT+CGPADDR=0", "AT+CGCONTRDP=0",
                    "AT+CCLK?", 'AT+CPSMS=1,"","","00100001","00000101"', "AT+CPSMS?", 'AT+CEDRXS=2,4,"0101"',
                    "AT%XMONITOR", "AT%CONEVAL", "AT%NCELLMEASSTOP", "AT%CMNG=1", "AT%XTIME=1", "AT%CESQ=1",
                    "AT%XICCID",
                    "AT%XVBAT", "AT%XTEMP?", "AT%MDMEV=1", "AT%RAI=1", "AT%XCOEX0=1,1,1565,1586", "AT%DEVICEUUID",
                    "AT%HWVERSION", "AT%XMODEMSLEEP=1,500,10240", "AT#XCLAC", "AT#XUUID", "AT#XGNSS=?", "AT#XGNSS?",
                    "AT#XDATACTRL?", "AT#XSOCKET?", "AT#XCLOSE"):
        terminal.ok(command)
    assert terminal.at("AT%REL14FEAT=0,1,0,0,0") == "\r\n+CME ERROR: 518\r\n"
    assert terminal.at("AT%NOSUCH") == "\r\nERROR\r\n"


def test_urcs_wait_for_the_final_result(modem):
    terminal = modem.terminal
    terminal.ok("AT+CEREG=5")
    modem.ask(fault="late", arg="+CFUN:0.3")
    terminal.write(b"AT+CFUN=1\r")
    modem.event("attach")
    assert terminal.until(b"OK\r\n") == b"\r\nOK\r\n"
    terminal.until(b"+CEREG: 1")


def test_urc_queue_overflows_as_a_whole(modem):
    terminal = modem.terminal
    modem.ask(fault="late", arg="AT:0.3")
    terminal.write(b"AT\r")
    time.sleep(0.1)
    modem.ask(fault="storm", arg=600)
    modem.event("urc_overflow")
    answer = terminal.until(b"OK\r\n") + terminal.quiet()
    assert answer.startswith(b"\r\nOK\r\n")
    assert 0 < answer.count(b"\r\n") // 2 < 500


def test_data_mode_by_length_and_by_escape(modem, peer):
    terminal = connected(modem, peer)
    terminal.ok("AT#XSEND=0,2,0,11")
    terminal.write(b"AT\r+++OK\r\n\x00AT\r")
    terminal.exactly(b"\r\n#XDATAMODE: 0\r\n\r\nOK\r\n")
    assert peer.receive() == b"AT\r+++OK\r\n\x00"
    terminal.ok("AT#XSEND=0,2,0")
    terminal.write(b"ab+")
    time.sleep(0.005)
    terminal.write(b"c++")
    time.sleep(0.005)
    terminal.write(b"+AT\r")
    terminal.exactly(b"\r\n#XDATAMODE: 0\r\n\r\nOK\r\n")
    assert peer.receive() == b"ab+c"


def test_inactivity_timer_splits_a_datagram(modem, peer):
    """The 32 ms trap, and the cure."""
    terminal = connected(modem, peer)
    assert terminal.ok("AT#XDATACTRL?") == ["#XDATACTRL: 32,32"]
    assert terminal.at("AT#XDATACTRL=31") == "\r\nERROR\r\n"
    terminal.ok("AT#XSEND=0,2,0,10")
    terminal.write(b"hello")
    time.sleep(0.09)
    terminal.write(b"world")
    terminal.exactly(b"\r\n#XDATAMODE: 0\r\n")
    assert (peer.receive(), peer.receive()) == (b"hello", b"world")
    assert modem.event("data_split")["missing"] == 5
    terminal.ok("AT#XDATACTRL=1000")
    terminal.ok("AT#XSEND=0,2,0,10")
    terminal.write(b"hello")
    time.sleep(0.09)
    terminal.write(b"world")
    terminal.exactly(b"\r\n#XDATAMODE: 0\r\n")
    assert peer.receive() == b"helloworld"
    assert len(modem.events("data_split")) == 1


def test_burst_beyond_the_ring(modem, peer):
    terminal = connected(modem, peer)
    terminal.ok("AT#XDATACTRL=1000")
    terminal.ok("AT#XSEND=0,2,0,5000")
    terminal.write(b"x" * 5000)
    terminal.exactly(b"+++\r\n#XDATAMODE: -1\r\n")
    terminal.ok("AT")
    terminal.ok("AT#XSEND=0,2,0")
    terminal.write(b"x" * 5000)
    terminal.exactly(b"+++")
    terminal.write(b"AT\r+++")  # still dropping
    terminal.exactly(b"\r\n#XDATAMODE: -1\r\n")
    assert peer.silent() is None


def test_send_that_fails_in_data_mode(modem, peer):
    terminal = connected(modem, peer)
    terminal.ok("AT#XSEND=0,2,0,4")
    modem.ask(do="pdn_deact")
    terminal.write(b"lost")
    terminal.exactly(b"+++\r\n#XDATAMODE: -1\r\n")
    assert terminal.at("AT#XSEND=0,2,0,4") == "\r\nERROR\r\n"


def test_reset_in_the_middle_of_a_command(modem, peer):
    terminal = connected(modem, peer)
    modem.ask(fault="reboot_on", arg="AT#XRECV", count=1)
    terminal.write(b"AT#XRECV=0,0,0,30\r")
    terminal.exactly(b"Ready\r\n")
    assert terminal.ok("AT#XSOCKET?") == []
    assert terminal.ok("AT+CFUN?") == ["+CFUN: 0"]
    # In data mode, and while nothing is going on.
    connected(modem, peer)
    terminal.ok("AT#XSEND=0,2,0,100")
    terminal.write(b"half")
    modem.ask(do="reset")
    terminal.until(b"Ready\r\n")
    terminal.ok("AT")
    modem.ask(fault="reboot_on", arg="AT+CFUN=1", count=1)
    terminal.write(b"AT+CFUN=1\r")
    terminal.exactly(b"Ready\r\n")
    assert modem.ask(get="state")["stat"] == 0


def test_ways_to_power_down(modem):
    terminal = modem.terminal
    terminal.ok("AT#XRESET")
    terminal.exactly(b"Ready\r\n")
    assert terminal.ok("AT#XMODEMRESET") == ["#XMODEMRESET: 0"]
    terminal.exactly(b"\r\n#XMODEM: SHUTDOWN,0\r\n\r\n#XMODEM: INIT,0\r\n")
    modem.ask(do="crash")
    terminal.until(b"#XMODEM: FAULT,0x")
    terminal.until(b"#XMODEM: INIT,0\r\n")
    terminal.ok("AT#XSLEEP=1")
    terminal.write(b"AT\r")  # wakes, and is lost
    terminal.exactly(b"Ready\r\n")
    terminal.ok("AT#XSHUTDOWN")
    terminal.write(b"AT\r")
    assert terminal.quiet() == b""
    modem.ask(do="reset")
    terminal.exactly(b"Ready\r\n")


def test_host_crash_does_not_reset_the_modem(modem, peer):
    terminal = connected(modem, peer)
    terminal.ok("AT#XSEND=0,2,0")  # the host dies in data mode
    terminal.close()
    modem.terminal = terminal = Terminal(modem.pty)
    terminal.write(b"+++")
    terminal.until(b"#XDATAMODE: 0\r\n")
    assert terminal.ok("AT#XSOCKET?") == ["#XSOCKET: 0,1,0,2,0"]
    assert terminal.ok("AT+CFUN?") == ["+CFUN: 1"]
    assert len(modem.events("boot")) == 1


def test_faults_on_commands(modem):
    terminal = modem.terminal
    modem.ask(fault="mute", arg="AT+CGMR", count=1)
    terminal.write(b"AT+CGMR\r")
    assert terminal.quiet() == b""
    terminal.ok("AT")
    modem.ask(fault="error", arg="AT+CGMR", count=1)
    assert terminal.at("AT+CGMR") == "\r\nERROR\r\n"
    assert terminal.ok("AT+CGMR") == ["mfw_nrf91x1_2.0.2"]
    modem.ask(fault="split", arg=2)
    assert terminal.ok("AT+CGMR") == ["mfw_nrf91x1_2.0.2"]
    modem.ask(clear="split")
    with pytest.raises(AssertionError, match="no such fault"):
        modem.ask(fault="nonsense")
    with pytest.raises(AssertionError, match="bad argument"):
        modem.ask(fault="drop", arg="much")


def test_boot_faults(tmp_path):
    with running_modem(tmp_path, *FAST, "--fault", "boot_garbage=7", "--fault", "echo", ready=False) as modem:
        assert len(modem.terminal.until(b"Ready\r\n")) == 7 + len(b"Ready\r\n")
        modem.terminal.write(b"AT\r")
        modem.terminal.exactly(b"AT\r\r\nOK\r\n")


def test_refused_options_are_one_line(tmp_path):
    for option in (("--fault", "nonsense"), ("--resolve", "x"), ("--credential", "1:99=x"), ("--timing", "x=1"),
                   ("--control", "/nonexistent/folder/socket")):
        with pytest.raises(AssertionError) as caught:
            with running_modem(tmp_path, *option):
                pass
        assert "Error: " in str(caught.value) and "Traceback" not in str(caught.value)
