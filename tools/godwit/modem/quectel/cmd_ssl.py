"""TLS offload of BG95 (modems.md 2C.5): +QSSLCFG and the sockets over it. Only DTLS 1.2 is here.

A context names files of the modem. The server's certificate is checked against `cacert` when `seclevel` says so, and
its dates unless `ignorelocaltime`; its name is never checked, because this firmware has no setting for it: `sni` only
puts the name into the ClientHello.
"""

from godwit.dtls.trust import VERIFY_NONE, VERIFY_REQUIRED
from godwit.modem.agnss import GPS_EPOCH
from godwit.modem.grammar import Bare, CmeError
from godwit.modem.quectel import cmd_file
from godwit.modem.quectel.cmd_socket import (
    BUFFER,
    BUSY,
    CLOSED,
    CONNECTED,
    IDS,
    IN_USE,
    NOT_SUPPORTED,
    OK,
    PDP,
    PUSH,
    READ_MAX,
    asked,
    failed,
    gave_up,
    local_port,
    new_connect,
    send,
    taken,
)
from godwit.modem.registry import Block, Registry, Reply
from godwit.modem.sockets import Tls

COMMANDS = Registry()
command = COMMANDS.command

_CONTEXTS = 6
_PARAMETER = 50
_NONE, _SERVER, _MUTUAL = range(3)
_DTLS12 = 1
# Setting -> (factory value, highest number); a text where the highest is None.
SETTINGS = {
    "sslversion": (4, 4), "ciphersuite": ("0xFFFF", None), "seclevel": (0, 2), "cacert": ("", None),
    "clientcert": ("", None), "clientkey": ("", None), "ignorelocaltime": (1, 1), "negotiatetime": (300, 300),
    "sni": (0, 1), "dtls": (0, 1), "dtlsversion": (1, 2), "session": (0, 1), "cacertex": ("", None),
    "closetimemode": (0, 1), "renegotiation": (0, 1),
}  # fmt: skip


@command("+QSSLCFG", "test")
def _names(dev, params):
    return [f'+QSSLCFG: "{name}",(0-5),' + ("(string)" if top is None else f"(0-{top})")
            for name, (_, top) in SETTINGS.items()]


def _get(dev, context, name):
    return dev.ssl.get(context, {}).get(name, SETTINGS[name][0])


@command("+QSSLCFG", "set")
def _configure(dev, params):
    name, context = params.text(0), params.number(1, 0, _CONTEXTS - 1)
    if name not in SETTINGS:
        raise CmeError(_PARAMETER)
    top = SETTINGS[name][1]
    if len(params) == 2:
        value = _get(dev, context, name)
        plain = top is not None or name == "ciphersuite"
        return f'+QSSLCFG: "{name}",{context},' + (str(value) if plain else f'"{value}"')
    if name == "ciphersuite":
        if not isinstance(params[2], Bare):
            raise CmeError(_PARAMETER)
        value = str(params[2])
    else:
        value = params.text(2, default="") if top is None else params.number(2, 10 if top == 300 else 0, top)
    dev.ssl.setdefault(context, {})[name] = value
    return None


@command("+QSSLOPEN", "set")
def _open(dev, params):
    context, ssl, number = params.number(0, 1, 16), params.number(1, 0, _CONTEXTS - 1), params.number(2, 0, IDS - 1)
    host, port, mode = params.text(3), params.number(4, 1, 65535), params.number(5, 0, 2, default=BUFFER)
    if mode > PUSH or context != dev.core.profile.context:
        raise failed(dev, NOT_SUPPORTED)
    return Reply(then=lambda: dev.core.spawn(_opening(dev, ssl, number, host, port, mode)))


async def _opening(dev, ssl, number, host, port, mode):
    result = await _result(dev, ssl, number, host, port, mode)
    dev.last_error = result
    dev.announce(f"+QSSLOPEN: {number},{result}")


async def _result(dev, ssl, number, host, port, mode):
    if not dev.active:
        return PDP
    if number in dev.ssl_connects:
        return IN_USE
    if not _get(dev, ssl, "dtls") or _get(dev, ssl, "dtlsversion") != _DTLS12:
        return NOT_SUPPORTED
    connect = new_connect(dev, dev.ssl_connects, number, "DTLS", host, port, mode, ssl)
    if connect is None:
        return BUSY
    try:
        _arm(dev, connect.sock, ssl, host)
        await connect.sock.connect(host, port)
    except OSError as err:
        return gave_up(dev, dev.ssl_connects, number, connect, err)
    return OK


def _arm(dev, sock, ssl, host):
    """Give the socket what its context says. Raises OSError when a file is missing."""
    level = _get(dev, ssl, "seclevel")
    names = {"ca": "cacert" if level >= _SERVER else None, "cert": "clientcert" if level == _MUTUAL else None,
             "key": "clientkey" if level == _MUTUAL else None}
    credentials = {key: _pem(dev, _get(dev, ssl, name)) if name else None for key, name in names.items()}
    sock.tls = Tls(**credentials, verify=VERIFY_REQUIRED if level else VERIFY_NONE, hostname=None,
                   now_s=None if _get(dev, ssl, "ignorelocaltime") else dev.core.rtc_s() or GPS_EPOCH,
                   timeout_s=_get(dev, ssl, "negotiatetime"), sni=host if _get(dev, ssl, "sni") else None)


def _pem(dev, name):
    data = cmd_file.content(dev, name) if name else None
    if data is None:
        raise OSError(f"no such file: {name}")
    return data.decode("latin-1")


def _connect(dev, params):
    connect = dev.ssl_connects.get(params.number(0, 0, IDS - 1))
    if connect is None:
        raise failed(dev, CLOSED)
    return connect


@command("+QSSLSEND", "set")
async def _send(dev, params):
    connect = _connect(dev, params)
    return await send(dev, connect, await asked(dev, params))


@command("+QSSLRECV", "set")
def _read(dev, params):
    connect, limit = _connect(dev, params), params.number(1, 1, READ_MAX)
    data, _ = taken(connect, limit)
    if data is None:
        return "+QSSLRECV: 0"
    return Reply(raw=Block("+QSSLRECV: {n}\r\n", data))


@command("+QSSLCLOSE", "set")
def _close(dev, params):
    connect = dev.ssl_connects.pop(params.number(0, 0, IDS - 1), None)
    params.number(1, 0, 65535, default=10)
    if connect:
        dev.core.net.close(connect.sock.handle)


@command("+QSSLSTATE", "read", "exec")
def _states(dev, params):
    return [_described(number, connect) for number, connect in sorted(dev.ssl_connects.items())]


def _described(number, connect):
    state = CONNECTED if connect.sock.connected else 1
    return (f'+QSSLSTATE: {number},"SSLClient","{connect.host}",{connect.port},{local_port(connect)},{state},1,0,'
            f'{connect.mode},"uart1",{connect.ssl}')
