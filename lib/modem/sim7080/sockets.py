"""SIM7080: opening and closing sockets (modems.md 2B.4).

Called through modem.family.Family, and needed only then: what stays is the endpoint. RAM: none.
"""

from errno import (
    EADDRINUSE,
    ECONNABORTED,
    ECONNREFUSED,
    EHOSTUNREACH,
    EINVAL,
    EIO,
    ENOMEM,
    ENOTCONN,
    EOPNOTSUPP,
)

from micropython import const

from at.errors import ATError
from at.fields import scan_int, split
from modem.convert import quotable
from modem.handles import claim, give_up, keep
from modem.link import attempt
from modem.sim7080.endpoint import Endpoint
from modem.sim7080.steps import UDP

_OPEN_MS = const(75000)
_CLOSE_MS = const(10000)

# Results of +CAOPEN.
_ERRORS = {
    1: EIO,
    2: ENOMEM,
    3: ENOMEM,
    4: EINVAL,
    6: EHOSTUNREACH,
    7: EOPNOTSUPP,
    12: EADDRINUSE,
    20: EHOSTUNREACH,
    21: ENOTCONN,
    23: ECONNREFUSED,
    24: ECONNABORTED,
    25: ECONNABORTED,
    26: ECONNABORTED,
}
_CME_ERRORS = {160: EHOSTUNREACH, 161: EIO}


def _code(lines, number):
    """-> result of the line about `number` in `lines`, or None."""
    for line in lines:
        fields = split(line)
        if len(fields) > 1 and scan_int(fields[0]) == number:
            return scan_int(fields[1])
    return None


async def _open(modem, number, cmd, timeout_ms):
    """-> (result code or None, errno that the refusal tells or None); the code is before the OK, or, if the modem is
    set so, news after it."""
    news = modem.at.expect(b"+CAOPEN: %d," % number)
    try:
        lines = await modem.at.command(cmd, b"+CAOPEN:", timeout_ms=timeout_ms)
        code = _code(lines, number)
        if code is None:
            code = _code((await news.wait(timeout_ms),), number)
        return code, None
    except ATError as refused:
        return _code(refused.lines, number), _CME_ERRORS.get(refused.code)
    finally:
        news.close()


async def connect(modem, number, host, port, timeout_ms, otherwise):
    """Open the socket `number`, which claim() gave; -> Endpoint. OSError; `otherwise` is its errno when the modem
    gives no reason that has one."""
    try:
        cmd = 'AT+CAOPEN=%d,0,"UDP","%s",%d,0' % (number, host, port)
        code, reason = await _open(modem, number, cmd, timeout_ms)
        if code != 0:
            raise OSError(_ERRORS.get(code, reason or otherwise), "not opened: %s" % code)
        return keep(modem, Endpoint(modem, number))
    except OSError:
        await give_up(modem, number)
        raise


async def udp_open(modem, host, port, rx_bytes=None):
    """-> Endpoint connected to host:port (name or address); datagrams wait in the modem, so `rx_bytes` has no use.
    OSError when it cannot be opened."""
    number = await claim(modem, UDP)
    return await connect(modem, number, quotable(host, 64), port, _OPEN_MS, ECONNABORTED)


async def close_handle(modem, handle):
    """Close a socket; -> None when that is refused, as when there is none of that number."""
    return await attempt(modem, "AT+CACLOSE=%d" % handle, timeout_ms=_CLOSE_MS)
