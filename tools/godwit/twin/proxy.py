"""CoAP resource /proxy: files of allowed hosts by Proxy-Uri and Block2 (facts 12).

Stateless: every block is cut from the origin file as asked for, so a download may start anywhere, at any
block size, with or without the `offset` query (block numbers then count from the offset). Size2 says
what is left from the offset. Every block served is a record.
Called by site.py, which never lets the block-wise layer touch this resource.
"""

from urllib.parse import unquote, urlsplit

from aiocoap import Message
from aiocoap.numbers import codes

from .errors import BAD_REQUEST, NOT_FOUND, ApiError, not_found

HOSTS = ("pgps.nrfcloud.com", "firmware.nrfcloud.com", "static.api.nrfcloud.com", "bundles.nrfcloud.com")
_MAX_OFFSET_DIGITS = 12


class ProxyApi:
    """Handler of /proxy. `on_block(call, host, path, offset, size)` hears of every block."""

    def __init__(self, bundles, on_block):
        self._bundles = bundles
        self._on_block = on_block

    def routes(self):
        """(method, pattern, handler) triples."""
        return [("GET", ("proxy",), self.get)]

    def get(self, call):
        """One block."""
        host, path = _origin(call.message.opt.proxy_uri)
        size = self._bundles.size(host, path)
        if size is None:
            path = unquote(path)
            size = self._bundles.size(host, path)
        if size is None:
            raise not_found("no such file", NOT_FOUND)
        base = _offset(call.parameter("offset", "0"))
        block = call.message.opt.block2
        number, exponent = (block.block_number, block.size_exponent) if block else (0, 6)
        length = 16 << exponent
        start = base + number * length
        if start >= size:
            raise ApiError(400, BAD_REQUEST, "offset past the end of the file")
        data = self._bundles.read(host, path, start, length)
        answer = Message(code=codes.CONTENT, payload=data)
        answer.opt.content_format = 42
        answer.opt.block2 = (number, start + len(data) < size, exponent)
        if call.message.opt.size2 is not None or not number:
            answer.opt.size2 = size - base
        self._on_block(call, host, path, start, len(data))
        return answer


def _origin(uri):
    if not uri:
        raise ApiError(400, BAD_REQUEST, "Proxy-Uri is missing")
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise ApiError(400, BAD_REQUEST, "Proxy-Uri is not a URI") from exc
    if parts.scheme != "https" or host not in HOSTS or port not in (None, 443) or parts.username is not None:
        raise ApiError(403, BAD_REQUEST, "host not allowed")
    return host, parts.path.removeprefix("/")


def _offset(text):
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_OFFSET_DIGITS:
        raise ApiError(400, BAD_REQUEST, "offset is a number of bytes")
    return int(text)
