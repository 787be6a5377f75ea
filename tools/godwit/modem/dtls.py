"""DTLS 1.2 as the modem terminates it for #XSSOCKET, on an engine of godwit.dtls, never blocking.

Server certificates are checked against the root CA of the security tag, the HOSTNAME option and the modem's own
clock. The suites are those nRF91 offers. A connection ID (RFC 9146) is offered as option 14 says, and an association
can be put away and taken up again (options 19 and 20), where the engine can do it.
"""

import asyncio
import os

from godwit.dtls import EngineError, choose
from godwit.dtls.trust import VERIFY_REQUIRED, CredentialError, Trust, matches

__all__ = ["CID_OFF", "VERIFY_REQUIRED", "CredentialError", "DtlsSession", "matches"]
CID_OFF = 0  # option 14: 0 off, 1 the server may know us by one, 2 we want one on the server's records, too
CID_DOWN, CID_UP = 1, 2  # bits of option 15: the server's records carry one, ours do
_OWN_CID = 4  # bytes, of the one that option 14 = 2 asks for
_AEAD = (0xC02B, 0xC02F)


class DtlsSession:
    """One association. `transmit(datagram)` sends, `on_data(bytes)` delivers, `on_closed()` once after the end.

    `settled` is set when the handshake has come to an end; then `open` or `error` (a word for the log) tells which.
    `saved` while it rests. Raises CredentialError, EngineError.
    """

    def __init__(self, credentials, verify, hostname, now_s, transmit, on_data, on_closed, *, cid=CID_OFF,
                 engine="auto", sni=None):
        self.settled = asyncio.Event()
        self.open = False
        self.error = None
        self._transmit = transmit
        self._on_data = on_data
        self._on_closed = on_closed
        self._timer = None
        self._saved = None
        trust = Trust(credentials.get("ca"), verify, hostname, now_s, sni)
        offer = (None, b"", os.urandom(_OWN_CID))[cid]
        self._engine = choose(engine).client(trust, credentials.get("cert"), credentials.get("key"), offer)

    @property
    def suite(self):
        """IANA number of the cipher suite, 0 before the handshake."""
        return self._engine.suite

    @property
    def cid_status(self):
        """Option 15: whose records carry a connection ID."""
        return (CID_DOWN if self._engine.own_cid else 0) | (CID_UP if self._engine.peer_cid else 0)

    @property
    def saved(self):
        """Does it rest?"""
        return self._saved is not None

    def start(self):
        """Send the first flight."""
        self._engine.start()
        self._advance([])

    def refuse(self, reason):
        """As if the peer had ended the handshake."""
        self._end(reason)

    def feed(self, datagram):
        """One datagram from the peer; damaged and foreign ones are ignored, as DTLS wants."""
        if not (self.error or self.saved):
            self._advance(self._engine.receive(datagram))

    def send(self, data):
        """Encrypt and send one datagram. Raises OSError when the association is gone or rests."""
        if not self.open or self.saved:
            raise OSError("association saved" if self.saved else "association closed")
        try:
            self._engine.send(data)
        except EngineError as err:
            self._end("send failed")
            raise OSError("association broken") from err
        self._drain()

    def save(self):
        """Put the association away: it takes no memory but its state. Raises OSError when it cannot be."""
        if not self.open or self.saved:
            raise OSError("no association to save")
        if self.suite not in _AEAD:
            raise OSError("suite without AEAD")
        try:
            self._saved = self._engine.save()
        except EngineError as err:
            raise OSError(str(err)) from err

    def load(self):
        """Take it up again; nothing is sent. Raises OSError when nothing was saved."""
        if not self.saved:
            raise OSError("nothing saved")
        try:
            self._engine = self._engine.restored(self._saved)
        except EngineError as err:
            raise OSError(str(err)) from err
        self._saved = None

    def close(self):
        """Say goodbye if there is somebody to hear it, and if we still can."""
        if self.open and not self.saved:
            self._engine.close()
            self._drain()
        self.open = False
        self.error = self.error or "closed"
        self._saved = None
        self._stop_timer()
        self._engine.free()
        self.settled.set()

    def _advance(self, messages):
        """After each turn of the engine: its state, what it says, its datagrams, its timer."""
        if self._engine.established and not self.open and not self._engine.ended:
            self.open = True
            self.settled.set()
        for message in messages:
            self._on_data(message)
        if self._engine.ended and not self.error:
            self._end(self._engine.ended)
        self._drain()
        self._arm()

    def _end(self, error):
        was_open, self.open = self.open, False
        self.error = error
        self.settled.set()
        self._stop_timer()
        if was_open:
            self._on_closed()

    def _drain(self):
        for datagram in self._engine.outgoing():
            self._transmit(datagram)

    def _arm(self):
        self._stop_timer()
        timeout = None if self.error else self._engine.timeout()
        if timeout is not None:
            self._timer = asyncio.get_running_loop().call_later(timeout + 0.001, self._retransmit)

    def _retransmit(self):
        self._engine.expired()
        self._advance([])

    def _stop_timer(self):
        if self._timer:
            self._timer.cancel()
            self._timer = None
