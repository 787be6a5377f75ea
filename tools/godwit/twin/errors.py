"""The twin's one error type: an HTTP status, nRF Cloud's own numeric code and a message.

REST answers it as {"code", "message"}; over CoAP the same text travels as the error payload, with the
status mapped by class (400 -> 4.00, 404 -> 4.04 ...; 422 -> 4.00 as facts say).
Raised by every handler of the twin; turned into answers by site.py and rest_app.py.
"""

from aiocoap.numbers import codes

BAD_REQUEST, USAGE_LIMIT, ACCESS_DENIED = 40000, 40005, 40100
ENTITY_NOT_FOUND, DEVICE_NOT_FOUND, NOT_FOUND = 40410, 40414, 40420
RANGE, INVALID = 41600, 42200

_COAP = {
    400: codes.BAD_REQUEST,
    401: codes.UNAUTHORIZED,
    403: codes.FORBIDDEN,
    404: codes.NOT_FOUND,
    405: codes.METHOD_NOT_ALLOWED,
    406: codes.NOT_ACCEPTABLE,
    409: codes.CONFLICT,
    413: codes.REQUEST_ENTITY_TOO_LARGE,
    415: codes.UNSUPPORTED_CONTENT_FORMAT,
    422: codes.BAD_REQUEST,
    503: codes.SERVICE_UNAVAILABLE,
}


class ApiError(Exception):
    """A request that the service refuses. `status` is HTTP's, `code` nRF Cloud's, `coap` the CoAP code."""

    def __init__(self, status, code, message, coap=None):
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.coap = coap or _COAP.get(status, codes.INTERNAL_SERVER_ERROR)

    def body(self):
        """The JSON object of the error body."""
        return {"code": self.code, "message": self.message}


def invalid(message):
    """422, nRF code 42200: validation failed."""
    return ApiError(422, INVALID, message)


def not_found(message, code=ENTITY_NOT_FOUND):
    """404 with an nRF code of the 404xx group."""
    return ApiError(404, code, message)
