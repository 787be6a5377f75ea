"""One block-wise body on its way from the server (Block2 of RFC 7959), one block in flight or several.

download.py runs it. Every block is a request of its own with its own token and message id, which the message layer
repeats until it is answered, and goes from the received datagram straight to the sink. Which of them is asked next, and
how many at a time, is in window.py. No clock but the peer's patience: a transfer may last for hours.
RAM: 150 bytes per block in flight and the bytes of one request.
"""

import asyncio

from micropython import const

from .codec import CodecError
from .errors import BadResponse, ETagChanged, Refused
from .exchange import Pending, Result, limit_at, new_token
from .options import Options
from .window import Window

_FETCH = const(5)
_ETAG = const(4)
_BLOCK2 = const(23)
_SIZE2 = const(28)
_ECHO = const(252)
_CONTINUE = const(0x5F)
_UNAUTHORIZED = const(0x81)
_BUSY = (0x9D, 0xA3)  # 4.29 (RFC 8516), 5.03
_DONE = const(3)  # Pending.state
_LAST_NUM = const(0xFFFFF)  # block numbers have 20 bits
_REQUEST = const(192)  # bytes of a usual block request; grows when one does not fit
_PATIENCE_S = const(60)  # longest wait that a busy server may ask of us, and
_TURNS = const(4)  # how often in a row: beyond that its caller has to decide

_cursor = Options()  # shared: nothing awaits between its first and last use


class _Ask(Pending):
    """The request for one block."""

    def __init__(self, transfer):
        super().__init__()
        self._transfer = transfer
        self.at = 0  # byte offset of the block
        self.szx = 6
        self.late = 0  # blocks that were asked for after this one and came before it
        self.first = False  # nothing is known of the body yet
        self.echo = None

    def datagram(self):
        return self._transfer.write(self)

    def finish(self, result):
        if self.state != _DONE:
            self.state = _DONE
            self._transfer.fail(self, result)

    def overdue(self):
        again = super().overdue()
        if again:
            self.late = 0
            self._transfer.window.lost(self)
        return again

    def respond(self, msg, view, n):
        self.state = _DONE
        self._transfer.answered(self, msg.code, view, msg.options_at, msg.payload_at, n)


