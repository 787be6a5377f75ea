"""CoAP client: requests in, responses out. RFC 7252 section 5.

The cloud backends and fota call it. What block-wise bodies need is in download.py and upload.py, notifications in
observe.py, loaded then; retransmission and matching are in messages.py.
Owns no RAM beyond the message layer's 2.5 KB, except bodies that it collects (max_body).
"""

from micropython import const

from .exchange import limit_at
from .messages import MessageLayer

_GET = const(1)
_FETCH = const(5)
_BLOCK2 = const(23)

_HOMES = {
    "get_blocks": "download",
    "put_blocks": "upload",
    "observe": "observe",
    "tell": "calls",
    "ping": "calls",
    "narrow": "calls",
}


class Client(MessageLayer):
    """A CoAP client on one datagram endpoint, which it closes with itself.

    Its verbs are request, below, and those that are loaded when they are used: get_blocks (download.py), put_blocks
    (upload.py), observe (observe.py), tell, ping and narrow (calls.py).

    Tuning (RFC 7252 4.8 unless said): ack_timeout_ms (until there is a measured round trip, see rtt.py), ack_random,
    max_retransmit, nstart (requests in flight); non_timeout_ms: wait for the answer to a NON request;
    separate_timeout_ms: wait after an empty ACK; token_length: 0 to 8; max_body: largest block-wise answer request()
    collects; szx: block size is 16 << szx; linger_ms: so long after an answer duplicates are still acknowledged and
    pings answered. coap.LTE_M and coap.NB_IOT are such tunings.
    Counters: sent, received, retransmitted, dropped (not understood, or not ours). `rtt` is the estimator, `transfer`
    the Result of the last get_blocks, also of one that failed; `carried`: bytes of the largest block that has come.
    """

    transfer = None
    carried = 0

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
        if isinstance(query, str):
            query = (query,)
        head = (method, path, query, content_format, accept, options, confirmable)
        until = limit_at(timeout_ms)
        if len(payload) > 16 << self.szx:
            from .upload import upload

            return upload(self, head, payload, until, self.szx)
        # Ask for blocks that fit the path's MTU where a whole one does not.
        blocks = ((_BLOCK2, self.szx),) if self.szx < 6 and method in (_GET, _FETCH) else ()
        return self.exchange(head, payload, until, blocks, None, False, True)  # this as a coroutine would cost 112 B

    def __getattr__(self, verb):
        """The other verbs: the function of that name in its file, with this client as first argument."""
        home = _HOMES.get(verb)
        if home is None:
            raise AttributeError(verb)
        function = getattr(__import__("coap." + home, None, None, (verb,)), verb)
        return lambda *args, **how: function(self, *args, **how)
