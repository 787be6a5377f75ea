"""Sockets in AT (modems.md 2A.6): #XSOCKET and its family. UDP and DTLS; streams are refused.

Strings, hex and data mode for sending; pull, poll and auto-receive for receiving.
"""

from godwit.modem.dtls import VERIFY_REQUIRED
from godwit.modem.grammar import CommandError
from godwit.modem.handle import OPT_RAI, RAI_NO_DATA
from godwit.modem.sm import format as fmt
from godwit.modem.sm.datamode import DataPhase
from godwit.modem.sm.registry import Reply, command

_STRING, _HEX, _DATA = range(3)
_HEX_MAX = 2800
_LENGTH_MAX = 65535
_RECEIVE_MAX = 2048
_SEND_FLAGS = (0, 512, 8192)
_PEEK, _DONTWAIT = 2, 64
_DGRAM, _DTLS = 2, 2

# name -> operations allowed: g(et), s(et)
OPTIONS = {2: "gs", 20: "gs", 21: "gs", 30: "gs", 31: "gs", 32: "gs", 34: "gs", 40: "s", 55: "gs", 61: "s"}
SECURE_OPTIONS = {2: "s", 4: "g", 5: "gs", 12: "gs", 13: "s", 14: "s", 15: "g", 18: "gs", 19: "s", 20: "s", 22: "gs"}
_CID, _CONN_SAVE, _CONN_LOAD = 14, 19, 20
_CID_SETTINGS = (0, 1, 2)
_HANDSHAKE_TIMEOUTS = (1, 3, 7, 15, 31, 63, 123)


def _socket(dev, params, i=0, secure=None):
    try:
        sock = dev.core.net.get(params.number(i))
    except KeyError as err:
        raise CommandError from err
    if secure is not None and secure != (sock.sec_tag is not None):
        raise CommandError
    return sock


# open and close


@command("#XSOCKET", "set")
def _open(dev, params):
    family, kind, role = params.number(0, 1, 3), params.number(1, 1, 3), params.number(2, 0, 1)
    if family != 1 or kind != _DGRAM or role != 0:
        raise CommandError
    sock = _opened(dev, family, params.number(3, 0, 10, default=0))
    return f"#XSOCKET: {sock.handle},{_DGRAM},17"


@command("#XSSOCKET", "set")
def _open_secure(dev, params):
    family, kind, role = params.number(0, 1, 2), params.number(1, 1, 2), params.number(2, 0, 1)
    tag, verify = params.number(3), params.number(4, 0, 2, default=VERIFY_REQUIRED)
    if family != 1 or kind != _DTLS or role != 0:
        raise CommandError
    sock = _opened(dev, family, params.number(5, 0, 10, default=0), tag, verify)
    return f"#XSSOCKET: {sock.handle},{_DTLS},273"


def _opened(dev, *args):
    try:
        return dev.core.net.open(*args)
    except OSError as err:
        raise CommandError from err


@command("#XSOCKET", "read")
def _sockets(dev, params):
    return [f"#XSOCKET: {s.handle},{s.family},0,2,{s.cid}" for s in dev.core.net.all() if s.sec_tag is None]


@command("#XSSOCKET", "read")
def _secure_sockets(dev, params):
    return [f"#XSSOCKET: {s.handle},{s.family},0,2,{s.sec_tag},{s.cid}" for s in dev.core.net.all()
            if s.sec_tag is not None]


@command("#XCLOSE", "set")
def _close(dev, params):
    sock = _socket(dev, params)
    dev.core.net.close(sock.handle)
    return f"#XCLOSE: {sock.handle},0"


@command("#XCLOSE", "exec")
def _close_all(dev, params):
    handles = [sock.handle for sock in dev.core.net.all()]
    dev.core.net.close_all()
    return [f"#XCLOSE: {handle},0" for handle in handles]


@command("#XBIND", "set")
def _bind(dev, params):
    _socket(dev, params)
    params.number(1, 0, 65535)  # the NAT picks its own port


@command("#XCONNECT", "set")
async def _connect(dev, params):
    sock, host, port = _socket(dev, params), params.text(1), params.number(2, 1, 65535)
    try:
        await sock.connect(host, port)
    except OSError as err:
        dev.core.log.event("connect_failed", handle=sock.handle, host=host, port=port, reason=str(err))
        raise CommandError from err
    dev.core.log.event("connect", handle=sock.handle, host=host, port=port)
    return f"#XCONNECT: {sock.handle},1"


@command("#XGETADDRINFO", "set")
async def _resolve(dev, params):
    try:
        return f'#XGETADDRINFO: "{await dev.core.net.resolve(params.text(0))}"'
    except OSError as err:
        raise CommandError(f'#XGETADDRINFO: "{err}"') from err


# options


def _option(dev, params, table, secure):
    sock, operation, name = _socket(dev, params, secure=secure), params.number(1, 0, 1), params.number(2)
    if "gs"[operation] not in table.get(name, ""):
        raise CommandError
    return sock, operation, name


