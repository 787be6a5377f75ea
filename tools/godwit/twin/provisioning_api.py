"""The device side of the provisioning service: GET p/cmd, POST p/rsp (facts 13.1, 13.2).

As many commands as fit rxMaxSize go out, in order, and no more than their answers will fit txMaxSize; when not even
one fits it is 4.00. Responses are taken all together or, malformed, not at all.
Called by site.py for sessions of the provisioning scope.
"""

from . import payload
from .call import changed, content
from .errors import BAD_REQUEST, ApiError
from .provisioning import MAX_COMMANDS
from .provisioning_steps import AT_OK, CONFIG_OK, ERROR, FINISHED_OK, encode

_MAX_SIZE = 65536
_MAX_STEPS = 4 * MAX_COMMANDS


class ProvisioningApi:
    """Handlers; the session's device is the UUID of a claimed device."""

    def __init__(self, provisioning):
        self._provisioning = provisioning

    def routes(self):
        """(method, pattern, handler) triples."""
        return [("GET", ("p", "cmd"), self.commands), ("POST", ("p", "rsp"), self.responses)]

    def commands(self, call):
        """The next commands in CBOR, or nothing."""
        room = _number(call, "rxMaxSize", _MAX_SIZE)
        answers = _number(call, "txMaxSize", _MAX_SIZE)
        limit = _number(call, "limit", _MAX_STEPS)
        waiting = self._provisioning.pending(call.device, call.parameter("after", ""), min(limit, _MAX_STEPS))
        chosen = []
        for row in waiting:
            answers -= row[1].answer_size()
            if answers < 0 or len(encode([*chosen, row])) > room:
                break
            chosen.append(row)
        if not waiting:
            return content()
        if not chosen:
            raise ApiError(400, BAD_REQUEST, "not one command fits rxMaxSize and its answer txMaxSize")
        self._provisioning.handed_out([correlation for correlation, _ in chosen])
        return content(encode(chosen), payload.CBOR)

    def responses(self, call):
        """What became of commands."""
        if call.content_format not in (None, payload.CBOR):
            raise ApiError(415, BAD_REQUEST, "responses are CBOR")
        if not call.body:
            raise _malformed("empty")
        value = payload.load_cbor(call.body)
        if not isinstance(value, (list, tuple)) or not value:
            raise _malformed("not an array of responses")
        self._provisioning.answer(call.device, [_response(item) for item in value])
        return changed()


def _response(item):
    """(correlation, form, CME code, text) of one response. Raises ApiError 4.00."""
    if not isinstance(item, (list, tuple)) or len(item) < 2 or not isinstance(item[0], str):
        raise _malformed("a response is an array that begins with a correlation")
    correlation, form, *rest = item
    if not payload.is_int(form) or form not in _SHAPES:
        raise _malformed("unknown kind of response")
    if len(rest) != len(_SHAPES[form]) or not all(fits(part) for fits, part in zip(_SHAPES[form], rest, strict=True)):
        raise _malformed(f"response {form} has other parts")
    code, text = rest if form == ERROR else (0, rest[0] if rest else "")
    return correlation, form, code, text


def _is_text(value):
    return isinstance(value, str)


def _is_uint(value):
    return payload.is_int(value) and 0 <= value < 2**32


_SHAPES = {ERROR: (_is_uint, _is_text), AT_OK: (_is_text,), CONFIG_OK: (), FINISHED_OK: ()}


def _number(call, name, default):
    text = call.parameter(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not int(text):
        raise ApiError(400, BAD_REQUEST, f"{name} is a number above 0")
    return int(text)


def _malformed(what):
    return ApiError(400, BAD_REQUEST, f"malformed responses: {what}")
