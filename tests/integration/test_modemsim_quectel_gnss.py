"""The receiver of the simulated BG95 at the wire: sharing the radio with LTE, positions, prediction files (2C.6)."""

import datetime
import socket

import pytest
from modemsim_support import running_modem
from pynmeagps import NMEAReader

from godwit.modem import xtra
from godwit.modem.gnss import Fix
from godwit.modem.quectel import format as fmt

NEVER = '+QGPSXTRADATA: 0,"1980/01/05,19:00:00"'


@pytest.fixture
def modem(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        with running_modem(tmp_path, "--family", "bg95", "--speed", "100", "--place", "harbour", "--resolve",
                           f"a.example:5683=127.0.0.1:{peer.getsockname()[1]}", ready=False) as running:
            running.peer = peer
            peer.settimeout(5)
            awake(running)
            yield running


def awake(modem):
    terminal = modem.terminal
    terminal.until(b"+QIND: PB DONE\r\n")
    terminal.write(b"ATE0\r")
    terminal.until(b"\r\nOK\r\n")
    terminal.ok("AT+CMEE=1")


def refused(modem, command, code):
    assert modem.terminal.at(command) == f"\r\n+CME ERROR: {code}\r\n", command


def fixes(modem):
    return [event["ttff_s"] for event in modem.events("gnss_fix")]


def world(modem):
    return modem.ask(get="state")["now_ms"] // 1000


def test_position_as_the_facts_print_it():
    fix = Fix(60.17001, 24.94003, 25.0, 6.0, 0.0, 0.0, 1767323045)  # 2026-01-02 03:04:05
    assert fmt.qgpsloc(fix, 2, 2) == ("+QGPSLOC: 030405.000,60.17001,24.94003,1.2,25.0,2,0.00,0.0,0.0,020126,08")
    assert fmt.qgpsloc(fix, 0).split(",")[1:3] == ["6010.2006N", "02456.4018E"]
    south = Fix(-33.999999999, -151.2, 25.0, 6.0, 1.0, 270.0, 1767323045)
    assert fmt.qgpsloc(south, 1).split(",")[1:5] == ["3400.000000", "S", "15112.000000", "W"]  # no 60 minutes


def test_session(modem):
    terminal = modem.terminal
    refused(modem, "AT+QGPSLOC=2", 505)
    refused(modem, "AT+QGPSEND", 505)
    terminal.ok("AT+QGPS=1,30,50,0,1")
    refused(modem, "AT+QGPS=1", 504)
    refused(modem, "AT+QGPSLOC=2", 516)
    assert terminal.ok("AT+QGPS?") == ["+QGPS: 1"]
    modem.event("gnss_fix")
    assert fixes(modem) == [35.0]
    fields = terminal.ok("AT+QGPSLOC=2")[0].removeprefix("+QGPSLOC: ").split(",")
    assert len(fields) == 11 and abs(float(fields[1]) - 54.4716) < 0.001 and abs(float(fields[2]) - 9.0447) < 0.001
    when = datetime.datetime.strptime(fields[9] + fields[0], "%d%m%y%H%M%S.000").replace(tzinfo=datetime.UTC)
    assert abs(when.timestamp() - world(modem)) < 30
    refused(modem, 'AT+QGPSGNMEA="GGA"', 507)  # no NMEA unless asked for
    terminal.ok('AT+QGPSCFG="nmeasrc",1')
    for kind in ("GGA", "RMC", "GSA", "GSV", "VTG"):
        line = terminal.ok(f'AT+QGPSGNMEA="{kind}"')[0]
        sentence = NMEAReader.parse(line.removeprefix("+QGPSGNMEA: ") + "\r\n")
        assert sentence.msgID == kind
        assert kind not in ("GGA", "RMC") or abs(sentence.lat - 54.4716) < 0.001
    modem.ask(fault="no_fix")
    refused(modem, "AT+QGPSLOC=2", 516)
    terminal.ok("AT+QGPSEND")
    refused(modem, "AT+QGPSLOC=2", 505)


@pytest.mark.parametrize("priority", [0, 1])
def test_one_radio_for_two(modem, priority):
    """0: what LTE has to send waits for the fix; 1: the search waits for LTE."""
    terminal = modem.terminal
    modem.event("bearer_up")
    terminal.ok(f'AT+QGPSCFG="priority",{priority}')
    terminal.ok("AT+QIACT=1")
    terminal.ok('AT+QIOPEN=1,0,"UDP","a.example",5683,0,0')
    terminal.until(b"+QIOPEN: 0,0\r\n")
    terminal.ok("AT+QGPS=1")
    terminal.write(b"AT+QISEND=0,2\r")
    terminal.exactly(b"\r\n> ")
    terminal.write(b"hi")
    terminal.exactly(b"\r\nSEND OK\r\n")  # the modem has it, no more
    if priority:
        assert modem.peer.recv(10) == b"hi"
        modem.event("gnss_fix", timeout_s=20)
        assert fixes(modem)[0] > 39.0
    else:
        modem.event("gnss_fix", timeout_s=20)
        assert fixes(modem) == [35.0]
        assert modem.peer.recv(10) == b"hi"


def upload(modem, name, data):
    terminal = modem.terminal
    terminal.write(f'AT+QFUPL="{name}",{len(data)},60\r'.encode())
    terminal.exactly(b"\r\nCONNECT\r\n")
    terminal.write(data)
    terminal.until(b"\r\nOK\r\n")


def test_predictions(modem):
    terminal = modem.terminal
    refused(modem, 'AT+QGPSXTRADATA="UFS:xtra2.bin"', 509)
    terminal.ok("AT+QGPSXTRA=1")
    assert terminal.ok("AT+QGPSXTRA?") == ["+QGPSXTRA: 1"]
    refused(modem, "AT+QGPSXTRADATA?", 509)  # enabled after the next start
    terminal.ok("AT+CFUN=1,1")
    awake(modem)
    assert terminal.ok("AT+QGPSXTRADATA?") == [NEVER]
    refused(modem, 'AT+QGPSXTRADATA="UFS:xtra2.bin"', 405)
    start = world(modem) - 3600
    upload(modem, "xtra2.bin", xtra.make(start, 168, 4000))
    upload(modem, "broken.bin", xtra.make(start, 168, 4000)[:-1])
    upload(modem, "old.bin", xtra.make(start - 30 * 86400, 168, 4000))
    refused(modem, 'AT+QGPSXTRADATA="UFS:xtra2.bin"', 508)  # no time yet
    refused(modem, 'AT+QGPSXTRATIME=0,"2001/01/02,03:04:05",1,1,3500', 508)
    now = datetime.datetime.fromtimestamp(world(modem), datetime.UTC)
    terminal.ok(f'AT+QGPSXTRATIME=0,"{now:%Y/%m/%d,%H:%M:%S}",1,1,3500')
    refused(modem, 'AT+QGPSXTRADATA="UFS:broken.bin"', 501)
    refused(modem, 'AT+QGPSXTRADATA="UFS:old.bin"', 512)
    terminal.ok('AT+QGPSXTRADATA="UFS:xtra2.bin"')
    first = datetime.datetime.fromtimestamp(start, datetime.UTC)
    assert terminal.ok("AT+QGPSXTRADATA?") == [f'+QGPSXTRADATA: 10080,"{first:%Y/%m/%d,%H:%M:%S}"']
    terminal.ok("AT+QGPS=1")
    refused(modem, 'AT+QGPSXTRADATA="UFS:xtra2.bin"', 504)  # only while it is off
    modem.event("gnss_fix")
    assert fixes(modem)[-1] < 20.0  # 35 s without
    terminal.ok("AT+QGPSEND")
    terminal.ok("AT+QGPSDEL=0")
    assert terminal.ok("AT+QGPSXTRADATA?") == [NEVER]
    terminal.ok("AT+QGPS=1")
    modem.event("gnss_fix", count=2)
    assert fixes(modem)[-1] == 35.0