@command("#XSOCKETOPT", "set")
def _socket_option(dev, params):
    sock, operation, name = _option(dev, params, OPTIONS, None)
    if operation == 0:
        return f"#XSOCKETOPT: {sock.handle},{sock.options.get(name, 0)}"
    value = params.number(3, default=1)
    if (name, value) == (OPT_RAI, RAI_NO_DATA):
        dev.core.radio.release_soon()  # said of now, not of the next sending
    else:
        sock.options[name] = value
    return None


@command("#XSSOCKETOPT", "set")
def _secure_option(dev, params):
    sock, operation, name = _option(dev, params, SECURE_OPTIONS, True)
    if operation == 0:
        special = {4: lambda: f"0x{sock.suite:04x}", 15: lambda: sock.cid_status}
        value = special.get(name, lambda: sock.options.get(name, 0))()
        return f"#XSSOCKETOPT: {sock.handle},{value}"
    if name in (_CONN_SAVE, _CONN_LOAD):
        _rest(dev, sock, params, sock.save if name == _CONN_SAVE else sock.load)
    elif name == _CID and (sock.connected or params.number(3) not in _CID_SETTINGS):
        raise CommandError  # it is part of the ClientHello
    elif name == 2:
        sock.options[name] = params.text(3)
    elif name == 18 and params.number(3) not in _HANDSHAKE_TIMEOUTS:
        raise CommandError
    else:
        sock.options[name] = params.number(3, 0, 123, default=0)
    return None


def _rest(dev, sock, params, verb):
    params.number(3, 0, 1)
    try:
        verb()
    except OSError as err:
        dev.core.log.event("option_failed", handle=sock.handle, reason=str(err))
        raise CommandError from err


# send


def _payload(params, mode, i):
    text = params.text(i)
    if mode == _STRING:
        return text.encode("latin-1")
    if len(text) > _HEX_MAX:
        raise CommandError
    try:
        return bytes.fromhex(text)
    except ValueError as err:
        raise CommandError from err


def _sink(dev, send):
    async def sink(data):
        if dev.core.faults.on("no_data"):
            return False
        try:
            await send(data)
            return True
        except OSError as err:
            dev.core.log.event("send_failed", reason=str(err))
            return False

    return sink


async def _send_by(dev, params, i, send, answer):
    """Common part of #XSEND and #XSENDTO; `i` is the index of data or length."""
    mode, flags = params.number(1, 0, 2), params.number(2)
    if flags not in _SEND_FLAGS:
        raise CommandError
    if mode == _DATA:
        length = params.number(i, 1, _LENGTH_MAX) if params.given(i) else None
        return Reply(phase=DataPhase(_sink(dev, send), length))
    try:
        sent = await send(_payload(params, mode, i))
    except OSError as err:
        raise CommandError(f"{answer},0,-1") from err
    return f"{answer},0,{sent}"


@command("#XSEND", "set")
async def _send(dev, params):
    sock = _socket(dev, params)

    async def send(data):
        return sock.send(data)

    if sock.dead or sock.saved or not sock.connected:
        raise CommandError
    return await _send_by(dev, params, 3, send, f"#XSEND: {sock.handle}")


@command("#XSENDTO", "set")
async def _send_to(dev, params):
    sock, host, port = _socket(dev, params), params.text(3), params.number(4, 1, 65535)

    async def send(data):
        return await sock.send_to(data, host, port)

    return await _send_by(dev, params, 5, send, f"#XSENDTO: {sock.handle}")


# receive


@command("#XRECV", "set")
async def _receive(dev, params):
    return await _pull(dev, params, False)


@command("#XRECVFROM", "set")
async def _receive_from(dev, params):
    return await _pull(dev, params, True)


async def _pull(dev, params, with_source):
    sock, as_hex, flags = _socket(dev, params), params.number(1, 0, 1), params.number(2)
    timeout_s = params.number(3)
    limit = params.number(4, 1, _RECEIVE_MAX, default=_RECEIVE_MAX)
    if sock.saved:
        raise CommandError
    if not sock.queue and not flags & _DONTWAIT:
        await sock.wait(timeout_s or None)
    if not sock.queue:
        if sock.hup:
            return None  # end of the association: nothing but OK
        raise CommandError
    data, source = sock.take(limit, peek=bool(flags & _PEEK))
    return Reply(raw=fmt.received(sock, data, source, bool(as_hex), with_source))


@command("#XRECVCFG", "set")
def _auto_receive(dev, params):
    _socket(dev, params).auto = (params.number(1, 0, 3), bool(params.number(2, 0, 1, default=0)))


@command("#XAPOLL", "set")
def _poll(dev, params):
    operation = params.number(1, 0, 1)
    mask = params.number(2, 0, 5, default=5) if operation else None
    if params.given(0):
        _socket(dev, params).set_poll(mask)
        return
    dev.core.net.poll_all = mask
    for sock in dev.core.net.all():
        sock.set_poll(mask)
