"""CoAP client: RFC 7252 (messages), 7641 (observe), 7959 (blocks), 8132 (FETCH, PATCH). Loaded when it is used.

    client = coap.Client(endpoint)          endpoint: await send(buf), await recv_into(buf, timeout_ms), mtu
    answer = await client.request(coap.GET, "state", accept=60)
    answer.code == coap.CONTENT, answer.payload, answer.option(coap.ETAG), answer.max_age

Here are the methods and the codes that decide what a client does next; numbers.py has the others, as coap.NAME too.
"""

GET, POST, PUT, DELETE, FETCH, PATCH, IPATCH = 1, 2, 3, 4, 5, 6, 7
UNAUTHORIZED, NOT_FOUND, TOO_MANY_REQUESTS, SERVER_ERROR = 0x81, 0x84, 0x9D, 0xA0

_HOMES = {
    "Client": "client",
    "CodecError": "codec",
    "CoapError": "errors",
    "Timeout": "errors",
    "Reset": "errors",
    "Refused": "errors",
    "BadResponse": "errors",
    "ETagChanged": "errors",
    "Response": "response",
    "Result": "exchange",
    "Observation": "observe",
}
_COLD = ("numbers", "response")  # an application may drop these, so nothing here may hold on to them


def __getattr__(name):
    home = _HOMES.get(name) or name.isupper() and "numbers"
    if not home:
        raise AttributeError(name)
    value = getattr(__import__(home, globals(), None, (name,), 1), name)
    if home not in _COLD:
        globals()[name] = value
    return value
