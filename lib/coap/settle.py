"""What an answer means to the caller of a request, when it is not simply a 2.xx with all of its body.

messages.py loads it then; an application may drop it in between. RFC 7252 5.9; RFC 7959 2.9.3. No RAM of its own.
"""

from micropython import const

from .errors import BadResponse, Refused

_CONTINUE = const(0x5F)
_TOO_LARGE = const(0x8D)
_BLOCK2 = const(23)
_BLOCK1 = const(27)
_SIZE1 = const(60)


async def settle(client, head, payload, until, answer, token):
    """A 2.xx Response with all of its body, from the first answer; the rest as in MessageLayer.exchange.

    A payload that was too large for the server (4.13) goes up again in blocks. Raises Refused or BadResponse for any
    other code, and what the further requests raise.
    """
    if answer.code >> 5 == 2 and answer.code != _CONTINUE:
        block = answer.option(_BLOCK2)
        if block is None or block & ~7 == 0:
            return answer  # not block-wise, or block 0 and no more
        from .download import gather

        return await gather(client, head, payload, until, answer, token)
    size = _smaller(answer, len(payload), client.szx)
    if size is not None:
        from .upload import upload

        return await upload(client, head, payload, until, size)
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
