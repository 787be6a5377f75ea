"""Sockets of BG95 in AT (modems.md 2C.4): +QIOPEN and its family. UDP only.

Opening answers OK at once and tells the result in a line of its own. In buffer mode the host is told once that data
waits, and not again before it has read everything; in push mode the data come by themselves.
"""

import dataclasses

from godwit.modem.grammar import CommandError
from godwit.modem.registry import Block, Registry, Reply

COMMANDS = Registry()
command = COMMANDS.command

IDS = 12
SEND_MAX, HEX_MAX, READ_MAX = 1460, 512, 1500
WINDOW_S = 10.0
CTRL_Z, ESCAPE = b"\x1a", b"\x1b"
BUFFER, PUSH = 0, 1
CONNECTED = 2
OK, PARAMETERS, NOT_SUPPORTED, PDP, IN_USE, DNS, REFUSED, CLOSED, BUSY, TIMEOUT, CANCELLED = (
    0, 552, 555, 561, 563, 565, 566, 567, 568, 569, 571)  # fmt: skip
_WORDS = {
    0: "operate successfully", 550: "unknown error", 551: "operation blocked", 552: "invalid parameters",
    553: "memory not enough", 554: "create socket failed", 555: "operation not supported", 556: "socket bind failed",
    557: "socket listen failed", 558: "socket write failed", 559: "socket read failed", 560: "socket accept failed",
    561: "open PDP context failed", 562: "close PDP context failed", 563: "socket identity has been used",
    564: "DNS busy", 565: "DNS parse failed", 566: "socket connect failed", 567: "socket has been closed",
    568: "operation busy", 569: "operation timeout", 570: "PDP context broken down", 571: "cancel send",
    572: "operation not allowed", 573: "APN not configured", 574: "port busy",
}  # fmt: skip


@dataclasses.dataclass
class Connect:
    """One connect id, of +QIOPEN or +QSSLOPEN."""

    sock: object
    kind: str  # "UDP", "UDP SERVICE" or "DTLS"
    host: str
    port: int
    mode: int  # 0 buffer, 1 push
    ssl: int | None = None  # SSL context
    told: bool = False  # the host knows that data waits
    read: int = 0
    sent: int = 0


def failed(dev, number):
    """ERROR, and the reason for +QIGETERROR; to be raised."""
    dev.last_error = number
    return CommandError()


@command("+QIGETERROR", "exec")
def _last_error(dev, params):
    return f"+QIGETERROR: {dev.last_error},{_WORDS[dev.last_error]}"


# open and close


@command("+QIOPEN", "set")
def _open(dev, params):
    context, number, kind = params.number(0, 1, 16), params.number(1, 0, IDS - 1), params.text(2)
    host, port, mode = params.text(3), params.number(4, 0, 65535), params.number(6, 0, 2, default=BUFFER)
    params.number(5, 0, 65535, default=0)  # the NAT picks its own port
    if kind not in ("UDP", "UDP SERVICE") or mode > PUSH or context != dev.core.profile.context:
        raise failed(dev, NOT_SUPPORTED)
    if kind == "UDP" and not (host and port):
        raise failed(dev, PARAMETERS)
    return Reply(then=lambda: dev.core.spawn(_opening(dev, number, kind, host, port, mode)))


async def _opening(dev, number, kind, host, port, mode):
    result = await _result(dev, number, kind, host, port, mode)
    dev.last_error = result
    dev.announce(f"+QIOPEN: {number},{result}")


async def _result(dev, number, kind, host, port, mode):
    if not dev.active:
        return PDP
    if number in dev.connects:
        return IN_USE
    connect = new_connect(dev, dev.connects, number, kind, host, port, mode)
    if connect is None:
        return BUSY
    if kind == "UDP SERVICE":
        return OK
    try:
        await connect.sock.connect(host, port)
    except OSError as err:
        return gave_up(dev, dev.connects, number, connect, err)
    return OK


def new_connect(dev, table, number, kind, host, port, mode, ssl=None):
    """A Connect with a fresh socket in its table; None when no socket is left."""
    try:
        sock = dev.core.net.open()
    except OSError:
        return None
    table[number] = Connect(sock, kind, host, port, mode, ssl)
    return table[number]


def gave_up(dev, table, number, connect, err):
    """The error code of an attempt that came to nothing; its id is free again, unless the host was faster."""
    if table.get(number) is connect:
        del table[number]
        dev.core.net.close(connect.sock.handle)
    dev.core.log.event("connect_failed", handle=number, host=connect.host, port=connect.port, reason=str(err))
    return {"host not found": DNS, "handshake timeout": TIMEOUT}.get(str(err), REFUSED)


@command("+QICLOSE", "set")
def _close(dev, params):
    number = params.number(0, 0, IDS - 1)
    params.number(1, 0, 65535, default=10)
    connect = dev.connects.pop(number, None)
    if connect:
        dev.core.net.close(connect.sock.handle)


def _connect(dev, table, params):
    connect = table.get(params.number(0, 0, IDS - 1))
    if connect is None:
        raise failed(dev, CLOSED)
    return connect


@command("+QISTATE", "set")
def _state(dev, params):
    by_id, number = params.number(0, 0, 1), params.number(1, 0, 16)
    if by_id:
        return _described(number, dev.connects[number]) if number in dev.connects else None
    return _states(dev, params) if number == dev.core.profile.context else None


