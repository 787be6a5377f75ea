# interpreters: mp64 mp32
"""What the hot paths of lib/coap promise about the heap, held to with micropython.heap_lock: any allocation raises.

Nothing is allocated by: reading a message and stepping through its options; writing header, token and integer options;
a retransmission up to the endpoint; an empty ACK, a ping, an answer that nobody waits for. What the other steps may
allocate, garbage included, is stated in COSTS.
"""

import gc
import sys
import time
import unittest

import micropython

from coap.codec import ACK, CON, NON, Message
from coap.exchange import Exchange
from coap.messages import MessageLayer
from coap.options import Options
from coap.writer import Writer, compose
from harness import fakenet

TOKEN = b"\x01\x02\x03\x04"
POST = (2, "v1/telemetry", (), 50, None, (), True)  # the telemetry request of facts/coap.md 3.1: 88 bytes with
BODY = b"x" * 64
PAIRS = (
    (4, b"\x8a\x01\xfe\x55"), (6, b"\x12\x34"), (12, b"\x3c"), (14, b"\x01\x2c"), (23, b"\x10\x00\x0e"),
    (28, b"\x01\x00\x00"),
)  # fmt: skip
BLOCK = 32 if sys.maxsize > 1 << 32 else 16  # the heap's unit
# The most that a step may allocate, in blocks.
COSTS = {
    "an option of bytes": 2,  # a slice
    "a telemetry request": 5,
    "the same with another payload": 2,
}


def locked(function):
    """Run function() with the heap locked; MemoryError when it allocates."""
    micropython.heap_lock()
    try:
        return function()
    finally:
        micropython.heap_unlock()


def most(what):
    """Bytes that it may take."""
    return COSTS[what] * BLOCK


def allocated(function, rounds=50):
    """Bytes of heap that function() takes each time, garbage included."""
    function()
    gc.collect()
    gc.disable()
    try:
        before = gc.mem_alloc()
        for _ in range(rounds):
            function()
        return (gc.mem_alloc() - before) // rounds
    finally:
        gc.enable()


class Guard(unittest.TestCase):
    def test_the_lock_is_one(self):
        with self.assertRaises(MemoryError):
            locked(lambda: [1, 2, 3])


class Reading(unittest.TestCase):
    def setUp(self):
        self.data = fakenet.message(ACK, 0x45, 0x1234, TOKEN, fakenet.opts(*PAIRS), b"z" * 64)
        self.msg = Message()
        self.cursor = Options()

    def test_parse(self):
        data, msg = self.data, self.msg
        locked(lambda: msg.parse(data, len(data)))
        self.assertEqual(len(data) - msg.payload_at, 64)

    def test_parse_of_a_memoryview(self):
        view, msg = memoryview(bytearray(self.data)), self.msg
        locked(lambda: msg.parse(view, len(view)))
        self.assertEqual(msg.mid, 0x1234)

    def test_parse_of_an_empty_message(self):
        msg = self.msg
        locked(lambda: msg.parse(b"\x60\x00\x12\x34", 4))
        self.assertEqual((msg.type, msg.code), (ACK, 0))

    def test_token(self):
        data, msg = self.data, self.msg
        msg.parse(data, len(data))
        self.assertTrue(locked(lambda: msg.has_token(data, TOKEN)))

    def test_options(self):
        data, msg, cursor = self.data, self.msg, self.cursor
        msg.parse(data, len(data))

        def walk():
            cursor.over(data, msg.options_at, len(data))
            total = 0
            while cursor.next():
                if cursor.length <= 3:
                    total += cursor.uint()
            return total

        self.assertEqual(locked(walk), 0x1234 + 60 + 300 + 0x10000E + 0x10000)


    def test_extended_headers(self):
        options = fakenet.opts(*PAIRS, (60, b"\x10"), (2048, b"y" * 300))  # two numbers and one length
        data, msg, cursor = fakenet.message(ACK, 0x45, 0x1234, TOKEN, options, b"z"), self.msg, self.cursor
        locked(lambda: msg.parse(data, len(data)))

        def walk():
            cursor.over(data, msg.options_at, len(data))
            while cursor.next():
                pass
            return cursor.value

        self.assertEqual(locked(walk), len(data) - 1)


