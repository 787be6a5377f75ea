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
_SIZE1 = const(60)


async def request(client, head, payload, until):
    """Send it and give its 2.xx Response; head and until as in MessageLayer.exchange, errors as in Client.request."""
    if len(payload) <= 16 << client.szx:
        small = client.szx < 6 and head[0] in (_GET, _FETCH)  # ask for blocks that fit the path's MTU
        try:
            answer = await client.exchange(head, payload, until, ((_BLOCK2, client.szx),) if small else ())
            size = _smaller(answer, len(payload), client.szx)
        except CodecError:
            if len(payload) <= 16:
                raise
            size = client.szx  # long options leave no room for a payload of this size
    else:
        size = client.szx
    if size is not None:
        from .upload import upload

        answer = await upload(client, head, payload, until, size)
    # Here, and not by settle(): a coroutine less for what nearly every request is.
    if answer.code >> 5 == 2 and answer.code != _CONTINUE and answer.option(_BLOCK2) is None:
        return answer
    return await settle(client, head, payload, until, answer)


async def settle(client, head, payload, until, answer):
    """A 2.xx Response with all of its body from the first answer; Refused or BadResponse from any other."""
    if answer.code >> 5 == 2 and answer.code != _CONTINUE:
        block = answer.option(_BLOCK2)
        if block is None or block & ~7 == 0:
            return answer  # not block-wise, or block 0 and no more
        from .download import gather

        return await gather(client, head, payload, until, answer)
    if answer.code < 0x80:
        raise BadResponse("code %d.%02d" % (answer.code >> 5, answer.code & 31))
    raise Refused(answer)


def _smaller(answer, length, szx):
    """The block size (szx) to try after a 4.13, None for any other answer or where it would not help (RFC 7959 2.9.3).

    A server that names no size, neither of a block nor of what it can take, is tried with the next smaller block."""
    if answer.code != _TOO_LARGE:
        return None
    hint = answer.option(_BLOCK1)
    if hint is None:
        limit = answer.option(_SIZE1)
        if limit is not None and limit < length:
            return None  # the body itself is too large for it, however it comes
        while szx and 16 << szx >= length:
            szx -= 1
    else:
        szx = hint & 7
    return None if szx == 7 or 16 << szx >= length else szx