@command("+QISTATE", "read", "exec")
def _states(dev, params):
    return [_described(number, connect) for number, connect in sorted(dev.connects.items())]


def _described(number, connect):
    state = CONNECTED if connect.sock.connected or connect.kind == "UDP SERVICE" else 1
    if connect.sock.dead or connect.sock.hup:
        state = 4
    return (f'+QISTATE: {number},"{connect.kind}","{connect.host}",{connect.port},{local_port(connect)},{state},1,0,'
            f'{connect.mode},"uart1"')


def local_port(connect):
    """As the modem numbers it; the NAT has its own."""
    return 50000 + connect.sock.handle


# send


@command("+QISEND", "set")
async def _send(dev, params):
    connect = _connect(dev, dev.connects, params)
    if len(params) > 1 and params.number(1, 0, SEND_MAX) == 0:
        return f"+QISEND: {connect.sent},{connect.sent},0"
    target = (params.text(2), params.number(3, 1, 65535)) if connect.kind == "UDP SERVICE" else None
    return await send(dev, connect, await asked(dev, params), target)


async def asked(dev, params):
    """The payload that follows the prompt: counted, or until Ctrl-Z."""
    length = params.number(1, 1, SEND_MAX) if params.given(1) else None
    try:
        data = await dev.prompt("\r\n> ", length, WINDOW_S, ends=b"" if length else CTRL_Z,
                                cancels=b"" if length else ESCAPE)
    except CommandError:
        raise failed(dev, CANCELLED) from None
    if not 0 < len(data) <= SEND_MAX:
        raise failed(dev, PARAMETERS)
    return data


@command("+QISENDEX", "set")
async def _send_hex(dev, params):
    connect, text = _connect(dev, dev.connects, params), params.text(1)
    try:
        data = bytes.fromhex(text)
    except ValueError as err:
        raise failed(dev, PARAMETERS) from err
    if not data or len(text) > HEX_MAX:
        raise failed(dev, PARAMETERS)
    return await send(dev, connect, data)


async def send(dev, connect, data, target=None):
    """SEND OK means that the modem has it; SEND FAIL that it has nowhere to send it."""
    try:
        if target:
            await connect.sock.send_to(data, *target)
        else:
            connect.sock.send(data)
    except OSError as err:
        dev.core.log.event("send_failed", handle=connect.sock.handle, reason=str(err))
        dev.last_error = CLOSED
        return Reply(final="SEND FAIL")
    connect.sent += len(data)
    return Reply(final="SEND OK")


# receive


@command("+QIRD", "set")
def _read(dev, params):
    connect, limit = _connect(dev, dev.connects, params), params.number(1, 0, READ_MAX, default=READ_MAX)
    if limit == 0:
        waiting = sum(len(data) for data, _ in connect.sock.queue)
        return f"+QIRD: {connect.read + waiting},{connect.read},{waiting}"
    if connect.mode != BUFFER:
        raise failed(dev, NOT_SUPPORTED)
    data, source = taken(connect, limit)
    if data is None:
        return "+QIRD: 0"
    tail = f',"{source[0]}",{source[1]}' if connect.kind == "UDP SERVICE" else ""
    return Reply(raw=Block("+QIRD: {n}" + tail + "\r\n", data, b"\r\n"))


def taken(connect, limit):
    """The next datagram cut to `limit` and its source; (None, None) when there is none."""
    queue = connect.sock.queue
    if not queue:
        return None, None
    data, source = connect.sock.take(limit)
    connect.read += len(data)
    connect.told = bool(queue)
    return data, source


def _found(dev, sock):
    for table, name in ((dev.connects, "+QIURC"), (dev.ssl_connects, "+QSSLURC")):
        for number, connect in table.items():
            if connect.sock is sock:
                return number, connect, name
    return None, None, None


def data_arrived(dev, sock):
    """`"recv"`: once per filling of the buffer, or with the data."""
    number, connect, name = _found(dev, sock)
    if connect is None:
        return None
    if connect.mode == PUSH:
        return [Block(f'{name}: "recv",{number},{{n}}\r\n', taken(connect, READ_MAX)[0], b"\r\n")
                for _ in range(len(connect.sock.queue))]
    if connect.told or not connect.sock.queue:
        return None
    connect.told = True
    return f'{name}: "recv",{number}'


def peer_closed(dev, sock):
    """`"closed"`: the id stays in use until the host closes it. What dies with the bearer does so without a word."""
    number, connect, name = _found(dev, sock)
    return f'{name}: "closed",{number}' if connect and not sock.dead else None


# names


@command("+QIDNSGIP", "set")
def _resolve(dev, params):
    if params.number(0, 1, 16) != dev.core.profile.context or not dev.active:
        raise failed(dev, PDP)
    host = params.text(1)
    return Reply(then=lambda: dev.core.spawn(_resolving(dev, host)))


async def _resolving(dev, host):
    try:
        address = await dev.core.net.resolve(host)
    except OSError as err:
        dev.core.log.event("dns_failed", host=host, reason=str(err))
        dev.announce(f'+QIURC: "dnsgip",{DNS}')
        return
    dev.announce('+QIURC: "dnsgip",0,1,600')
    dev.announce(f'+QIURC: "dnsgip","{address}"')


