"""REST side of the twin: the starlette application, bearer key, error bodies (facts 14.1).

/v1/* needs a token that rest_caller.py knows; errors are {"code", "message"}; bodies have a size limit and
requests are checked against the OpenAPI document (rest_check.py). The /twin/* switches need no key: they are not
the cloud's.
Called by server.py; handlers live in the other rest_*.py.
"""

from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import payload
from .errors import ACCESS_DENIED, BAD_REQUEST, NOT_FOUND, USAGE_LIMIT, ApiError, invalid
from .rest_caller import OPERATOR

_MAX_BODY = 24 << 20
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
_CODES = {401: ACCESS_DENIED, 404: NOT_FOUND}


def make_app(callers, records, tables, checks, faults):
    """The application. `tables` are objects with routes(): (method, path, handler) or (method, path, handler, kinds).

    `kinds` are the callers (rest_caller.py) that may call it, the operator alone when not given, everybody when
    None. A handler is `async handler(request)` and returns a Response or a JSON value; what `checks` (a
    rest_check.Checks) knows of its request is checked before, and is in request.state.values and .json.
    """

    def before(request, method, who):
        if request.url.path.startswith("/v1/") and who is not None:
            request.state.caller = callers.identify(request, who)
        if method == "POST" and request.url.path.startswith("/v1/") and faults.take("rest_quota"):
            raise ApiError(400, USAGE_LIMIT, "usage limit of the plan exceeded")

    paths = {}
    for table in tables:
        for method, path, handler, *kinds in table.routes():
            who = kinds[0] if kinds else OPERATOR
            paths.setdefault(path, {})[method] = _wrap(
                handler, partial(before, method=method, who=who), records, checks.find(method, path)
            )
    routes = [Route(path, _by_method(handlers), methods=_METHODS) for path, handlers in paths.items()]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _http_error})
    app.router.redirect_slashes = False
    return app


async def read_body(request):
    """The request's body (bytes). Raises ApiError 413."""
    known = getattr(request.state, "body", None)
    if known is not None:
        return known
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            raise ApiError(413, BAD_REQUEST, f"body over {_MAX_BODY} bytes")
    return bytes(body)


async def read_json(request, kind=dict):
    """The JSON body, checked to be of a type. Raises ApiError 400 or 422."""
    body = await read_body(request)
    if not body:
        raise ApiError(400, BAD_REQUEST, "empty body")
    value = payload.load_json(body)
    if not isinstance(value, kind):
        raise invalid("the body is not of the expected type")
    return value


def query(request):
    """Query parameters as a plain dict of the last values."""
    return dict(request.query_params)


def query_list(request, name):
    """A parameter that may be repeated or comma separated."""
    return [item for text in request.query_params.getlist(name) for item in text.split(",") if item]


def query_flag(request, name, default=False):
    """A true/false parameter. Raises ApiError 422."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if text not in ("true", "false", "1", "0"):
        raise invalid(f"{name} is true or false")
    return text in ("true", "1")


def listing(items, more):
    """The list answer: items, total, pageNextToken."""
    return {"items": items, **more}


def text_list(value, name, limit=1000):
    """A JSON array of texts (None is an empty one). Raises ApiError 422."""
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > limit or not all(isinstance(item, str) for item in value):
        raise invalid(f"{name} is an array of texts")
    return value


def _by_method(handlers):
    """One route per path, which stands for all methods: a fixed path is not one with an id where it has no method."""
    handlers = {**({"HEAD": handlers["GET"]} if "GET" in handlers else {}), **handlers}

    async def endpoint(request):
        handler = handlers.get(request.method)
        if handler is None:
            error = ApiError(405, BAD_REQUEST, f"{request.method} is not allowed here")
            return JSONResponse(error.body(), status_code=405, headers={"Allow": ", ".join(sorted(handlers))})
        return await handler(request)

    return endpoint


def _wrap(handler, before, records, check):
    async def endpoint(request):
        try:
            before(request)
            if check is not None:
                await check.check(request, read_body)
            answer = await handler(request)
            if not isinstance(answer, Response):
                answer = JSONResponse(answer)
        except ApiError as exc:
            answer = JSONResponse(exc.body(), status_code=exc.status)
        except ClientDisconnect:
            raise
        except Exception as exc:  # a bug of the twin: one row in the records, a 500, no traceback on the wire
            records.error(f"{request.method} {request.url.path}", exc)
            answer = JSONResponse({"code": 50000, "message": "twin error, see records"}, status_code=500)
        if request.url.path.startswith("/v1/"):
            records.rest(request.method, request.url.path, answer.status_code)
        return answer

    return endpoint


async def _http_error(request, exc):
    code = _CODES.get(exc.status_code, BAD_REQUEST)
    return JSONResponse({"code": code, "message": str(exc.detail)}, status_code=exc.status_code, headers=exc.headers)
