"""One request from its caller's point of view: which of them go block-wise, and what an answer's code means.

client.py loads it for a request; an application may drop it in between. RFC 7252 5.2, 5.9; RFC 7959 2.9.3.
No RAM of its own.
"""

from micropython import const

from .codec import CodecError
from .errors import BadResponse, Refused

_CONTINUE = const(0x5F)
_TOO_LARGE = const(0x8D)
_GET = const(1)
_FETCH = const(5)
_BLOCK2 = const(23)
_BLOCK1 = const(27)


async def request(client, head, payload, until):
    """Send it and give its 2.xx Response; head and until as in MessageLayer.exchange, errors as in Client.request."""
    if len(payload) <= 16 << client.szx:
        small = client.szx < 6 and head[0] in (_GET, _FETCH)  # ask for blocks that fit the path's MTU
        try:
            answer = await client.exchange(head, payload, until, ((_BLOCK2, client.szx),) if small else ())
            size = _wanted_size(answer, len(payload))
        except CodecError:
            if len(payload) <= 16:
                raise
            size = client.szx  # long options leave no room for a payload of this size
    else:
        size = client.szx
    if size is not None:
        from .block import upload

        answer = await upload(client, head, payload, until, size)
    if answer.code >> 5 == 2 and answer.code != _CONTINUE:
        block = answer.option(_BLOCK2)
        if block is None or block & ~7 == 0:
            return answer  # not block-wise, or block 0 and no more
        from .block import gather

        return await gather(client, head, payload, until, answer)
    if answer.code < 0x80:
        raise BadResponse("code %d.%02d" % (answer.code >> 5, answer.code & 31))
    raise Refused(answer)


def _wanted_size(answer, length):
    """The block size (szx) that a 4.13 asks for where it would help, else None (RFC 7959 2.9.3)."""
    hint = answer.option(_BLOCK1) if answer.code == _TOO_LARGE else None
    if hint is None or hint & 7 == 7 or 16 << (hint & 7) >= length:
        return None
    return hint & 7
