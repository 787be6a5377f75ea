"""Sockets of SARA-R5 in AT (modems.md 2D.3): +USOCR and its family. UDP, plain or secured; TCP is refused.

A datagram is read with one command; what does not fit into the length asked for is lost. The host is told once that
data waits, and again after each read that leaves some. With +UDCONF=1,1 payloads are hex digits in quotes.
"""

from godwit.modem.grammar import CmeError, CommandError
from godwit.modem.registry import Block, Registry, Reply
from godwit.modem.ublox.cmd_security import arm

COMMANDS = Registry()
command = COMMANDS.command

UDP = 17
DATA_MAX, HEX_MAX = 1024, 512
SETTLE_S, WINDOW_S = 0.05, 10.0
_NOT_ALLOWED = 3
# Errors of +USOER (BSD numbers, as the manual has them).
_BAD_FILE, _NOT_CONNECTED, _REFUSED, _UNREACHABLE = 9, 107, 111, 113
_TYPE, _ERROR, _SENT, _RECEIVED, _PEER = range(5)


def _socket(dev, params, i=0):
    try:
        return dev.core.net.get(params.number(i, 0, 6))
    except KeyError as err:
        raise _failed(dev, _BAD_FILE) from err


def _failed(dev, number):
    dev.last_error = number
    return CmeError(_NOT_ALLOWED)


@command("+USOCR", "set")
def _create(dev, params):
    if params.number(0) != UDP or not dev.online:
        raise _failed(dev, _UNREACHABLE)
    params.number(1, 1, 65535, default=1)  # the NAT picks its own port
    try:
        sock = dev.core.net.open()
    except OSError as err:
        raise _failed(dev, _BAD_FILE) from err
    dev.traffic[sock.handle] = [0, 0]
    return f"+USOCR: {sock.handle}"


@command("+USOCO", "set")
async def _connect(dev, params):
    sock, host, port = _socket(dev, params), params.text(1), params.number(2, 1, 65535)
    try:
        if sock.handle in dev.secured:
            arm(dev, sock)
        await sock.connect(host, port)
    except OSError as err:
        dev.core.log.event("connect_failed", handle=sock.handle, host=host, port=port, reason=str(err))
        raise _failed(dev, _REFUSED) from err
    dev.peers[sock.handle] = (host, port)
    dev.core.log.event("connect", handle=sock.handle, host=host, port=port)


@command("+USOCL", "set")
def _close(dev, params):
    sock = _socket(dev, params)
    forget(dev, sock.handle)
    dev.core.net.close(sock.handle)


def forget(dev, handle):
    """A handle is free again."""
    dev.told.discard(handle)
    dev.secured.pop(handle, None)
    dev.traffic.pop(handle, None)
    dev.peers.pop(handle, None)


# send


@command("+USOST", "set")
async def _send_to(dev, params):
    sock, host, port = _socket(dev, params), params.text(1), params.number(2, 1, 65535)
    data = await _payload(dev, params, 3)
    try:
        await sock.send_to(data, host, port)
    except OSError as err:
        raise _refused(dev, sock, err) from err
    return _sent(dev, "+USOST", sock, data)


@command("+USOWR", "set")
async def _write(dev, params):
    sock = _socket(dev, params)
    if not sock.connected:
        raise _failed(dev, _NOT_CONNECTED)
    data = await _payload(dev, params, 1)
    try:
        sock.send(data)
    except OSError as err:
        raise _refused(dev, sock, err) from err
    return _sent(dev, "+USOWR", sock, data)


def _refused(dev, sock, err):
    dev.core.log.event("send_failed", handle=sock.handle, reason=str(err))
    return _failed(dev, _NOT_CONNECTED)


def _sent(dev, name, sock, data):
    if sock.handle in dev.traffic:
        dev.traffic[sock.handle][0] += len(data)
    return f"{name}: {sock.handle},{len(data)}"


async def _payload(dev, params, i):
    """The bytes to send: after a prompt, or in quotes with their length before them (hex digits if so configured)."""
    length = params.number(i, 1, HEX_MAX if dev.hex_data else DATA_MAX)
    if not params.given(i + 1):
        if dev.hex_data:
            raise CommandError
        return await dev.prompt("\r\n@", length, WINDOW_S, settle_s=SETTLE_S)
    text = params.text(i + 1)
    try:
        data = bytes.fromhex(text) if dev.hex_data else text.encode("latin-1")
    except ValueError as err:
        raise CommandError from err
    if len(data) != length:
        raise CommandError
    return data


# receive


@command("+USORF", "set")
def _receive_from(dev, params):
    return _receive(dev, params, "+USORF", True)


@command("+USORD", "set")
def _receive_plain(dev, params):
    return _receive(dev, params, "+USORD", False)


def _receive(dev, params, name, with_source):
    sock, limit = _socket(dev, params), params.number(1, 0, DATA_MAX)
    if limit == 0 or not sock.queue:
        return f"{name}: {sock.handle},{_waiting(sock)}"
    data, source = sock.take(limit)
    if sock.handle in dev.traffic:
        dev.traffic[sock.handle][1] += len(data)
    head = f'{name}: {sock.handle},"{source[0]}",{source[1]},' if with_source else f"{name}: {sock.handle},"
    body = data.hex().upper().encode() if dev.hex_data else data
    dev.told.discard(sock.handle)
    block = Block(head + '{n},"', body, b'"\r\n')
    if dev.hex_data:
        block = Block(head + f'{len(data)},"', body, b'"\r\n')
    return Reply(raw=block, then=lambda: dev.notified("rx", sock))


def _waiting(sock):
    return sum(len(data) for data, _ in sock.queue)


def data_arrived(dev, sock):
    """+UUSORF, if the host does not know of waiting data yet."""
    if not sock.queue or sock.handle in dev.told:
        return None
    dev.told.add(sock.handle)
    return f"+UUSORF: {sock.handle},{_waiting(sock)}"


def peer_closed(dev, sock):
    """+UUSOCL; sockets that die with the bearer do so without a word."""
    return None if sock.dead else f"+UUSOCL: {sock.handle}"


# what else is known


@command("+USOER", "exec")
def _last_error(dev, params):
    return f"+USOER: {dev.last_error}"


@command("+USOCTL", "set")
def _control(dev, params):
    sock, what = _socket(dev, params), params.number(1, 0, 11)
    sent, received = dev.traffic.get(sock.handle, (0, 0))
    if what == _PEER and sock.connected:
        host, port = dev.peers[sock.handle]
        return f'+USOCTL: {sock.handle},{what},"{host}",{port}'
    values = {_TYPE: UDP, _ERROR: dev.last_error, _SENT: sent, _RECEIVED: received}
    if what not in values:  # 10 and 11 are TCP's
        raise _failed(dev, _NOT_CONNECTED)
    return f"+USOCTL: {sock.handle},{what},{values[what]}"


@command("+UDCONF", "set")
def _configure(dev, params):
    if params.number(0, 0, 100) == 1:
        dev.hex_data = bool(params.number(1, 0, 1))


@command("+UDNSRN", "set")
async def _resolve(dev, params):
    if params.number(0, 0, 1) or not dev.online:
        raise CmeError(_NOT_ALLOWED)
    try:
        address = await dev.core.net.resolve(params.text(1))
    except OSError as err:
        dev.core.log.event("dns_failed", host=params.text(1), reason=str(err))
        raise CmeError(_NOT_ALLOWED) from err
    return f'{"+UUDNSRN" if dev.is_r422 else "+UDNSRN"}: "{address}"'
