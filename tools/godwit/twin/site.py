"""The CoAP service: authentication gate, routing, block-wise, errors, records (facts 1.1, 2, 3.5, 4.4).

A DTLS session has one scope until Max-Age (world time) is over, and the last authentication decides which: POST
p/auth-jwt opens p/*, POST auth/jwt and auth/jwt-id everything else; without the right one it is 4.01. Handlers are
found by method and path pattern; a known path with another method is 4.05. Every answer becomes one row in the records.
aiocoap calls render(); server.py makes it.
"""

from aiocoap import Message, resource
from aiocoap.numbers import codes

from . import auth, payload
from .blocks import Blockwise
from .call import Call, changed, created, match
from .errors import ACCESS_DENIED, BAD_REQUEST, ApiError, not_found

_METHODS = {1: "GET", 2: "POST", 3: "PUT", 4: "DELETE", 5: "FETCH", 6: "PATCH", 7: "IPATCH"}
CORE, PROVISIONING = "core", "prov"  # scopes
_SCOPES = {("auth", "jwt"): CORE, ("auth", "jwt-id"): CORE, ("p", "auth-jwt"): PROVISIONING}
_SUSPEND = (".dtls", "suspend")  # belongs to the transport: needs no scope


class Site(resource.Resource):
    """Everything a device can ask for. `apis` are the objects with routes()."""

    def __init__(self, devices, provisioning, faults, records, world, apis):
        super().__init__()
        self._devices = devices
        self._provisioning = provisioning
        self._faults = faults
        self._records = records
        self._world = world
        self._blockwise = Blockwise(faults)
        self._routes = [route for api in apis for route in api.routes()]

    async def needs_blockwise_assembly(self, request):
        return False  # blocks.py does it: aiocoap's spool answers 5.00 to a repeated block

    async def render(self, request):
        """One request, one answer; whatever goes wrong inside is a 5.00 and a row of the error table."""
        path = request.opt.uri_path
        if path and path[-1] == "":
            path = path[:-1]  # a trailing slash
        session = request.remote.session
        call = Call(
            method=_METHODS.get(int(request.code), str(request.code)),
            path=path,
            query=request.opt.uri_query,
            body=request.payload,
            content_format=_number(request.opt.content_format),
            accept=_number(request.opt.accept),
            session=session,
            message=request,
        )
        try:
            self._faults.before(call)
            answer = self._answer(request, call)
        except ApiError as exc:
            answer = _error(exc)
        except Exception as exc:  # the twin must outlive its own bugs, and the records must show them
            self._records.error(f"{call.method} /{'/'.join(path)}", exc)
            answer = Message(code=codes.INTERNAL_SERVER_ERROR, payload=b"twin error, see records")
        answer = self._faults.after(call, answer)
        if request.opt.block1 is not None and answer.opt.block1 is None:
            block = request.opt.block1
            answer.opt.block1 = (block.block_number, False, block.size_exponent)
        answer.opt.no_response = request.opt.no_response
        self._records.request(call, answer, len(request.payload))
        await self._faults.hold()
        return answer

    def _answer(self, request, call):
        if call.path in _SCOPES:
            if call.method != "POST":
                raise ApiError(405, BAD_REQUEST, "POST only")
            body, more = self._blockwise.take(request)
            return more or self._authenticate(call, body)
        if call.path == _SUSPEND:
            return self._suspend(call)
        self._gate(call)
        if call.path != ("proxy",) and (request.opt.proxy_uri or "") != "":
            raise ApiError(505, BAD_REQUEST, "not a proxy", coap=codes.PROXYING_NOT_SUPPORTED)
        handler = self._find(call)
        if call.path == ("proxy",):
            return handler(call)
        call.body, more = self._blockwise.take(request)
        if more:
            return more
        answer = self._blockwise.stored(request, call.body) or handler(call)
        if answer.code.is_successful() and answer.payload:
            answer = self._blockwise.cut(request, call.body, answer)
        return answer

    def _suspend(self, call):
        """What Californium knows and the service perhaps does not: 4.04 unless the switch `suspend` is on."""
        if call.method != "POST" or not self._faults.suspend:
            raise not_found("sessions cannot be suspended")
        return changed()

    def _gate(self, call):
        session = call.session
        if session.device is None:
            raise ApiError(401, ACCESS_DENIED, "not authenticated")
        if self._world.now_ms() >= session.expires_at:
            session.device = None
            raise ApiError(401, ACCESS_DENIED, "authentication expired")
        provisioning = session.scope == PROVISIONING
        if provisioning != (call.path[:1] == ("p",)):
            raise ApiError(401, ACCESS_DENIED, f"authenticated for {session.scope} only")
        if not (self._provisioning.claimed if provisioning else self._devices.exists)(session.device):
            session.device = None
            raise ApiError(401, ACCESS_DENIED, "device was deleted")
        call.device = session.device

    def _find(self, call):
        known = False
        for method, pattern, handler in self._routes:
            rest = match(pattern, call.path)
            if rest is None:
                continue
            known = True
            if method == call.method:
                call.rest = rest
                return handler
        if known:
            raise ApiError(405, BAD_REQUEST, f"{call.method} not allowed")
        raise not_found("no such resource")

    def _authenticate(self, call, body):
        session, scope = call.session, _SCOPES[call.path]
        session.device = None  # until proven
        device, reason, answer = None, None, None
        try:
            if self._faults.take("auth_500"):
                reason, answer = "fault", Message(code=codes.INTERNAL_SERVER_ERROR)
            elif self._faults.take("auth_503"):
                unwell = codes.INTERNAL_SERVER_ERROR if scope == PROVISIONING else codes.SERVICE_UNAVAILABLE
                reason, answer = "fault", Message(code=unwell)
            else:
                device = self._prove(call.path, body)
                answer = created()
                answer.opt.max_age = self._faults.max_age
                session.device, session.scope = device, scope
                session.expires_at = self._world.now_ms() + self._faults.max_age * 1000
                call.device = device
        except auth.AuthError as exc:
            device, reason = exc.device, str(exc)
            answer = Message(code=codes.FORBIDDEN, payload=reason.encode())
        self._records.auth(call, device, answer.code, reason)
        return answer

    def _prove(self, path, token):
        """The device that a token proves. Raises auth.AuthError."""
        now = self._world.now_s()
        if path == ("auth", "jwt"):
            return auth.verify(token, self._devices.public_key, now)
        device = auth.verify_identity(token, self._provisioning.identity_key, now)
        if _SCOPES[path] == CORE and not self._devices.exists(device):
            raise auth.AuthError("device not onboarded", device)
        return device


def _number(option):
    return None if option is None else int(option)


def _error(exc):
    message = Message(code=exc.coap, payload=payload.dump(exc.body(), payload.JSON))
    message.opt.content_format = payload.JSON
    return message
