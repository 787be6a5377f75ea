"""BG95: opening and closing sockets (modems.md 1.10, 2C.4).

Called through modem.family.Family, and needed only then: what stays is the endpoint. RAM: none.
"""

from errno import (
    EADDRINUSE,
    EAGAIN,
    ECONNABORTED,
    ECONNREFUSED,
    ECONNRESET,
    EHOSTUNREACH,
    EINVAL,
    ENOMEM,
    ENOTCONN,
    EOPNOTSUPP,
    ETIMEDOUT,
)
from time import ticks_diff, ticks_ms

from micropython import const

from at.errors import ATError
from at.fields import scan_int, split
from modem.bg95.endpoint import Endpoint
from modem.bg95.steps import ACTIVATE_MS, DTLS, UDP
from modem.convert import quotable
from modem.handles import claim, give_up, keep
from modem.link import attempt

_CLOSE_MS = const(10000)
_IN_USE = const(563)
_CONNECTED = b"2"
LOOK_MS = 5000  # a lost result is noticed after this

# Results of +QIOPEN and +QIGETERROR (modems.md 1.10).
ERRORS = {
    552: EINVAL,
    553: ENOMEM,
    555: EOPNOTSUPP,
    556: EADDRINUSE,
    561: ENOTCONN,
    562: ENOTCONN,
    _IN_USE: EADDRINUSE,
    564: EAGAIN,
    565: EHOSTUNREACH,
    566: ECONNREFUSED,
    567: ECONNRESET,
    568: EAGAIN,
    569: ETIMEDOUT,
    570: ENOTCONN,
    573: ENOTCONN,
    574: EADDRINUSE,
}


async def _result(modem, number, news, timeout_ms):
    """-> result code of an opening; the modem's word of it may get lost, so the socket's state is also asked."""
    began = ticks_ms()
    while True:
        left = timeout_ms - ticks_diff(ticks_ms(), began)
        try:
            return scan_int(split(await news.wait(min(left, LOOK_MS)))[1])
        except OSError as error:
            if error.args[0] != ETIMEDOUT or left <= LOOK_MS:
                raise
        if number in UDP:
            for line in await attempt(modem, "AT+QISTATE=1,%d" % number, b"+QISTATE:") or ():
                if split(line)[5:6] == [_CONNECTED]:
                    return 0


async def _open(modem, number, cmd, prefix, timeout_ms):
    """One attempt; -> result code, 0 when it is open."""
    news = modem.at.expect(b"%s %d," % (prefix, number))  # not those of openings that were given up
    try:
        await modem.at.command(cmd, timeout_ms=5000)
        return await _result(modem, number, news, timeout_ms)
    except ATError as refused:
        if refused.code is not None:
            return refused.code
        lines = await attempt(modem, "AT+QIGETERROR", b"+QIGETERROR:")
        return scan_int(split(lines[0])[0]) if lines else None
    finally:
        news.close()


async def connect(modem, number, cmd, prefix, timeout_ms, errors=ERRORS):
    """Open the socket `number`, which claim() gave; -> Endpoint. OSError, its errno by `errors` {result: errno}, else
    ECONNABORTED."""
    try:
        result = await _open(modem, number, cmd, prefix, timeout_ms)
        if result == _IN_USE:  # of a life before
            await close_handle(modem, number)
            result = await _open(modem, number, cmd, prefix, timeout_ms)
        if result != 0:
            raise OSError(errors.get(result, ECONNABORTED), "not opened: %s" % result)
        return keep(modem, Endpoint(modem, number, number in DTLS))
    except OSError:
        await give_up(modem, number)
        raise


async def udp_open(modem, host, port, rx_bytes=None):
    """-> Endpoint connected to host:port (name or address); datagrams wait in the modem, so `rx_bytes` has no use.
    OSError when it cannot be opened."""
    quotable(host)
    number = await claim(modem, UDP)
    cmd = 'AT+QIOPEN=1,%d,"UDP","%s",%d,0,0' % (number, host, port)
    return await connect(modem, number, cmd, b"+QIOPEN:", ACTIVATE_MS)


async def close_handle(modem, handle):
    """Close a socket; -> None when that is refused, as when there is none of that number."""
    cmd = "AT+QSSLCLOSE=%d" if handle in DTLS else "AT+QICLOSE=%d"
    return await attempt(modem, cmd % handle, timeout_ms=_CLOSE_MS)
