"""What one telemetry POST costs on MicroPython: lib/coap beside device_standin.py. One JSON line per operation.

    MICROPYPATH=lib:tools/bench:.frozen build/bin/micropython32 -X heapsize=2m tools/bench/device_codec.py

The message is that of coap.md 3.1: confirmable POST, 4-byte token, path v1/telemetry, Content-Format 60, 64 bytes of
payload: 88 bytes on the wire; and its answer, an ACK 2.04 of 9 bytes. "exchange" is a whole client.request over an
endpoint that answers at once; the stand-in's is encode and decode only, for it has nothing that waits or repeats.
"encode" is the first request of its kind (writer.compose); "encode again" what the client does for the next one that
differs in payload, token and message id only, as telemetry does (Exchange.compose): the stand-in knows no difference.
Fields: op, who, heap (bytes that one operation allocates) and us (microseconds, the best of many short rounds taken in
turn). Collection of garbage is not counted, which is kind to whoever makes much of it.
"""

import asyncio
import gc
import json
import time

import device_standin as standin

import coap
from coap.codec import Message
from coap.exchange import Exchange
from coap.response import Response
from coap.writer import compose

_ROUNDS = 40
_CALLS = 300  # their garbage has to fit the heap
_COUNTED = 16
_POST = 2
_PATH = "v1/telemetry"
_TOKEN = b"\x01\x02\x03\x04"
_PAYLOAD = bytes(range(64))
_ACK = b"\x64\x44\x00\x07" + _TOKEN + b"\xc0"  # with Content-Format 0
_HEAD = (_POST, _PATH, (), 60, None, (), True)


class NullEndpoint:
    """Answers every request with 2.04 at once."""

    mtu = 1152

    def __init__(self):
        self._answer = bytearray(_ACK)
        self._full = asyncio.Event()

    async def send(self, buf):
        for i in range(2, 8):
            self._answer[i] = buf[i]
        self._full.set()

    async def recv_into(self, buf, timeout_ms):
        await self._full.wait()
        self._full.clear()
        buf[:9] = self._answer
        return 9

    async def close(self):
        pass


def _rounds(operations):
    """-> best microseconds of a round, and bytes, of each (function, args)."""
    best = [1 << 30] * len(operations)
    heap = []
    for function, args in operations:
        heap.append(_heap(function, args))
    for _ in range(_ROUNDS):
        for i, (function, args) in enumerate(operations):
            gc.collect()
            gc.disable()
            started = time.ticks_us()
            for _ in range(_CALLS):
                function(*args)
            best[i] = min(best[i], time.ticks_diff(time.ticks_us(), started))
            gc.enable()
    return best, heap


def _heap(function, args):
    function(*args)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for _ in range(_COUNTED):
        function(*args)
    used = gc.mem_alloc() - before
    gc.enable()
    return used // _COUNTED


def _ours():
    buf = bytearray(1152)
    message = Message()
    size = compose(buf, 7, _TOKEN, _HEAD, _PAYLOAD, ())
    wire = memoryview(bytes(buf[:size]))
    ack = memoryview(_ACK)
    slot = Exchange(1152)
    other = bytes(64)
    for payload in (other, other, _PAYLOAD):
        slot.compose(7, _TOKEN, _HEAD, payload, ())
    if bytes(slot.datagram()) != wire:
        raise ValueError("the second encoding differs")

    def take():
        message.parse(wire, size)
        start = message.options_at
        answer = Response(message.code, bytes(wire[start:size]), message.payload_at - start)
        return answer.option(12), answer.payload

    if take() != (60, _PAYLOAD):
        raise ValueError("the codec is wrong")
    return {
        "encode": (compose, (buf, 7, _TOKEN, _HEAD, _PAYLOAD, ())),
        "encode again": (slot.compose, (7, _TOKEN, _HEAD, _PAYLOAD, ())),
        "decode": (message.parse, (wire, size)),
        "decode ACK": (message.parse, (ack, 9)),
        "decode, take format and payload": (take, ()),
    }, bytes(wire)


def _standins(wire):
    def take():
        packet = standin.decode(wire)
        for option in packet.options:
            if option.number == 12:
                return int.from_bytes(option.value, "big"), packet.payload

    def exchange():
        standin.encode(7, _TOKEN, _PATH, 60, _PAYLOAD)
        return standin.decode(_ACK)

    # Its sort is not stable on MicroPython, so that the path comes out as telemetry/v1: as the original's does.
    made = standin.encode(7, _TOKEN, _PATH, 60, _PAYLOAD)
    if take() != (60, _PAYLOAD) or len(made) != len(wire) or made[-65:] != wire[-65:]:
        raise ValueError("the stand-in makes another message")
    return {
        "encode": (standin.encode, (7, _TOKEN, _PATH, 60, _PAYLOAD)),
        "encode again": (standin.encode, (7, _TOKEN, _PATH, 60, _PAYLOAD)),
        "decode": (standin.decode, (wire,)),
        "decode ACK": (standin.decode, (_ACK,)),
        "decode, take format and payload": (take, ()),
        "exchange": (exchange, ()),
    }


async def _exchanges():
    """(best microseconds of a round, bytes of one) of whole requests."""
    client = coap.Client(NullEndpoint())
    best = 1 << 30
    for round in range(_ROUNDS + 1):
        gc.collect()
        gc.disable()
        count = _CALLS if round else 1
        before = gc.mem_alloc()
        started = time.ticks_us()
        for _ in range(count):
            answer = await client.request(_POST, _PATH, payload=_PAYLOAD, content_format=60)
        took = time.ticks_diff(time.ticks_us(), started)
        used = gc.mem_alloc() - before
        gc.enable()
        if answer.code != 0x44:
            raise ValueError("not the answer")
        if round:
            best = min(best, took)
    await client.close()
    return best, used // count


def main():
    ours, wire = _ours()
    theirs = _standins(wire)
    made = [(op, "lib/coap") for op in ours] + [(op, "stand-in") for op in theirs]
    best, heap = _rounds([ours[op] for op in ours] + [theirs[op] for op in theirs])
    made.append(("exchange", "lib/coap"))
    took, used = asyncio.run(_exchanges())
    best.append(took)
    heap.append(used)
    for (op, who), us, used in zip(made, best, heap):
        print(json.dumps({"op": op, "who": who, "us": us / _CALLS, "heap": used, "wire": len(wire)}))


main()
