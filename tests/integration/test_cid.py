"""Connection IDs over the AT path: simulated modem and twin, by AT commands and by lib/modem/nrf91 in MicroPython.

What happened is asked of the twin: one handshake, one authentication, however often the address changes.
"""

import contextlib
import itertools

import pytest
from cid_support import needs_cid
from modemsim_support import running_modem
from nrf91_support import device
from test_modemsim_dtls import certificates, modem_for, server  # noqa: F401  a fixture, and openssl s_server
from twin_support import CON, GET, HOST, POST, Answer, Process, encode, running, token

TAG = 16842753
MIDS = itertools.count(1)
CBC = "ECDHE-ECDSA-AES128-SHA256"


def options(port, pki):
    return ("--speed", "50", "--place", "harbour", "--resolve", f"{HOST}:5684=127.0.0.1:{port}",
            "--credential", f"{TAG}:0={pki / 'ca.pem'}")  # fmt: skip


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    with running(tmp_path_factory.mktemp("twin")) as made:
        yield made


@pytest.fixture(scope="module")
def attached(twin, tmp_path_factory):
    with running_modem(tmp_path_factory.mktemp("modem"), *options(twin.coap_port, twin.pki)) as made:
        made.attach()
        made.terminal.ok("AT#XDATACTRL=1000")
        yield made


@pytest.fixture
def modem(attached):
    yield attached
    attached.terminal.ok("AT#XCLOSE")


def connect(modem, cid=1, keep=False):
    """Open a DTLS socket to the twin; -> its handle."""
    terminal = modem.terminal
    handle = int(terminal.ok(f"AT#XSSOCKET=1,2,0,{TAG},2")[0].split()[1].split(",")[0])
    terminal.ok(f'AT#XSSOCKETOPT={handle},1,2,"{HOST}"')
    terminal.ok(f"AT#XSSOCKETOPT={handle},1,14,{cid}")
    if keep:
        terminal.ok(f"AT#XSOCKETOPT={handle},1,34,1")
    terminal.ok(f'AT#XCONNECT={handle},"{HOST}",5684', timeout_s=10)
    return handle


def status(modem, handle):
    return modem.terminal.ok(f"AT#XSSOCKETOPT={handle},0,15")


def refused(modem, handle, option):
    """Is setting the option a plain ERROR?"""
    return modem.terminal.at(f"AT#XSSOCKETOPT={handle},1,{option},1") == "\r\nERROR\r\n"


def request(modem, handle, method, path, payload=b"", wait_s=5):
    """One CoAP exchange in hex mode; -> the code of the answer, None without one."""
    mid = next(MIDS)
    data = encode(method, path.split("/"), payload=payload, mid=mid, token=mid.to_bytes(2, "big"), kind=CON)
    assert modem.terminal.ok(f'AT#XSEND={handle},1,0,"{data.hex()}"') == [f"#XSEND: {handle},0,{len(data)}"]
    lines = modem.terminal.at(f"AT#XRECV={handle},1,0,{wait_s}", timeout_s=10).split("\r\n")
    return Answer(bytes.fromhex(lines[2])).dotted if len(lines) > 3 else None


def authenticate(modem, handle, twin):
    assert request(modem, handle, POST, "auth/jwt", token(twin)) == "2.01"


def last(twin):
    return twin.records()["sessions"][-1]


@needs_cid
@pytest.mark.parametrize("setting, told, known", [(0, 0, False), (1, 2, True), (2, 3, True)])
def test_what_is_negotiated(modem, twin, setting, told, known):
    """Option 14: nothing offered; the server may know us; and we want an ID on the server's records, too."""
    handle = connect(modem, setting)
    assert status(modem, handle) == [f"#XSSOCKETOPT: {handle},{told}"]
    assert modem.terminal.ok(f"AT#XSSOCKETOPT={handle},0,4") == [f"#XSSOCKETOPT: {handle},0xc02b"]
    assert refused(modem, handle, 14)  # after the handshake
    assert request(modem, handle, GET, "state") == "4.01"
    session = last(twin)
    assert (len(session["cid"]) == 16) if known else (session["cid"] is None)
    assert session["rebinds"] == 0


