"""Mbed TLS 3.6 by ctypes: loading it, its functions, its structures, its errors. mbedtls.py makes an engine of it.

The three libraries are the ones that Debian's MicroPython links, below build/sys; their sonames fix the ABI that is
used here. Structures stay opaque: memory larger than any of them, made and undone by the library's own functions.
Of `mbedtls_x509_crt` alone the first two members are read, which its header publishes.
"""

import ctypes as c
import os
import platform
import weakref

from godwit.dtls import EngineError
from godwit.places import BUILD

_LIBRARIES = ("libmbedcrypto.so.16", "libmbedx509.so.7", "libmbedtls.so.21")
_OPAQUE = 16384  # bytes; the largest of them, mbedtls_x509_crt, takes a tenth

_TYPES = {"p": c.c_void_p, "z": c.c_size_t, "i": c.c_int, "u": c.c_uint32, "s": c.c_char_p}
# function: kinds of its arguments; all give an int, or nothing that we look at
_FUNCTIONS = {
    "mbedtls_strerror": "ipz",
    "mbedtls_pk_init": "p",
    "mbedtls_pk_free": "p",
    "mbedtls_pk_parse_key": "ppzpzpp",
    "mbedtls_x509_crt_init": "p",
    "mbedtls_x509_crt_free": "p",
    "mbedtls_x509_crt_parse": "ppz",
    "mbedtls_ssl_config_init": "p",
    "mbedtls_ssl_config_free": "p",
    "mbedtls_ssl_config_defaults": "piii",
    "mbedtls_ssl_conf_authmode": "pi",
    "mbedtls_ssl_conf_ca_chain": "ppp",
    "mbedtls_ssl_conf_cid": "pzi",
    "mbedtls_ssl_conf_ciphersuites": "pp",
    "mbedtls_ssl_conf_dtls_cookies": "pppp",
    "mbedtls_ssl_conf_own_cert": "ppp",
    "mbedtls_ssl_conf_rng": "ppp",
    "mbedtls_ssl_conf_session_cache": "pppp",
    "mbedtls_ssl_conf_verify": "ppp",
    "mbedtls_ssl_cache_init": "p",
    "mbedtls_ssl_cache_free": "p",
    "mbedtls_ssl_cookie_init": "p",
    "mbedtls_ssl_cookie_free": "p",
    "mbedtls_ssl_cookie_setup": "ppp",
    "mbedtls_ssl_init": "p",
    "mbedtls_ssl_free": "p",
    "mbedtls_ssl_setup": "pp",
    "mbedtls_ssl_session_reset": "p",
    "mbedtls_ssl_set_bio": "ppppp",
    "mbedtls_ssl_set_timer_cb": "pppp",
    "mbedtls_ssl_set_mtu": "pi",
    "mbedtls_ssl_set_hostname": "ps",
    "mbedtls_ssl_set_client_transport_id": "ppz",
    "mbedtls_ssl_set_cid": "pipz",
    "mbedtls_ssl_get_peer_cid": "pppp",
    "mbedtls_ssl_get_ciphersuite_id_from_ssl": "p",
    "mbedtls_ssl_handshake": "p",
    "mbedtls_ssl_read": "ppz",
    "mbedtls_ssl_write": "ppz",
    "mbedtls_ssl_close_notify": "p",
    "mbedtls_ssl_check_record": "ppz",
    "mbedtls_ssl_context_save": "ppzp",
    "mbedtls_ssl_context_load": "ppz",
}
TRANSFER = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_size_t)
SET_TIMER = c.CFUNCTYPE(None, c.c_void_p, c.c_uint32, c.c_uint32)
GET_TIMER = c.CFUNCTYPE(c.c_int, c.c_void_p)
VERIFY = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_int, c.POINTER(c.c_uint32))


class _Buffer(c.Structure):
    _fields_ = (("tag", c.c_int), ("size", c.c_size_t), ("data", c.c_void_p))


class _CertificateHead(c.Structure):
    _fields_ = (("own_buffer", c.c_int), ("raw", _Buffer))


def der_of(certificate):
    """The DER bytes of a `mbedtls_x509_crt` by its address."""
    raw = c.cast(certificate, c.POINTER(_CertificateHead)).contents.raw
    return c.string_at(raw.data, raw.size)


class Library:
    """The functions above, by name without `mbedtls_`; `random` is the generator that they are given."""

    def __init__(self, paths):
        self._handles = [c.CDLL(str(path)) for path in paths]  # in this order: each finds those before by soname
        for name, kinds in _FUNCTIONS.items():
            function = self.function(name)
            function.argtypes = [_TYPES[kind] for kind in kinds]
            setattr(self, name.removeprefix("mbedtls_"), function)
        start = self.function("psa_crypto_init")
        if start():
            raise OSError("psa_crypto_init failed")
        self.random = TRANSFER(_random)

    def function(self, name):
        """A function of one of the three. Raises OSError."""
        for handle in self._handles:
            if hasattr(handle, name):
                return getattr(handle, name)
        raise OSError(f"{name} is missing")

    def pointer(self, name):
        """Address of a function that only the library calls."""
        return c.cast(self.function(name), c.c_void_p)

    def text(self, code):
        """What the library says about an error code."""
        buffer = c.create_string_buffer(200)
        self.strerror(code, buffer, len(buffer))
        return buffer.value.decode().removeprefix("SSL - ")

    def must(self, code, what):
        """Raise EngineError when `code` is one of an error."""
        if code:
            raise EngineError(f"{what}: {self.text(code)}")

    def opaque(self, kind, *keep):
        """Memory for an initialised `mbedtls_<kind>`; freed with the last reference, and before those in `keep`."""
        return Opaque(getattr(self, kind + "_init"), getattr(self, kind + "_free"), keep)


class Opaque:
    """One structure of the library; may be passed where a pointer is wanted."""

    def __init__(self, make, undo, keep):
        memory = (c.c_uint64 * (_OPAQUE // 8))()
        make(memory)
        self._as_parameter_ = memory
        self.free = weakref.finalize(self, _undo, undo, memory, keep)


def _undo(undo, memory, keep):
    undo(memory)


def _random(_, buffer, size):
    c.memmove(buffer, os.urandom(size), size)
    return 0


def load():
    """-> Library. Raises EngineError when it is not there or does not fit this Python."""
    folder = f"sys/*/usr/lib/{platform.machine()}-linux-gnu/"
    places = [sorted(BUILD.glob(folder + name)) for name in _LIBRARIES]
    try:
        return Library([found[0] if found else name for found, name in zip(places, _LIBRARIES)])
    except OSError as err:
        raise EngineError(f"no Mbed TLS 3.6: {err}") from err
