"""DTLS 1.2 for the twin and the modem simulator: two engines behind one interface, neither of them ours.

`mbedtls` is Mbed TLS 3.6 by ctypes, the library that set-up unpacks with MicroPython; it has connection IDs (RFC 9146)
and can put an association away. `openssl` is pyOpenSSL, without either, for machines where the other is not there.
`choose(name)` gives the module. Each module has

    NAME, CID                              its name; whether connection IDs are there
    server(cert_file, key_file)            -> make(peer: bytes, cid: bytes) -> engine; OSError, ValueError
    client(trust, cert_pem, key_pem, cid)  -> engine; trust.CredentialError

`cid` is the connection ID that the peer shall put into its records: None offers none, b"" one of no bytes (we only
take the peer's). An engine is one association and does no I/O:

    start()                    client: make the first flight
    receive(datagram)          -> [plaintext]; what is damaged, foreign or seen before is ignored, as DTLS wants
    send(plaintext)            EngineError when it cannot be
    close()                    make a close_notify, as far as it can be
    outgoing()                 -> [datagram] made since; ask after each of the others
    timeout(), expired()       s until the flight is due again, or None; call when they are over
    free()                     give the memory back; nothing else may be called afterwards
    established, ended         handshake done; why it is over ("closed by peer", ...), or None
    suite                      IANA number, 0 before the handshake
    own_cid, peer_cid          in use after the handshake: on the peer's records, on ours; b"" for none
    verdict(datagram)          (CID) on its first record: "good", "repeated" or "forged"; changes nothing
    save()                     (CID) -> bytes; the association rests in them, and the engine is freed. EngineError
    restored(saved)            (CID) -> the engine that goes on from there
"""

from importlib import import_module

NAMES = ("mbedtls", "openssl")


class EngineError(Exception):
    """What an engine could not do; str() says why."""


def choose(name="auto"):
    """The module of an engine; "auto" is Mbed TLS if it can be loaded, else OpenSSL. Raises EngineError."""
    if name == "auto":
        try:
            return choose("mbedtls")
        except EngineError:
            return choose("openssl")
    module = import_module("." + name, __name__)
    module.check()
    return module
