"""CoAP resource /proxy: files of allowed hosts by Proxy-Uri and Block2 (facts 12).

Stateless: every block is cut from the origin file as asked for, so a download may start anywhere, at any
block size, with or without the `offset` query (block numbers then count from the offset). Size2 says
what is left from the offset. Origins are the firmware bundles and the prediction files. Every block served is a record.
Called by site.py, which never lets the block-wise layer touch this resource.
"""

from urllib.parse import unquote, urlsplit

from aiocoap import Message
from aiocoap.numbers import codes

from .errors import BAD_REQUEST, NOT_FOUND, ApiError, not_found

HOSTS = ("pgps.nrfcloud.com", "firmware.nrfcloud.com", "static.api.nrfcloud.com", "bundles.nrfcloud.com")
_MAX_OFFSET_DIGITS = 12
_STATUS_NOT_FOUND = 404


class ProxyApi:
    """Handler of /proxy. `on_block(call, host, path, offset, size, total)` hears of every block.

    An origin of `origins` has size(host, path), None for a file that it has not, and read(host, path, offset, size).
    """

    def __init__(self, origins, faults, on_block):
        self._origins = origins
        self._faults = faults
        self._on_block = on_block

    def routes(self):
        """(method, pattern, handler) triples."""
        return [("GET", ("proxy",), self.get)]

    def get(self, call):
        """One block."""
        host, path = _origin(call.message.opt.proxy_uri)
        status = self._faults.value("proxy_status")
        if status:
            raise _origin_failed(status)
        origin, path, total = self._find(host, path)
        base = _offset(call.parameter("offset", "0"))
        block = call.message.opt.block2
        number, exponent = (block.block_number, block.size_exponent) if block else (0, 6)
        number, exponent = self._faults.block(number, exponent)
        length = 16 << exponent
        start = base + number * length
        if start >= total:
            raise ApiError(400, BAD_REQUEST, "offset past the end of the file")
        data = origin.read(host, path, start, length)
        answer = Message(code=codes.CONTENT, payload=self._faults.spoil(data))
        answer.opt.content_format = 42
        answer.opt.block2 = (number, start + len(data) < total, exponent)
        if call.message.opt.size2 is not None or not number:
            answer.opt.size2 = max(0, total - base + self._faults.value("size2_error"))
        self._on_block(call, host, path, start, len(data), total)
        return answer

    def _find(self, host, path):
        """(origin, path, size) of a file, whose name may have come percent-encoded. Raises ApiError 4.04."""
        for name in dict.fromkeys((path, unquote(path))):
            for origin in self._origins:
                size = origin.size(host, name)
                if size is not None:
                    return origin, name, size
        raise not_found("no such file", NOT_FOUND)


def _origin_failed(status):
    """What a device hears when the origin answers 404 or is not there."""
    if status == _STATUS_NOT_FOUND:
        return not_found("no such file", NOT_FOUND)
    return ApiError(status, 50200, "the origin does not answer", coap=codes.BAD_GATEWAY)


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
