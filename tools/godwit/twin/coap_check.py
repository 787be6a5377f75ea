"""Strict reading of one CoAP datagram (RFC 7252 sections 3, 4.2, 4.3, 5.4; RFC 7959 section 2.2).

Decides, before aiocoap sees it, what a server must answer to a bad one: nothing, a Reset, or a 4.xx.
What is good comes out as an aiocoap Message. Pure: no I/O, no clock.
Called by coap_transport.py for every plaintext; tested with a table of malformed datagrams.
"""

from aiocoap import Message
from aiocoap.message import Direction
from aiocoap.numbers import codes
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.numbers.types import ACK, CON, NON, RST, Type

# options that requests to this server may carry: number: (shortest, longest, repeatable, is text); None for the last
# leaves the option in `raw_options` alone, because aiocoap could not read it
OPTIONS = {
    3: (1, 255, False, True),  # Uri-Host
    7: (0, 2, False, False),  # Uri-Port
    11: (0, 255, True, True),  # Uri-Path
    12: (0, 2, False, False),  # Content-Format
    14: (0, 4, False, False),  # Max-Age
    15: (0, 255, True, True),  # Uri-Query
    17: (0, 2, False, False),  # Accept
    23: (0, 3, False, False),  # Block2
    27: (0, 3, False, False),  # Block1
    28: (0, 4, False, False),  # Size2
    35: (1, 1034, False, True),  # Proxy-Uri
    60: (0, 4, False, False),  # Size1
    252: (1, 40, False, False),  # Echo
    258: (0, 1, False, False),  # No-Response
    292: (0, 8, True, False),  # Request-Tag
}
_BLOCKS = (23, 27)
_MAX_TOKEN = 8


class Malformed(Exception):
    """A datagram that must not reach the application.

    `reply` is the aiocoap Message to send back, or None to stay silent.
    """

    def __init__(self, why, reply=None):
        super().__init__(why)
        self.reply = reply


def parse(data, tuning, known=OPTIONS):
    """An aiocoap Message out of the bytes of a datagram; `tuning` becomes its transport_tuning, `known` says which
    options a request may carry. Its attribute `raw_options` has all of them as [(number, bytes)].

    Raises Malformed with the answer that the RFC wants.
    """
    if len(data) < 4 or data[0] >> 6 != 1:
        raise Malformed("not CoAP version 1")  # RFC 7252 section 3: silently ignored
    mtype, token_length = Type(data[0] >> 4 & 3), data[0] & 15
    code, mid = data[1], int.from_bytes(data[2:4], "big")
    if token_length > _MAX_TOKEN or len(data) < 4 + token_length or (code == 0 and len(data) > 4):
        raise _format_error("bad token length or bytes after an empty message", mtype, mid)
    message = Message(code=code, _mid=mid, _mtype=mtype, _token=data[4 : 4 + token_length], transport_tuning=tuning)
    message.direction = Direction.INCOMING
    try:
        options, message.payload = _split(data[4 + token_length :])
    except ValueError as exc:
        raise _format_error(str(exc), mtype, mid) from exc
    message.raw_options = options
    if message.code.is_request():
        _fill(message, options, known)
    return message


def error_reply(message, code, why):
    """An error answer that needs no application: piggybacked on a CON, NON to a NON."""
    reply_type, mid = (ACK, message.mid) if message.mtype is CON else (NON, message.mid)
    return Message(code=code, _mtype=reply_type, _mid=mid, _token=message.token, payload=why.encode())


def _format_error(why, mtype, mid):
    # Section 4.2: a Confirmable that cannot be processed is rejected with a Reset; others are ignored.
    reply = Message(code=codes.EMPTY, _mtype=RST, _mid=mid) if mtype is CON else None
    return Malformed(why, reply)


def _split(data):
    """Options as [(number, value)] and the payload. Raises ValueError on a format error."""
    options, number, at = [], 0, 0
    while at < len(data):
        first = data[at]
        at += 1
        if first == 0xFF:
            if at == len(data):
                raise ValueError("payload marker without payload")
            return options, bytes(data[at:])
        delta, at = _extended(first >> 4, data, at)
        size, at = _extended(first & 15, data, at)
        number += delta
        if at + size > len(data) or number > 65535:
            raise ValueError("option runs over the end")
        options.append((number, bytes(data[at : at + size])))
        at += size
    return options, b""


def _extended(nibble, data, at):
    if nibble < 13:
        return nibble, at
    if nibble == 15:
        raise ValueError("reserved option nibble 15")
    size = nibble - 12
    if at + size > len(data):
        raise ValueError("option header cut short")
    return int.from_bytes(data[at : at + size], "big") + (13, 269)[size - 1], at + size


def _fill(message, options, known):
    """Put checked options into the message; an unrecognised critical one is 4.02 (section 5.4.1)."""
    seen = set()
    for number, value in options:
        low, high, repeatable, text = known.get(number, (0, -1, True, False))
        fits = low <= len(value) <= high and (repeatable or number not in seen)
        seen.add(number)
        if fits and text:
            try:
                value.decode()
            except UnicodeDecodeError:
                fits = False
        if fits and number in _BLOCKS and value and value[-1] & 7 == 7:
            raise _refusal(message, codes.BAD_REQUEST, "reserved block size exponent 7")
        if fits and text is None:
            continue
        if fits:
            message.opt.add_option(OptionNumber(number).create_option(decode=value))
        elif number & 1:
            raise _refusal(message, codes.BAD_OPTION, f"critical option {number} not recognised or malformed")


def _refusal(message, code, why):
    if message.mtype is NON:  # section 5.4.1: a Non-confirmable with a bad critical option is rejected
        return Malformed(why, Message(code=codes.EMPTY, _mtype=RST, _mid=message.mid))
    return Malformed(why, error_reply(message, code, why))