class Transfer:
    """One body on its way from the server to sink(offset, memoryview): fetch() runs it, `result` tells about it."""

    def __init__(self, client, head, payload, sink, szx, offset=0, limit=None, etag=None, window=1):
        self._client = client
        self._head = head
        self._payload = payload
        self._sink = sink
        self._start = offset
        self._expected = etag
        self._code = None
        self._echo = None
        self.error = self.stuck = None  # why it ended; bytes delivered before the last Timeout
        self._wait_s = self._turns = 0
        self._buf = None
        self._event = asyncio.Event()
        self._token = None  # the one token of a server that minds several
        self._until = self._timeout_ms = None
        self._by_offset = False
        self.result = Result(offset)
        self.window = Window(szx, offset, None if limit is None else offset + limit, window, client.rtt)

    def limits(self, until, timeout_ms, by_offset):
        """Ticks at which all is over, or ms per block; whether blocks are named by the query offset=n."""
        self._until = until
        self._timeout_ms = timeout_ms
        self._by_offset = by_offset
        if by_offset:
            self.window.move(self._start)
        return self

    def keep(self, token):
        """Ask with this token, one block at a time."""
        self._token = token
        self.window.narrow = token is not None

    def seed(self, answer):
        """Take a Response that was got otherwise as the answer for the first block."""
        ask = self.window.next(_Ask, self)
        ask.state = _DONE
        data, at = answer.raw()
        self.answered(ask, answer.code, memoryview(data), 0, at, len(data))

    async def fetch(self):
        """Ask and deliver until the end, the limit or an error; the Result. May be called again after an error."""
        window = self.window
        try:
            while self.error is None:
                if self._wait_s:
                    wait, self._wait_s = self._wait_s, 0
                    await asyncio.sleep(wait)
                ask = window.next(_Ask, self)
                if ask is not None:
                    ask.token = self._new_token()
                    ask.first = self._code is None  # as it is now: a repetition has to be the same to the byte
                    ask.echo = self._echo
                    until = self._until if self._timeout_ms is None else limit_at(self._timeout_ms)
                    await self._client.launch(ask, until)
                elif window.flying and not window.is_complete():
                    self._event.clear()
                    await self._event.wait()  # bounded: each request in flight ends
                else:
                    break
        finally:
            for ask in window.asks:
                self._client.forget(ask)
            self.result.offset = max(self._start, window.frontier())
        if self.error is not None:
            raise self.error
        self.result.end = window.at_end()
        self.result.window = 1 if window.narrow else window.size
        return self.result

    def _new_token(self):
        if not self.window.narrow:
            return new_token(self._client.token_length)
        if self._token is None:
            self._token = new_token(self._client.token_length)
        return self._token

    # What the message layer calls, in its reader task

    def write(self, ask):
        """The bytes of a block request: each time the same, so that none has to be kept."""
        n = self._compose(ask)  # may put a larger buffer in place of this one
        return memoryview(self._buf)[:n]

    def fail(self, ask, error):
        """A block did not come, which ends the transfer; fetch() raises what the reader task cannot."""
        self.window.again(ask)
        if self.error is None:
            self.error = error
        self._event.set()

    def answered(self, ask, code, view, options_at, payload_at, n):
        """Check and deliver one block, view[payload_at:n]."""
        window = self.window
        window.passed(ask)
        self._client.forget(ask)
        self._event.set()
        if self.error is not None:
            window.again(ask)
            return
        try:
            block, etag, total = self._options(view, options_at, n)
            if code in _BUSY or code == _UNAUTHORIZED and self._echo is not None and self._turns < _TURNS:
                self._delay(ask, code, view, options_at, payload_at, n)
            elif code >= 0x80:
                if window.refused(ask):
                    raise Refused(_response(code, view, options_at, payload_at, n))
            else:
                self._block(ask, code, block, etag, total, view[payload_at:n])
                self._turns = 0
        except BadResponse as error:
            if isinstance(error, ETagChanged) or window.refused(ask):
                self.fail(ask, error)
        except Exception as error:  # the sink's: its caller's to handle, not the reader's
            self.fail(ask, error)

    def _compose(self, ask):
        from .writer import compose

        method, path, query, content_format, accept, options, confirmable = self._head
        num = 0
        if self._by_offset:
            query = tuple(query) + ("offset=%d" % ask.at,)
        else:
            num = ask.at >> (ask.szx + 4)
            if num > _LAST_NUM:
                raise ValueError("offset beyond the last block number")
        blocks = ((_BLOCK2, num << 4 | ask.szx),)
        if ask.first:
            blocks += ((_SIZE2, 0),)  # how large is it?
        if ask.echo is not None:
            blocks += ((_ECHO, ask.echo),)
        payload = self._payload if method == _FETCH or ask.first else b""
        head = (method, path, query, content_format, accept, options, confirmable)
        while True:
            try:
                if self._buf is None:
                    self._buf = bytearray(_REQUEST)
                return compose(self._buf, ask.mid, ask.token, head, payload, blocks)
            except CodecError:
                size = len(self._buf)
                if size >= self._client.size:
                    raise
                self._buf = bytearray(min(size * 2, self._client.size))

    def _options(self, view, options_at, n):
        """(Block2, ETag, Size2) of an answer; each None when absent. Keeps an Echo."""
        block = etag = total = None
        cursor = _cursor.over(view, options_at, n)
        while cursor.next():
            number = cursor.number
            if number == _BLOCK2 and block is None:
                block = cursor.uint()
            elif number == _SIZE2 and cursor.length <= 4:
                total = cursor.uint()
            elif number == _ETAG and etag is None:
                etag = bytes(view[cursor.value : cursor.value + cursor.length])
            elif number == _ECHO:
                self._echo = bytes(view[cursor.value : cursor.value + cursor.length])
        return block, etag, total

    def _delay(self, ask, code, view, options_at, payload_at, n):
        """A busy server, or one that wants its Echo back: ask again, later and one block at a time."""
        answer = _response(code, view, options_at, payload_at, n)
        self._turns += 1
        if code != _UNAUTHORIZED:
            wait = answer.max_age
            if wait is None or wait > _PATIENCE_S or self._turns > _TURNS:
                raise Refused(answer)
            self._wait_s = max(self._wait_s, wait)
            self.window.shrink()
        self.window.again(ask)

    def _block(self, ask, code, block, etag, total, payload):
        if code >> 5 != 2 or code == _CONTINUE or self._code not in (None, code):
            raise BadResponse("code %d.%02d in mid-transfer" % (code >> 5, code & 31))
        length = len(payload)
        at, size, more = self._place(ask, block, length)
        if at is None:
            self.window.again(ask)
            return
        if more and length != size or length > size:
            raise BadResponse("%d bytes in a block of %d" % (length, size))
        if self._by_offset and ask.at:
            total = None  # what is left, or the whole: servers do not agree
        self._check_version(etag, total)
        self._code = code
        self._client.carried = max(self._client.carried, length)
        if block is None and (length > 16 << ask.szx or not self._by_offset):
            self.window.whole()
        end = at + length
        self.window.delivered(ask, at, end, more, self.result.total)
        self._deliver(at, payload)
        if not more and self.result.total is None and length:
            self.result.total = end

    def _deliver(self, at, payload):
        low = max(self._start - at, 0)
        high = len(payload)
        if self.window.stop is not None:
            high = min(high, self.window.stop - at)
        if low < high:
            self._sink(at + low, payload[low:high])
            self.result.bytes += high - low

    def _place(self, ask, block, length):
        """(byte offset, size, more) of a block; offset None when it has to be asked for again."""
        if block is None:  # the server did not use blocks: this is all that is left, or the whole body
            first = self._code is None and ask.at <= self._start
            if not first and (length > 16 << ask.szx or not self._by_offset):
                raise BadResponse("no block in mid-transfer")
            return (ask.at if self._by_offset else 0), length, False
        szx = block & 7
        num = block >> 4
        wanted = 0 if self._by_offset else ask.at
        if szx == 7 or szx > ask.szx:
            raise BadResponse("block size %d" % szx)
        if num << (szx + 4) != wanted:
            if szx < ask.szx and num == wanted >> (ask.szx + 4):
                self.window.szx = szx  # smaller blocks, but our number: that is another place in the body
                return None, 0, True
            raise BadResponse("block %d of size %d instead of byte %d" % (num, 16 << szx, wanted))
        self.window.szx = min(szx, self.window.szx)
        return ask.at, 16 << szx, bool(block & 8)

    def _check_version(self, etag, total):
        result = self.result
        if etag is not None:  # servers may send it with the first block only
            if self._expected is not None and etag != self._expected:
                raise ETagChanged("body changed during the transfer")
            self._expected = result.etag = etag
        if total is not None:
            if result.total is not None and total != result.total:
                raise ETagChanged("body changed its size during the transfer")
            result.total = total


def _response(code, view, options_at, payload_at, n):
    from .response import Response

    return Response(code, bytes(view[options_at:n]), payload_at - options_at)
