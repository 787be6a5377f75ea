"""The CoAP resources of the emulated ThingsBoard (platforms.md 1.2 to 1.7, 1.10), and how each of them answers.

What is here: telemetry, attributes (without observe), firmware chunks, the clock. Other features answer 5.01, which
the platform itself never does. aiocoap calls render(); server.py makes it.
"""

import asyncio
import json
import time

from aiocoap import Message, resource
from aiocoap.numbers import codes

from . import devices

_MAX_UNBLOCKED = 1024
_BLOCK_STATE_S = 300
_LATER = ("rpc", "claim", "provision")
_SPLIT_PATH = 1


class Answer(Exception):
    """Ends a request with an empty error."""

    def __init__(self, code):
        super().__init__(str(code))
        self.code = code


class Site(resource.Resource):
    """`devices`: {token: devices.Device}; `world` tells the time; `switches`: server.Switches."""

    def __init__(self, known, world, switches):
        super().__init__()
        self._devices = known
        self._world = world
        self._switches = switches
        self._bodies = {}  # (peer, path, query) -> (monotonic time, body): Block2 under way
        self.requests = []  # (method, feature, query, code or None) of each request: no token
        self.violations = []  # what a good client never does

    async def needs_blockwise_assembly(self, request):
        return False

    async def render(self, request):
        """One request, one answer, or none for ever."""
        path = _path(request)
        feature = self._feature(path)
        try:
            if self._switches.frozen:
                raise devices.Silence
            answer = self._answer(request, path, feature)
        except devices.Silence:
            self.requests.append((str(request.code), feature, request.opt.uri_query, None))
            await asyncio.Event().wait()  # until the context is shut down
        except devices.Malformed:
            answer = Message(code=codes.BAD_REQUEST)
        except ValueError:
            answer = Message(code=codes.INTERNAL_SERVER_ERROR)
        except Answer as refused:
            answer = Message(code=refused.code)
        self.requests.append((str(request.code), feature, request.opt.uri_query, str(answer.code)))
        answer.opt.no_response = request.opt.no_response
        if not hasattr(answer, "manner"):
            answer.manner = self._manner(feature, answer)
        if self._switches.delay_s:
            await asyncio.sleep(self._switches.delay_s)
        return answer

    def _manner(self, feature, answer):
        if feature in ("fw", "sw"):
            return "separate"
        return self._switches.manner if answer.code.is_successful() else "ack"

    @staticmethod
    def _feature(path):
        if len(path) > 1 and path[0] in ("fw", "sw"):
            return path[0]
        return path[3].lower() if path[:2] == ("api", "v1") and len(path) > 3 else "/".join(path[:1])

    def _answer(self, request, path, feature):
        method = str(request.code)
        if path == ("efento", "t"):
            return Message(code=codes.CONTENT, payload=int(self._world.now_s()).to_bytes(4, "big"))
        if path[:1] not in (("api",), ("fw",), ("sw",)):
            raise Answer(codes.NOT_FOUND)
        if path[0] in ("fw", "sw"):
            if method != "GET":
                raise Answer(codes.METHOD_NOT_ALLOWED)
            device = self._device(path[1] if len(path) == 2 else None)
            return self._chunk(request, device.package if feature == "fw" else None)
        if method not in ("GET", "POST"):
            raise Answer(codes.METHOD_NOT_ALLOWED)
        if feature in _LATER:
            raise Answer(codes.NOT_IMPLEMENTED)
        if feature not in ("telemetry", "attributes") or (method, feature) == ("GET", "telemetry"):
            raise Answer(codes.BAD_REQUEST)
        device = self._device(path[2])
        if method == "GET":
            return self._attributes(request, device)
        body = _json(request.payload)
        if feature == "attributes":
            if not isinstance(body, dict):
                raise devices.Malformed("attributes are an object")
            device.client.update(devices.cast(body))
        else:
            device.save(devices.telemetry(body), self._world.now_ms())
        return Message(code=codes.CREATED)

    def _device(self, token):
        if token not in self._devices:
            raise Answer(codes.UNAUTHORIZED)
        return self._devices[token]

    def _attributes(self, request, device):
        wanted = _keys(request.opt.uri_query)
        found = {}
        for scope, values in (("client", device.client), ("shared", device.shared)):
            if wanted and scope not in wanted:
                continue
            part = {key: values[key] for key in wanted.get(scope, values) if key in values}
            if part:
                found[scope] = part
        if not found:
            raise Answer(codes.NOT_FOUND)
        answer = Message(code=codes.CONTENT, payload=json.dumps(found, separators=(",", ":")).encode())
        answer.opt.content_format = request.opt.content_format or 50
        return self._cut(request, answer) if len(answer.payload) > _MAX_UNBLOCKED else answer

    def _chunk(self, request, package):
        if package is None or package.url:
            raise Answer(codes.NOT_FOUND)
        query = dict(item.split("=", 1) for item in request.opt.uri_query if "=" in item)
        if any(query.get(name, getattr(package, name)) != getattr(package, name) for name in ("title", "version")):
            raise Answer(codes.BAD_REQUEST)
        size, chunk = int(query.get("size", 0)), int(query.get("chunk", 0))  # no number: 5.00
        body = package.data[size * chunk :][: size or None]
        if not body:
            self.violations.append(f"chunk {chunk} of {size} is past the end")
            raise devices.Silence
        answer = Message(code=codes.CONTENT, payload=body)
        block = request.opt.block2
        if block is None and len(body) <= _MAX_UNBLOCKED:
            return answer
        return self._cut(request, answer)

    def _cut(self, request, answer):
        """The block asked for; the body is kept for the others, which are piggybacked and die with port or time."""
        block = request.opt.block2
        number, exponent = (block.block_number, block.size_exponent) if block else (0, 6)
        key = (request.remote.addr, request.opt.uri_path, request.opt.uri_query)
        now = time.monotonic()
        if number:
            made, body = self._bodies.get(key, (0, None))
            if body is None or now - made > _BLOCK_STATE_S:
                raise devices.Silence  # it fails inside: a body that does not fit the block
        else:
            body = answer.payload
        size = 16 << exponent
        part = answer.copy(payload=body[number * size : (number + 1) * size])
        more = (number + 1) * size < len(body)
        part.opt.block2 = (number, more, exponent)
        if more or number:
            if not number:
                part.opt.size2 = len(body)
            self._bodies[key] = (now, body)
        if not more:
            self._bodies.pop(key, None)
        if number:
            part.manner = "ack"
        return part


def _path(request):
    path = request.opt.uri_path
    if len(path) == _SPLIT_PATH:  # modems send the whole path as one option
        path = tuple(part for part in path[0].split("/") if part)
    return path


def _keys(query):
    """{"client": [..], "shared": [..]} of what is asked for; anything else in a query is ignored."""
    found = {}
    for item in query:
        name, _, value = item.partition("=")
        if name in ("clientKeys", "sharedKeys") and "=" not in value:
            found[name.removesuffix("Keys")] = value.split(",")
    return found


def _json(payload):
    try:
        return json.loads(payload)
    except ValueError as exc:
        raise devices.Malformed(str(exc)) from exc
