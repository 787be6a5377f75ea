"""DTLS of the families whose credentials are files (SARA-R5, BG95) against OpenSSL's own server: who is let in."""

import os

from modemsim_support import running_modem
from test_modemsim_dtls import certificates, free_port, server  # noqa: F401 (a fixture among them)

from godwit import pki

HOST = pki.HOST


def started(tmp_path, family, rules, *args):
    return running_modem(tmp_path, "--family", family, "--speed", "50", "--place", "harbour", "--patience", "0.3",
                         *(text for name, port in rules for text in ("--resolve", f"{name}:5684=127.0.0.1:{port}")),
                         *args, ready=False)


def awake(modem, last_line):
    modem.event("boot")
    terminal = modem.terminal
    if last_line:
        terminal.until(last_line)
    terminal.write(b"ATE0\r")
    terminal.until(b"\r\nOK\r\n")
    terminal.ok("AT+CMEE=1")
    modem.event("bearer_up")
    return terminal


# SARA-R5


def stored(terminal, kind, name, data):
    terminal.write(f'AT+USECMNG=0,{kind},"{name}",{len(data)}\r'.encode())
    terminal.exactly(b"\r\n>")
    terminal.write(data)
    return terminal.until(b"\r\n\r\nOK\r\n").decode().strip().split("\r\n")[0]


def connected(terminal, host, *settings):
    """+USOCO over profile 1 with these settings; its whole answer. The socket is closed when it fails."""
    terminal.ok("AT+USECPRF=1")
    for setting in settings:
        terminal.ok(f"AT+USECPRF=1,{setting}")
    handle = terminal.ok("AT+USOCR=17")[0][-1]
    terminal.ok(f"AT+USOSEC={handle},1,1")
    answer = terminal.at(f'AT+USOCO={handle},"{host}",5684', timeout_s=15)
    if "ERROR" in answer:
        terminal.ok(f"AT+USOCL={handle}")
    return answer


def test_sara_r5(tmp_path, certificates):  # noqa: F811
    with server(certificates) as (process, port), server(certificates, "wrong-host") as (_, other), \
            started(tmp_path, "sara_r5", ((HOST, port), ("other.example", other),
                                          ("silent.example", free_port()))) as modem:
        terminal = awake(modem, None)
        for command in ("AT+UPSD=0,100,1", "AT+UPSDA=0,3"):
            terminal.ok(command)
        terminal.until(b"+UUPSDA: 0")
        terminal.until(b"\r\n")
        ca = (certificates / "ca.pem").read_bytes()
        line = stored(terminal, 0, "root", ca)
        assert line.startswith('+USECMNG: 0,0,"root","') and len(line) == 22 + 33
        assert terminal.ok('AT+USECMNG=4,0,"root"') == [line.replace("+USECMNG: 0", "+USECMNG: 4")]
        assert terminal.ok("AT+USECMNG=3")[0].startswith('"CA","root","')
        stored(terminal, 0, "stranger", (certificates / "wrong-ca.pem").read_bytes())
        refused = "\r\n+CME ERROR: 3\r\n"
        terminal.write(b'AT+USECMNG=0,0,"bad",4\r')
        terminal.exactly(b"\r\n>")
        terminal.write(b"junk")
        terminal.exactly(refused.encode())
        named = f'4,"{HOST}"'
        assert connected(terminal, HOST, "0,2", '3,"stranger"', named) == refused
        assert connected(terminal, "other.example", "0,2", '3,"root"', named) == refused
        assert connected(terminal, HOST, "0,2", '3,"root"') == refused  # no name to expect
        assert connected(terminal, HOST, "0,2", '3,"nosuch"', named) == refused
        assert connected(terminal, "silent.example", "0,0") == refused
        reasons = [event["reason"] for event in modem.events("connect_failed")]
        expected = ("certificate", "host name", "no expected", "no such", "timeout")
        assert all(words in reason for reason, words in zip(reasons, expected, strict=True)), reasons
        assert connected(terminal, "other.example", "0,1", '3,"root"') == "\r\nOK\r\n"  # any name will do
        assert connected(terminal, HOST, "0,3", '3,"root"', named, f'10,"{HOST}"') == "\r\nOK\r\n"
        terminal.write(b"AT+USOWR=1,5\r")
        terminal.exactly(b"\r\n@")
        terminal.quiet(0.06)
        terminal.write(b"hello")
        terminal.exactly(b"\r\n+USOWR: 1,5\r\n\r\nOK\r\n")
        assert os.read(process.stdout.fileno(), 100) == b"hello"
        process.stdin.write(b'"OK"\r\n')
        process.stdin.flush()
        terminal.exactly(b"\r\n+UUSORF: 1,6\r\n")
        terminal.write(b"AT+USORF=1,1024\r")
        terminal.exactly(b'\r\n+USORF: 1,"192.0.2.10",5684,6,""OK"\r\n"\r\n\r\nOK\r\n')
        terminal.ok('AT+USECMNG=2,0,"root"')
        assert terminal.at('AT+USECMNG=4,0,"root"') == refused


