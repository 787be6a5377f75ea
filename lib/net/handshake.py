"""DTLS 1.2 handshake of a client: MicroPython's `tls` (mbedTLS), RFC 6347 4.2; the server is always verified.

dtls.py loads it for each session; an application may drop it in between. mbedTLS takes some 40 KB of its own
while it runs.
"""

import time
from errno import ETIMEDOUT

from micropython import const

from .dtls import DTLSError

_POLL_MS = const(200)  # mbedTLS looks at its retransmission timers only when it is called
_ALERT = const(21)
_HEADER = const(13)

# Texts that mbedTLS gives for a failed verification, and what we say instead.
_REASONS = (
    ("not correctly signed", "untrusted CA"),
    ("does not match", "host name mismatch"),
    ("has expired", "certificate expired"),
    ("in the future", "certificate not yet valid"),
    ("revoked", "certificate revoked"),
)


async def establish(transport, trust, timeout_ms):
    """-> mbedTLS' session over `transport`; trust is (host name, CA certificate). Raises DTLSError, OSError."""
    session = _wrap(transport, *trust)
    try:
        await _drive(session, transport, time.ticks_add(time.ticks_ms(), timeout_ms))
        transport.established = True
        await transport.flush()
        if transport.dead is not None:
            raise transport.dead  # closed meanwhile
    except BaseException as exc:
        session.close()
        if isinstance(exc, DTLSError):
            transport.dead = exc
            await transport.flush()  # the alert that tells the server why
        raise
    return session


def _wrap(transport, hostname, ca):
    import tls

    context = tls.SSLContext(tls.PROTOCOL_DTLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED
    try:
        context.load_verify_locations(ca)
    except ValueError:
        raise DTLSError("CA certificate not readable")
    return context.wrap_socket(transport, server_hostname=hostname, do_handshake_on_connect=False)


async def _drive(session, transport, deadline):
    """Let mbedTLS work until the session is established."""
    while not _step(session, transport):
        if transport.at < transport.have:
            continue
        await transport.flush()
        left = time.ticks_diff(deadline, time.ticks_ms())
        if left <= 0:
            raise DTLSError("timeout", ETIMEDOUT)
        try:
            await transport.receive(min(left, _POLL_MS))
        except OSError as exc:
            if exc.args[0] != ETIMEDOUT:
                raise


def _step(session, transport):
    """Give mbedTLS its turn, and one record; True when the session is established. Raises DTLSError."""
    if transport.dead is not None:
        raise transport.dead  # closed meanwhile
    alert = _alert(transport.view[transport.at : transport.have])
    transport.armed = True
    try:
        return bool(session.write(b"\0"))
    except ValueError as exc:  # verification failed
        raise DTLSError(_reason(str(exc)))
    except OSError as exc:
        raise DTLSError(str(exc) if alert is None else "alert %d from the server" % alert)


def _alert(records):
    """The description in an alert in plaintext, or None when the next record is none."""
    if len(records) < _HEADER + 2 or records[0] != _ALERT or records[3] or records[4]:  # epoch 0
        return None
    return records[_HEADER + 1] if records[11] << 8 | records[12] == 2 else None


def _reason(text):
    for part, reason in _REASONS:
        if part in text:
            return reason
    return text.strip() or "certificate refused"
