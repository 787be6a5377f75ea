"""SIM7080: DTLS (modems.md 2B.5). Contexts by +CSSLCFG, bound to a cid by +CASSLCFG; certificates are files.

The modem checks the chain of the server and its time, never its name. Without a CA it checks nothing. A clock that has
never been set says 1980, which no certificate covers, unless the context ignores it.
"""

from cryptography import x509

from godwit.modem.grammar import CommandError
from godwit.modem.simcom.registry import command
from godwit.modem.sockets import Tls

_CONTEXTS, _CIDS = 6, 13
_DTLS12, _DTLS = 5, 2
_HANDSHAKE_S = 60
_EPOCH_1980_S = 315964800
_NUMBERS = {"SSLVERSION": 5, "PROTOCOL": 2, "IGNORERTCTIME": 1, "MAXFRAGLENDISABLE": 1, "MAXFRAGLEN": 4,
            "NEGOTIATETIME": 300}  # fmt: skip
_FILES = ("CACERT", "CERT", "PSKTABLE")
_VERIFY_NONE, _VERIFY_REQUIRED = 0, 2


@command("+CSSLCFG", "set")
def _configure(dev, params):
    what = params.text(0).upper()
    if what == "CONVERT":
        return _convert(dev, params)
    number = params.number(1, 0, _CONTEXTS - 1)
    context = dev.contexts.setdefault(number, {})
    if what == "CTXINDEX":
        return f'+CSSLCFG: {number},{context.get("SSLVERSION", 0)}'
    if what == "CIPHERSUITE":
        params.number(2, 0, 7)
        if not str(params[3] if params.given(3) else "").lower().startswith("0x"):
            raise CommandError
    elif what == "SNI":
        context[what] = params.text(2)
    elif what in _NUMBERS:
        context[what] = params.number(2, 0, _NUMBERS[what])
    else:
        raise CommandError
    return None


def _convert(dev, params):
    """A file becomes a credential: it has to be there, and to be what it is said to be."""
    kind = params.number(1, 1, 3)
    names = [params.text(2)] + ([params.text(3)] if kind == 1 and params.given(3) else [])
    contents = [dev.core.nvs.read_file("3/" + name) for name in names]
    if kind == 3 or any(content is None for content in contents):  # PSK suites are not there
        raise CommandError
    try:
        x509.load_pem_x509_certificates(contents[0])
    except ValueError as err:
        raise CommandError from err
    ready = dev.core.nvs.value("converted", {})
    dev.core.nvs.keep("converted", {**ready, names[0]: names[1:]})


@command("+CASSLCFG", "set")
def _bind(dev, params):
    cid, what = params.number(0, 0, _CIDS - 1), params.text(1).upper()
    settings = dev.secure.setdefault(cid, {})
    if what == "SSL":
        settings[what] = params.number(2, 0, 1)
    elif what == "CRINDEX":
        settings[what] = params.number(2, 0, _CONTEXTS - 1)
    elif what in _FILES:
        name = params.text(2)
        if name and name not in dev.core.nvs.value("converted", {}):
            raise CommandError
        settings[what] = name
    else:
        raise CommandError


@command("+CASSLCFG", "read")
def _bound(dev, params):
    return [f'+CASSLCFG: {cid},{s.get("SSL", 0)},{s.get("CRINDEX", 0)},"{s.get("CACERT", "")}","{s.get("CERT", "")}"'
            for cid, s in sorted(dev.secure.items())]


def client(dev, settings):
    """The Tls of a cid; None when its context is not one for UDP, or a file has gone."""
    context = dev.contexts.get(settings.get("CRINDEX", 0), {})
    if context.get("SSLVERSION") != _DTLS12 or context.get("PROTOCOL", _DTLS) != _DTLS:
        return None
    ca, cert, key = settings.get("CACERT"), settings.get("CERT"), None
    if cert:
        key_names = dev.core.nvs.value("converted", {})[cert]
        key = _text(dev, key_names[0]) if key_names else None
    texts = [_text(dev, name) if name else None for name in (ca, cert)]
    if (ca and texts[0] is None) or (cert and (texts[1] is None or key is None)):
        return None
    now_s = dev.core.rtc_s() or _EPOCH_1980_S
    return Tls(ca=texts[0], cert=texts[1], key=key, verify=_VERIFY_REQUIRED if ca else _VERIFY_NONE,
               now_s=None if context.get("IGNORERTCTIME") else now_s, timeout_s=_HANDSHAKE_S,
               sni=context.get("SNI"))


def _text(dev, name):
    content = dev.core.nvs.read_file("3/" + name)
    return None if content is None else content.decode("latin-1")
