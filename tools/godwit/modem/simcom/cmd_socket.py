"""SIM7080: the "CA" sockets (modems.md 2B.4). UDP, plain or secured; TCP is refused.

A datagram that is larger than what is asked for is handed out in pieces; two are never merged. One +CADATAIND covers
all datagrams until the host has seen `+CARECV: 0` or has emptied the queue.
"""

import dataclasses

from godwit.modem.grammar import CommandError
from godwit.modem.handle import Socket
from godwit.modem.simcom import cmd_tls
from godwit.modem.simcom.registry import Block, Reply, accepts, command

_CIDS, _BYTES = 13, 1460
_OK, _PARAMETER, _DNS, _NO_NETWORK, _CERTIFICATE, _CONNECT = 0, 4, 20, 21, 24, 27
_HOST_MAX = 64
_WINDOW_MS = 5000

accepts("+CACFG")


@dataclasses.dataclass
class Connection:
    """One cid: its socket, how it was opened, and a datagram that has been read in part."""

    sock: Socket
    host: str
    port: int
    mode: int
    told: bool = False  # +CADATAIND is out
    rest: tuple | None = None  # (bytes, source)
    sent: int = 0


def _connection(dev, params):
    connection = dev.sockets.get(params.number(0, 0, _CIDS - 1))
    if connection is None:
        raise CommandError
    return connection


@command("+CACID", "set")
def _select(dev, params):
    params.number(0, 0, _CIDS - 1)


@command("+CAOPEN", "set")
async def _open(dev, params):
    cid, _, kind = params.number(0, 0, _CIDS - 1), params.number(1, 0, 3), params.text(2)
    host, port, mode = params.text(3), params.number(4, 1, 65535), params.number(5, 0, 1, default=0)
    if cid in dev.sockets or kind != "UDP":
        raise CommandError
    if len(host) > _HOST_MAX:
        return f"+CAOPEN: {cid},{_PARAMETER}"
    return f"+CAOPEN: {cid},{await _opened(dev, cid, host, port, mode)}"


async def _opened(dev, cid, host, port, mode):
    net, log = dev.core.net, dev.core.log
    if not dev.core.radio.pdn_up:
        return _NO_NETWORK
    try:
        address = await net.resolve(host)
    except OSError:
        return _DNS
    tls = None
    if dev.secure.get(cid, {}).get("SSL"):
        tls = cmd_tls.client(dev, dev.secure[cid])
        if tls is None:
            return _CERTIFICATE
    sock = net.open(handle=cid, tls=tls)
    connection = dev.sockets[cid] = Connection(sock, host, port, mode)
    try:
        await sock.connect(address, port)
    except OSError as err:
        log.event("connect_failed", handle=cid, host=host, port=port, reason=str(err))
        dev.sockets.pop(cid, None)
        if cid in [s.handle for s in net.all()]:
            net.close(cid)
        return _CERTIFICATE if "certificate" in str(err) else _CONNECT
    log.event("connect", handle=cid, host=host, port=port)
    return _OK if dev.sockets.get(cid) is connection else _CONNECT


@command("+CAOPEN", "read")
def _opened_ones(dev, params):
    return [f'+CAOPEN: {cid},0,"UDP","{c.host}",{c.port}' for cid, c in sorted(dev.sockets.items())]


@command("+CASTATE", "read")
def _states(dev, params):
    return [f"+CASTATE: {cid},{int(_alive(c))}" for cid, c in sorted(dev.sockets.items())]


@command("+CASEND", "set")
async def _send(dev, params):
    connection = _connection(dev, params)
    if not params.given(1):
        return f"+CASEND: {_BYTES}"
    count, window_ms = params.number(1, 1, _BYTES), params.number(2, 100, 10000, default=_WINDOW_MS)
    if not _alive(connection):
        raise CommandError
    data = await dev.prompt("\r\n> ", count, window_ms / 1000)
    try:
        connection.sent += connection.sock.send(data)
    except OSError as err:
        dev.core.log.event("send_failed", reason=str(err))
        raise CommandError from err
    return None


@command("+CAACK", "set")
def _acknowledged(dev, params):
    return f"+CAACK: {_connection(dev, params).sent},0"


@command("+CARECV", "set")
def _receive(dev, params):
    connection, limit = _connection(dev, params), params.number(1, 1, _BYTES)
    if connection.rest is None:
        if not connection.sock.queue:
            connection.told = False
            return "+CARECV: 0"
        connection.rest = connection.sock.take()
    data, source = connection.rest
    connection.rest = (data[limit:], source) if len(data) > limit else None
    if connection.rest is None and not connection.sock.queue:
        connection.told = False
    return Reply(raw=Block(f"+CARECV: {{n}},{_source(dev, source)}", data[:limit]))


@command("+CACLOSE", "set")
def _close(dev, params):
    cid = params.number(0, 0, _CIDS - 1)
    if dev.sockets.pop(cid, None) is None:
        raise CommandError
    dev.core.net.close(cid)


@command("+CASRIP", "set")
def _set_source(dev, params):
    dev.show_source = bool(params.number(0, 0, 1))


@command("+CASRIP", "read")
def _get_source(dev, params):
    return f"+CASRIP: {int(dev.show_source)}"


def _source(dev, source):
    return f'"{source[0]}",{source[1]},' if dev.show_source else ""


def _alive(connection):
    return connection.sock.connected and not (connection.sock.dead or connection.sock.hup)


# unsolicited


def received(dev, sock):
    """A datagram is in the queue of a socket."""
    connection = dev.sockets.get(sock.handle)
    if connection is None:
        return None
    if connection.mode == 0:
        if connection.told:
            return None
        connection.told = True
        return f"+CADATAIND: {sock.handle}"
    blocks = []
    while sock.queue:
        data, source = sock.take()
        tail = f',"{source[0]}",{source[1]}' if dev.show_source else ""
        blocks.append(Block(f'+CAURC: "recv",{sock.handle},{{n}}{tail}\r\n', data))
    return blocks


def closed(dev, sock):
    """A socket has lost its peer or its network."""
    return f"+CASTATE: {sock.handle},0" if sock.handle in dev.sockets and sock.connected else None
