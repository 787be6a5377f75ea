"""The CoAP resources of the emulated Exosite (platforms.md 2.1, 2.2, 2.5), answered as its documents say: piggybacked.

What is here: write, read, multi read and write, content list, info and bytes, time. Activation, observe and RPC answer
5.01, which the platform itself never does. The content is cut as asked for: no state. aiocoap calls render().
"""

import cbor2
from aiocoap import Message, resource
from aiocoap.numbers import codes

from . import devices

_CIK_SIZE = 20
_QUERY = 15
_OCTETS = 42
_MAX_UNBLOCKED = 1024


class Answer(Exception):
    """Ends a request with an empty error."""

    def __init__(self, code):
        super().__init__(str(code))
        self.code = code


class Site(resource.Resource):
    """`known`: {CIK: devices.Device}; `models`: {(vendor, model): {content id: devices.Content}}."""

    def __init__(self, known, models, world):
        super().__init__()
        self._devices = known
        self._models = models
        self._world = world
        self.requests = []  # (method, path, Block2 triple or None, code) of each request: no CIK

    async def needs_blockwise_assembly(self, request):
        return False

    async def render(self, request):
        """One request, one answer."""
        path = request.opt.uri_path
        try:
            answer = self._answer(request, path)
        except devices.BadValue:
            answer = Message(code=codes.BAD_REQUEST)
        except Answer as refused:
            answer = Message(code=refused.code)
        block = request.opt.block2
        triple = (block.block_number, block.more, block.size_exponent) if block else None
        self.requests.append((str(request.code), "/".join(path), triple, str(answer.code)))
        return answer

    def _answer(self, request, path):
        method = str(request.code)
        if path == ("ts",):
            return self._time(request)
        if path in (("rpc",),) or path[:2] == ("provision", "activate"):
            raise Answer(codes.NOT_IMPLEMENTED)
        values = [value for number, value in request.raw_options if number == _QUERY]
        device = self._device(values[:1])
        if path[:1] == ("1a",) and len(path) <= 2:
            if request.opt.observe is not None:
                raise Answer(codes.NOT_IMPLEMENTED)
            if path[1:]:
                return self._one(method, device, path[1], request.payload)
            return self._many(device, values[1:], request.payload)
        if path[:2] == ("provision", "download") and method == "GET" and 4 <= len(path) <= 6:
            return self._download(request, device, path[2:])
        raise Answer(codes.NOT_FOUND)

    def _time(self, request):
        now = int(self._world.now_s())
        octets = request.opt.content_format == _OCTETS
        return Message(code=codes.CONTENT, payload=now.to_bytes(4, "big", signed=True) if octets else b"%d" % now)

    def _device(self, first):
        """The device whose CIK is the first query option: 20 raw bytes or 40 hex digits."""
        for value in first:
            cik = value.hex() if len(value) == _CIK_SIZE else value.decode("ascii", "replace")
            if cik in self._devices:
                return self._devices[cik]
        raise Answer(codes.UNAUTHORIZED)

    @staticmethod
    def _port(device, alias):
        if alias not in device.dataports:
            raise Answer(codes.FORBIDDEN)
        return device.dataports[alias]

    def _one(self, method, device, alias, payload):
        port = self._port(device, alias)
        if method == "POST":
            port.write(_text(payload), self._world.now_ms())
            return Message(code=codes.CHANGED)
        if method != "GET":
            raise Answer(codes.METHOD_NOT_ALLOWED)
        if port.latest is None:
            return Message(code=codes.CHANGED)
        return Message(code=codes.CONTENT, payload=port.latest.encode())

    def _many(self, device, aliases, payload):
        writes = cbor2.loads(payload) if payload else {}
        ports = [(alias, self._port(device, alias)) for alias in [*writes, *(raw.decode() for raw in aliases)]]
        for alias, port in ports[: len(writes)]:
            port.write(str(writes[alias]), self._world.now_ms())
        found = {alias: port.latest for alias, port in ports[len(writes) :] if port.latest is not None}
        return Message(code=codes.CONTENT, payload=cbor2.dumps(found))

    def _download(self, request, device, path):
        contents = self._models.get(path[:2])
        if contents is None or path[:2] != (device.vendor, device.model):
            raise Answer(codes.NOT_FOUND)
        if len(path) == len(("vendor", "model")):
            return self._cut(request, "\n".join(contents).encode())
        content = contents.get(path[2])
        if content is None or path[3:] not in ((), ("info",)):
            raise Answer(codes.NOT_FOUND)
        return self._cut(request, content.info().encode() if path[3:] else content.data)

    @staticmethod
    def _cut(request, body):
        """The block that is asked for, cut from the body as it is now."""
        block = request.opt.block2
        number, exponent = (block.block_number, block.size_exponent) if block else (0, 6)
        size = 16 << exponent
        if number and number * size >= len(body):
            raise Answer(codes.BAD_REQUEST)
        answer = Message(code=codes.CONTENT, payload=body[number * size : (number + 1) * size])
        if block or len(body) > _MAX_UNBLOCKED:
            answer.opt.block2 = (number, (number + 1) * size < len(body), exponent)
        return answer


def _text(payload):
    try:
        return payload.decode()
    except UnicodeDecodeError as exc:
        raise devices.BadValue("not UTF-8") from exc