class Writing(unittest.TestCase):
    def test_header_token_and_integers(self):
        buf = bytearray(64)
        writer = Writer(buf)

        def write():
            writer.begin(CON, 1, 0x1234, TOKEN)
            writer.option(6, 0)
            writer.option(12, 60)
            writer.option(14, 300)
            writer.option(23, 0x10000E)
            writer.option(258, 26)

        locked(write)
        found = fakenet.Seen(bytes(buf[: writer.n]))
        self.assertEqual([n for n, _ in found.options], [6, 12, 14, 23, 258])

    def test_bytes_cost_one_slice(self):
        buf = bytearray(64)
        writer = Writer(buf)
        value = b"\x01\x02\x03\x04"

        def write():
            writer.begin(NON, 1, 7)
            writer.option(4, value)

        self.assertTrue(allocated(write) <= most("an option of bytes"))

    def test_telemetry_request(self):
        buf = bytearray(128)
        self.assertEqual(compose(buf, 1, TOKEN, POST, BODY, ()), 4 + 4 + 3 + 10 + 2 + 1 + 64)
        cost = allocated(lambda: compose(buf, 1, TOKEN, POST, BODY, ()))
        print("compose", cost, "bytes")
        self.assertTrue(cost <= most("a telemetry request"))


    def test_the_same_request_again(self):
        slot = Exchange(256)
        slot.compose(7, TOKEN, POST, BODY, ())
        other = b"y" * 60
        cost = allocated(lambda: slot.compose(8, b"abcd", POST, other, ()))
        print("compose again", cost, "bytes")
        self.assertTrue(cost <= most("the same with another payload"))
        seen = fakenet.Seen(bytes(slot.datagram()))
        self.assertEqual((seen.mid, seen.token, seen.payload), (8, b"abcd", other))


class Sending(unittest.TestCase):
    """The way of a retransmission from the deadline to the endpoint."""

    def layer(self):
        layer = MessageLayer(fakenet.FakeEndpoint())
        slot = Exchange(256)
        slot.compose(7, TOKEN, POST, BODY, ())
        slot.start(100, 10000, 512, None)
        slot.datagram()
        layer._busy.append(slot)
        return layer, slot

    def test_what_is_overdue(self):
        layer, slot = self.layer()
        slot.deadline = time.ticks_add(time.ticks_ms(), -1)
        self.assertTrue(locked(layer._expire) is slot)
        self.assertEqual((slot.tries, slot.step), (2, 200))

    def test_the_datagram_again(self):
        _, slot = self.layer()
        first = bytes(slot.datagram())
        data = locked(slot.datagram)
        self.assertEqual(bytes(data), first)
        locked(slot.arm)

    def test_how_long_to_wait(self):
        layer, _ = self.layer()
        self.assertTrue(locked(layer._patience) >= 0)

    def test_an_empty_ack(self):
        layer, slot = self.layer()
        ack = fakenet.message(ACK, 0, 7)
        layer._rx[: len(ack)] = ack
        self.assertFalse(locked(lambda: layer._take(4)))
        self.assertTrue(slot.state == 2)

    def test_a_ping(self):
        layer, _ = self.layer()
        layer._rx[:4] = fakenet.message(CON, 0, 99)
        self.assertTrue(locked(lambda: layer._take(4)))
        self.assertEqual(bytes(layer._reply), b"\x70\x00\x00\x63")

    def test_somebody_elses_answer(self):
        layer, _ = self.layer()
        other = fakenet.message(CON, 0x45, 99, b"\x09\x09", b"", b"n")
        layer._rx[: len(other)] = other
        self.assertTrue(locked(lambda: layer._take(len(other))))
        self.assertEqual(bytes(layer._reply), b"\x70\x00\x00\x63")


if __name__ == "__main__":
    unittest.main()
