"""Block-wise transfer on the server (RFC 7959): Block1 bodies put together, Block2 answers cut up.

A Block1 body may repeat its last block (a retransmission under a new message id) but must not leave a
gap; a Block2 answer is kept as it was made, so that every block of one transfer is of one
representation (A-GNSS and the delta change with time). FETCH repeats its payload with each block, or leaves it out.
Called by site.py for every request except GET proxy, which is stateless.
"""

import hashlib
import time
from collections import OrderedDict

from aiocoap import Message
from aiocoap.numbers import codes

from .errors import ApiError

MAX_BODY = 65536
MAX_BLOCK_SIZE = 1024
_LIFETIME_S = 247
_MAX_ENTRIES = 256


class Cache:
    """A small dict whose entries die of age or when there are too many."""

    def __init__(self):
        self._entries = OrderedDict()

    def get(self, key):
        """The value of a key, None when there is none any more."""
        made, value = self._entries.get(key, (0, None))
        return value if time.monotonic() - made < _LIFETIME_S else None

    def put(self, key, value):
        """Keep a value."""
        self._entries.pop(key, None)
        self._entries[key] = (time.monotonic(), value)
        while len(self._entries) > _MAX_ENTRIES:
            self._entries.popitem(last=False)

    def pop(self, key):
        """Forget a value."""
        self._entries.pop(key, None)


class Blockwise:
    """Transfers under way, of all sessions. `faults` may shrink and spoil blocks."""

    def __init__(self, faults):
        self._faults = faults
        self._bodies = Cache()
        self._answers = Cache()

    def take(self, request):
        """Feed a request that may be one block of a body.

        Returns (body, None) when the body is complete, (None, 2.31 message) when more must come.
        Raises ApiError 4.08 for a gap, 4.13 for a body over MAX_BODY.
        """
        block = request.opt.block1
        if block is None:
            if len(request.payload) > MAX_BODY:
                raise _too_large()
            return request.payload, None
        key = _key(request)
        body = bytearray(self._bodies.get(key) or b"") if block.block_number else bytearray()
        start = block.block_number * block.size
        if len(request.payload) > block.size or (block.more and len(request.payload) != block.size):
            raise ApiError(400, 40000, "block size and payload length differ", coap=codes.BAD_REQUEST)
        if start > len(body) or (block.block_number and not body):
            raise ApiError(400, 40000, "a block is missing", coap=codes.REQUEST_ENTITY_INCOMPLETE)
        if start + len(request.payload) > MAX_BODY:
            raise _too_large()
        body[start:] = request.payload
        if block.more:
            self._bodies.put(key, bytes(body))
            return None, Message(code=codes.CONTINUE, block1=(block.block_number, True, block.size_exponent))
        self._bodies.pop(key)
        return bytes(body), None

    def stored(self, request, body):
        """The answer that a request for block n > 0 continues; None when it starts a new transfer.

        Raises ApiError 4.08 when there is nothing to continue.
        """
        block = request.opt.block2
        if block is None or not block.block_number:
            return None
        answer = self._answers.get(_key(request, body))
        if answer is None:
            raise ApiError(400, 40000, "no such transfer", coap=codes.REQUEST_ENTITY_INCOMPLETE)
        return answer

    def cut(self, request, body, answer):
        """The block of `answer` that the request asks for (all of it when it fits and nobody asked)."""
        block = request.opt.block2
        number, exponent = (block.block_number, block.size_exponent) if block else (0, 6)
        if len(answer.payload) <= 16 << exponent and not number:
            return answer
        number, exponent = self._faults.block(number, exponent)
        size = 16 << exponent
        start = number * size
        if start >= len(answer.payload):
            raise ApiError(400, 40000, "block out of range", coap=codes.BAD_REQUEST)
        self._answers.put(_key(request, body), answer)
        self._answers.put(_key(request), answer)  # aiocoap asks for the rest of a FETCH without its payload
        part = answer.copy(payload=self._faults.spoil(answer.payload[start : start + size]))
        part.opt.block2 = (number, start + size < len(answer.payload), exponent)
        return part


def _too_large():
    return ApiError(413, 40000, f"body over {MAX_BODY} bytes", coap=codes.REQUEST_ENTITY_TOO_LARGE)


def _key(request, body=b""):
    opt = request.opt
    accept = None if opt.accept is None else int(opt.accept)
    digest = hashlib.sha256(body).digest() if body else b""
    tags = tuple(opt.request_tag)
    return (request.remote.blockwise_key, int(request.code), opt.uri_path, opt.uri_query, accept, tags, digest)
