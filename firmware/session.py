"""How a session with the cloud is made: a secured endpoint, and a token that proves who we are. Loaded for each one.

Either job is done by the firmware or by the modem, as the settings `dtls` and `jwt` say. Called by app.py.
"""

import gc

from micropython import const

import board
import cold
import jwt
import log
import store
from cloud.base import AuthError
from modem.base import ATError

_MARGIN_MS = const(10000)  # name resolution and the modem's own answer
_NO_KEY = (513, 514)  # not there, not to be used (modems.md 1.10)
_FLIGHT = const(1200)  # a server's certificates come in datagrams of about this size


async def connect(app):
    """-> a datagram endpoint to the cloud, its certificate verified. Raises OSError (DTLSError says what is wrong)."""
    config = app.config
    host, port = config["host"], config["port"]
    limit_ms = config["handshake_timeout_s"] * 1000
    if config["dtls"] == "modem":
        endpoint = await app.modem.dtls_open(
            host,
            port,
            config["sec_tag"],
            host,
            rx_bytes=app.rx_bytes,
            timeout_ms=limit_ms + _MARGIN_MS,
            ca=store.read_bytes(app.root + "/data/ca.pem", b""),
        )
        log.info("dtls", "connected to %s, certificate verified by the modem", host)
        return endpoint
    from net.dtls import DTLS

    if hasattr(board, "udp_open"):  # a network of the board's own
        endpoint = await board.udp_open(app.modem, host, port)
    else:
        endpoint = await app.modem.udp_open(host, port, app.rx_bytes)
    if endpoint.mtu < _FLIGHT:
        text = "this modem cuts datagrams at %d bytes: if no session comes up, set dtls to modem"
        log.warn("dtls", text, endpoint.mtu)
    try:
        secured = DTLS(endpoint, host, store.read_bytes(app.root + "/data/ca.pem", b""))
        cold.forget()  # what has opened the socket: a handshake wants pieces of 2.8 KB
        gc.collect()
        await secured.handshake(limit_ms)
    except BaseException:
        await endpoint.close()
        raise
    app.heap.mark()
    log.info("dtls", "connected to %s, certificate verified", host)
    return secured


async def token(app, device_id, now_s, lifetime_s):
    """-> compact JWS for `device_id`, signed by the modem or with the key on flash; with the setting `auth` jwt-id the
    modem's Identity JWT, whoever `device_id` is. Raises AuthError, ATError, OSError."""
    config = app.config
    if config["auth"] == "jwt-id":
        return await app.modem.jwt("", lifetime_s, None)
    if config["jwt"] == "modem":
        try:
            return await app.modem.jwt(device_id, lifetime_s, config["sec_tag"])
        except ATError as refused:
            if refused.code not in _NO_KEY:
                raise
            raise AuthError("no device key in the modem: %s" % refused)
    key = config.secrets().get("key")
    if not key:
        raise AuthError("no device key on flash: provision the node")
    try:
        return _sign(key, device_id, now_s, lifetime_s)
    except ValueError as problem:
        raise AuthError("no token can be made: %s" % problem)


def _sign(key, device_id, now_s, lifetime_s):
    import es256

    return jwt.device_token(jwt.KeySigner(es256.load_private_key(key)), device_id, now_s, lifetime_s)
