"""CoAP client: requests in, responses out. RFC 7252 section 5.

The cloud backends and fota call it. What a request needs is in request.py and, for block-wise bodies, in download.py
and upload.py, notifications in observe.py, loaded then; retransmission and matching are in messages.py.
Owns no RAM beyond the message layer's 2.5 KB, except bodies that it collects (max_body).
"""

import time

from .errors import BadResponse, Reset
from .exchange import limit_at
from .messages import MessageLayer


class Client(MessageLayer):
    """A CoAP client on one datagram endpoint, which it closes with itself.

    Tuning (RFC 7252 4.8 unless said): ack_timeout_ms (until there is a measured round trip, see rtt.py), ack_random,
    max_retransmit, nstart (requests in flight); non_timeout_ms: wait for the answer to a NON request;
    separate_timeout_ms: wait after an empty ACK; token_length: 0 to 8; max_body: largest block-wise answer request()
    collects; szx: block size is 16 << szx; linger_ms: so long after an answer duplicates are still acknowledged and
    pings answered. coap.LTE_M and coap.NB_IOT are such tunings.
    Counters: sent, received, retransmitted, dropped (not understood, or not ours). `rtt` is the estimator, `transfer`
    the Result of the last get_blocks, also of one that failed.
    """

    transfer = None

    def request(
        self,
        method,
        path,
        *,
        query=(),
        payload=b"",
        content_format=None,
        accept=None,
        confirmable=True,
        options=(),
        timeout_ms=None,
    ):
        """Await this: sends a request and gives its 2.xx Response; large bodies go block-wise (RFC 7959).

        path "a/b/c"; query ("k=v", ..); options ((number, bytes or int), ..) are extra ones; content_format is
        sent only with a payload; timeout_ms bounds the whole call. Raises Timeout, Reset, Refused (4.xx, 5.xx),
        BadResponse, CodecError (does not fit a datagram), OSError (the endpoint is dead).
        """
        from .request import request

        if isinstance(query, str):
            query = (query,)
        head = (method, path, query, content_format, accept, options, confirmable)
        return request(self, head, payload, limit_at(timeout_ms))  # a smaller coroutine than this would be

    def get_blocks(self, path, sink, **how):
        """Await this: streams a large body into sink(offset, memoryview); arguments in download.get_blocks."""
        from .download import get_blocks

        return get_blocks(self, path, sink, **how)

    def put_blocks(self, path, source, size, **how):
        """Await this: streams a large body from source(offset, memoryview); arguments in upload.put_blocks."""
        from .upload import put_blocks

        return put_blocks(self, path, source, size, **how)

    def observe(
        self,
        path,
        *,
        method=1,
        query=(),
        payload=b"",
        content_format=None,
        accept=None,
        options=(),
        confirmable=True,
        renew_s=None,
        depth=4,
    ):
        """An Observation (RFC 7641): `async for note in client.observe("state")`; it registers with its first step.

        method GET, or FETCH with a payload. The registration is renewed when Max-Age (60 s unless the server says more)
        has passed without a notification; renew_s: after so many seconds instead, 0 for never. depth: so many
        notifications wait for the application, the oldest goes when there are more.
        """
        from .observe import Observation

        if isinstance(query, str):
            query = (query,)
        head = (method, path, query, content_format, accept, options, confirmable)
        return Observation(self, head, payload, renew_s, depth)

    def tell(
        self,
        method,
        path,
        *,
        query=(),
        payload=b"",
        content_format=None,
        options=(),
        confirmable=False,
        timeout_ms=None,
    ):
        """Await this: a request whose answer nobody wants (No-Response, RFC 7967): ends when it is sent, with
        confirmable when it is acknowledged. Raises Timeout, Reset, CodecError, OSError."""
        from .request import tell

        if isinstance(query, str):
            query = (query,)
        head = (method, path, query, content_format, None, options, confirmable)
        return tell(self, head, payload, limit_at(timeout_ms))

    async def ping(self, timeout_ms=None):
        """Is the peer there (RFC 7252 4.3)? The round trip in ms. Raises Timeout, OSError."""
        started = time.ticks_ms()
        try:
            await self.exchange((0, "", (), None, None, (), True), b"", limit_at(timeout_ms), (), b"")
        except Reset:
            return time.ticks_diff(time.ticks_ms(), started)
        raise BadResponse("answer to a ping")