@needs_cid
def test_status_before_the_handshake(modem):
    modem.terminal.ok(f"AT#XSSOCKET=1,2,0,{TAG},2")
    assert status(modem, 0) == ["#XSSOCKETOPT: 0,0"]
    assert modem.terminal.at("AT#XSSOCKETOPT=0,1,14,3") == "\r\nERROR\r\n"
    assert refused(modem, 0, 19) and refused(modem, 0, 20)


@needs_cid
def test_new_address_in_mid_session(modem, twin):
    before = twin.records()["totals"]
    handle = connect(modem)
    authenticate(modem, handle, twin)
    addresses = {last(twin)["addr"]}
    for n in range(1, 4):
        modem.ask(fault="nat_rebind")
        assert request(modem, handle, GET, "state") == "2.05"
        assert last(twin)["rebinds"] == n
        addresses.add(last(twin)["addr"])
    after = twin.records()["totals"]
    assert len(addresses) == 4
    names = ("handshakes", "auth_ok", "rebinds", "handshake_failures")
    assert [after[name] - before[name] for name in names] == [1, 1, 3, 0]


@needs_cid
def test_without_an_id_a_new_address_is_a_new_session(modem, twin):
    handle = connect(modem, cid=0)
    authenticate(modem, handle, twin)
    old = last(twin)["id"]
    modem.ask(fault="nat_rebind")
    assert request(modem, handle, GET, "state", wait_s=1) is None
    handle = connect(modem, cid=0)
    assert request(modem, handle, GET, "state") == "4.01"
    assert last(twin)["id"] == old + 1


@needs_cid
def test_save_and_load(modem, twin):
    """CONN_SAVE, a new address while it rests, CONN_LOAD, and the session goes on: no handshake, no token."""
    handle = connect(modem)
    authenticate(modem, handle, twin)
    handshakes = twin.records()["totals"]["handshakes"]
    assert refused(modem, handle, 20)  # nothing saved
    modem.terminal.ok(f"AT#XSSOCKETOPT={handle},1,19,1")
    assert modem.ask(get="state")["sockets"][0]["saved"]
    assert refused(modem, handle, 19)
    assert modem.terminal.at(f'AT#XSEND={handle},1,0,"40"').endswith("ERROR\r\n")
    assert modem.terminal.at(f"AT#XSEND={handle},2,0,4").endswith("ERROR\r\n")
    assert modem.terminal.at(f"AT#XRECV={handle},1,64,0").endswith("ERROR\r\n")
    modem.ask(fault="nat_rebind")
    modem.terminal.ok(f"AT#XSSOCKETOPT={handle},1,20,1")
    assert request(modem, handle, GET, "state") == "2.05"
    assert status(modem, handle) == [f"#XSSOCKETOPT: {handle},2"]
    modem.terminal.ok(f"AT#XSSOCKETOPT={handle},1,19,1")  # and again
    modem.terminal.ok(f"AT#XSSOCKETOPT={handle},1,20,1")
    assert request(modem, handle, GET, "state") == "2.05"
    records = twin.records()
    assert (records["totals"]["handshakes"], records["sessions"][-1]["rebinds"]) == (handshakes, 1)


@needs_cid
def test_session_lost_while_it_rests(modem, twin):
    """The cloud forgot it: loading works, as no packet is sent; only the silence afterwards tells. Then a new one."""
    handle = connect(modem)
    authenticate(modem, handle, twin)
    modem.terminal.ok(f"AT#XSSOCKETOPT={handle},1,19,1")
    twin.faults(drop_sessions=True)
    unknown = twin.records()["totals"]["cid_unknown"]
    modem.terminal.ok(f"AT#XSSOCKETOPT={handle},1,20,1")
    assert request(modem, handle, GET, "state", wait_s=1) is None
    assert twin.records()["totals"]["cid_unknown"] == unknown + 1
    assert request(modem, connect(modem), GET, "state") == "4.01"


@needs_cid
def test_four_may_rest(modem, twin):
    handles = [connect(modem) for _ in range(5)]
    for handle in handles[:4]:
        modem.terminal.ok(f"AT#XSSOCKETOPT={handle},1,19,1")
    assert refused(modem, handles[4], 19)
    assert modem.event("option_failed", count=len(modem.events("option_failed")))["reason"] == "too many saved"
    assert request(modem, handles[4], GET, "state") == "4.01"  # as good as before
    modem.terminal.ok(f"AT#XCLOSE={handles[0]}")  # closing destroys what was saved
    modem.terminal.ok(f"AT#XSSOCKETOPT={handles[4]},1,19,1")


