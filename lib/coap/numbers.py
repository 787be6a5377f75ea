"""Code, option and format numbers of CoAP (IANA, RFC 7252 12) that few programs need: `coap.BAD_GATEWAY` finds them.

coap/__init__.py loads it for a name that it does not have itself, each time: a program that asks often says
`from micropython import const` and writes the number down.
"""

CREATED, DELETED, VALID, CHANGED, CONTENT, CONTINUE = 0x41, 0x42, 0x43, 0x44, 0x45, 0x5F
BAD_REQUEST, BAD_OPTION, FORBIDDEN, METHOD_NOT_ALLOWED, NOT_ACCEPTABLE = 0x80, 0x82, 0x83, 0x85, 0x86
REQUEST_INCOMPLETE, PRECONDITION_FAILED, REQUEST_TOO_LARGE, UNSUPPORTED_FORMAT = 0x88, 0x8C, 0x8D, 0x8F
UNPROCESSABLE, NOT_IMPLEMENTED, BAD_GATEWAY, UNAVAILABLE, GATEWAY_TIMEOUT = 0x96, 0xA1, 0xA2, 0xA3, 0xA4

IF_MATCH, ETAG, IF_NONE_MATCH, LOCATION_PATH, CONTENT_FORMAT, MAX_AGE = 1, 4, 5, 8, 12, 14
OBSERVE, LOCATION_QUERY, BLOCK2, BLOCK1, SIZE2, PROXY_URI, SIZE1 = 6, 20, 23, 27, 28, 35, 60
ECHO, NO_RESPONSE, REQUEST_TAG = 252, 258, 292

TEXT, OCTETS, JSON, CBOR = 0, 42, 50, 60

# Client(endpoint, **coap.NB_IOT): the first time to wait for an answer, before there is a measured one, and how long
# for an answer after an empty ACK. From idle LTE-M needs 0.3 to 3 s, NB-IoT in bad coverage up to 10 s (coap.md 6.4).
LTE_M = {"ack_timeout_ms": 4000, "separate_timeout_ms": 45000, "non_timeout_ms": 10000}
NB_IOT = {"ack_timeout_ms": 10000, "max_retransmit": 3, "separate_timeout_ms": 90000, "non_timeout_ms": 20000}