# BG95


def tried(terminal, host, *settings):
    """Error code of +QSSLOPEN with context 1 set so."""
    for setting in ("dtls,1", "dtlsversion,1", "seclevel,1", "ignorelocaltime,1", *settings):
        name, _, value = setting.partition(",")
        terminal.ok(f'AT+QSSLCFG="{name}",1,{value}')
    terminal.ok(f'AT+QSSLOPEN=1,1,4,"{host}",5684,0')
    line = terminal.until(b"\r\n+QSSLOPEN: 4,", timeout_s=15) and terminal.until(b"\r\n")
    return int(line)


def test_bg95(tmp_path, certificates):  # noqa: F811
    with server(certificates) as (process, port), server(certificates, "expired") as (_, old), \
            started(tmp_path, "bg95", ((HOST, port), ("old.example", old), ("silent.example", free_port())),
                    "--file", f"ca.pem={certificates / 'ca.pem'}", "--file",
                    f"stranger.pem={certificates / 'wrong-ca.pem'}") as modem:
        terminal = awake(modem, b"PB DONE\r\n")
        terminal.ok("AT+QIACT=1")
        ours, theirs = 'cacert,"UFS:ca.pem"', 'cacert,"UFS:stranger.pem"'
        assert tried(terminal, HOST, theirs) == 566
        assert tried(terminal, HOST, 'cacert,"UFS:nosuch.pem"') == 566
        assert tried(terminal, "old.example", ours, "ignorelocaltime,0") == 566
        assert tried(terminal, "nowhere.example", ours) == 565
        assert tried(terminal, "silent.example", ours, "negotiatetime,10") == 569
        assert tried(terminal, HOST, ours, "dtls,0") == 555  # TLS over TCP is not there
        assert tried(terminal, HOST, ours, "sni,1") == 0
        terminal.write(b"AT+QSSLSEND=4,5\r")
        terminal.exactly(b"\r\n> ")
        terminal.write(b"hello")
        terminal.exactly(b"\r\nSEND OK\r\n")
        assert os.read(process.stdout.fileno(), 100) == b"hello"
        process.stdin.write(b"> OK\r\n")
        process.stdin.flush()
        terminal.exactly(b'\r\n+QSSLURC: "recv",4\r\n')
        terminal.write(b"AT+QSSLRECV=4,1500\r")
        terminal.exactly(b"\r\n+QSSLRECV: 6\r\n> OK\r\n\r\nOK\r\n")
        assert terminal.ok("AT+QSSLRECV=4,1500") == ["+QSSLRECV: 0"]
        process.stdin.close()
        process.stdin = None
        terminal.exactly(b'\r\n+QSSLURC: "closed",4\r\n')
        terminal.ok("AT+QSSLCLOSE=4,10")
        assert tried(terminal, "old.example", ours, "ignorelocaltime,1") == 0  # only the clock stood in the way