@needs_cid
def test_a_busy_socket_cannot_be_saved(modem, twin):
    handle = connect(modem)
    modem.terminal.ok(f'AT#XSEND={handle},1,0,"{encode(GET, ["state"]).hex()}"')
    modem.terminal.ok(f"AT#XAPOLL={handle},1,1")
    modem.terminal.until(f"#XAPOLL: {handle},1\r\n".encode())
    assert refused(modem, handle, 19)
    assert modem.terminal.ok(f"AT#XRECV={handle},1,0,1")[0].startswith("#XRECV:")
    modem.terminal.ok(f"AT#XSSOCKETOPT={handle},1,19,1")


@needs_cid
@pytest.mark.parametrize("keep", [True, False])
def test_flight_mode(modem, twin, keep):
    """KEEPOPEN: the association outlives CFUN=4, with a new address. Without it the socket is dead."""
    handle = connect(modem, keep=keep)
    authenticate(modem, handle, twin)
    terminal = modem.terminal
    terminal.ok("AT+CFUN=4")
    ups = len(modem.events("pdn_up"))
    terminal.ok("AT+CFUN=1")
    modem.event("pdn_up", count=ups + 1, timeout_s=10)
    if keep:
        assert request(modem, handle, GET, "state") == "2.05"
        assert last(twin)["rebinds"] == 1
    else:
        assert terminal.at(f'AT#XSEND={handle},1,0,"40"').endswith("ERROR\r\n")
        assert refused(modem, handle, 19)


def test_no_aead_no_saving(tmp_path, certificates):  # noqa: F811
    with server(certificates, "server", "-cipher", CBC) as (_, port), modem_for(tmp_path, certificates, port) as modem:
        modem.attach()
        handle = connect(modem)
        assert modem.terminal.ok(f"AT#XSSOCKETOPT={handle},0,4") == [f"#XSSOCKETOPT: {handle},0xc023"]
        assert refused(modem, handle, 19)
        assert modem.event("option_failed")["reason"] == "suite without AEAD"


def test_without_mbed_tls_there_is_no_id(tmp_path, twin):
    """Where the library is missing: said when ready, nothing offered, nothing saved, and all else as before."""
    with Process(twin.pki, "--dtls-engine", "openssl") as plain:
        assert plain.ready["cid"] is False
        plain.onboard(twin.device, twin.key)
        settings = (*options(plain.coap_port, twin.pki), "--dtls-engine", "openssl")
        with running_modem(tmp_path, *settings) as modem:
            assert modem.event("ready")["cid"] is False
            modem.attach()
            handle = connect(modem)
            assert status(modem, handle) == [f"#XSSOCKETOPT: {handle},0"]
            assert refused(modem, handle, 19)
            authenticate(modem, handle, twin)
            assert request(modem, handle, GET, "state") == "2.05"
        assert last(plain)["cid"] is None


@needs_cid
@pytest.mark.parametrize("bits", ["64", "32"])
def test_the_device_keeps_its_session(tmp_path, twin, bits):
    """lib/modem/nrf91: new address, pause, new address, resume by sending, flight mode; one handshake, one token."""
    gates = str(tmp_path / "gate")
    with contextlib.ExitStack() as stack:
        modem = stack.enter_context(running_modem(tmp_path, *options(twin.coap_port, twin.pki)))
        before = twin.records()["totals"]
        arguments = ("cid", HOST, 5684, TAG, token(twin).decode(), gates)
        made = stack.enter_context(device(modem, *arguments, bits=bits))
        assert made.until("first") == "2.05"
        modem.ask(fault="nat_rebind")
        open(gates + "1", "w").close()
        assert made.until("paused")
        assert modem.ask(get="state")["sockets"][0]["saved"]
        modem.ask(fault="nat_rebind")
        open(gates + "2", "w").close()
        found = made.finish()
    assert found["cid"] == [True, True]
    assert [found[name] for name in ("auth", "rebound", "resumed", "attached")] == ["2.01", "2.05", "2.05", "2.05"]
    assert found["sockets"] == 0
    after = twin.records()["totals"]
    assert [after[name] - before[name] for name in ("handshakes", "auth_ok", "rebinds")] == [1, 1, 3]
