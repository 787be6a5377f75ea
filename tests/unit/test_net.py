"""net.udp over loopback, and net.dtls against peers that do not answer as they should.

The good cases of DTLS need a real server: tests/integration/test_dtls.py.
"""
# interpreters: mp64 mp32 cpython
# (the single-float one has no tls)

import asyncio
import os
import socket
import sys
import time
import unittest
from errno import ECONNABORTED, ENOTCONN, ETIMEDOUT

from harness.aio import run
from harness.fakenet import FakeEndpoint
from net.dtls import DTLS, DTLSError
from net.udp import udp_open

HAS_TLS = sys.implementation.name == "micropython"
# A certificate of nobody; only its form matters here (P-256, self-signed, made once with openssl).
CA = bytes.fromhex(
    "308201393081dfa00302010202143ad42b222f720e5666e8cd4b98a814bd96954486300a06082a8648ce3d04030230123110"
    "300e06035504030c0754657374204341301e170d3236313131393139333430395a170d3236313232303139333430395a3012"
    "3110300e06035504030c07546573742043413059301306072a8648ce3d020106082a8648ce3d03010703420004c83283cb53"
    "434390d434e5603ccd3ce32d77cf655e89b90495822a8156604c88d2701d1695ca253f6f807844c36db83068ffc77b312e52"
    "90dece416ab492df8da3133011300f0603551d130101ff040530030101ff300a06082a8648ce3d0403020349003046022100"
    "b8e87327279c19a8fc9c23ccf1eeb42932f9c9843f7f5d9bb68010050896b1f00221008a99caa97ff3d00cde841202055dd4"
    "b434278f8c1f19959e735b500287b78cc4"
)


class Peer:
    """A UDP socket on a free loopback port, non-blocking."""

    def __init__(self):
        for _ in range(50):
            self.port = 20000 + int.from_bytes(os.urandom(2), "big") % 40000
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                self.sock.bind(socket.getaddrinfo("127.0.0.1", self.port)[0][-1])
                return
            except OSError:
                self.sock.close()
        raise OSError(98)


def code_of(function, *args, **kwargs):
    """errno of the OSError that a coroutine function raises."""

    async def go():
        try:
            await function(*args, **kwargs)
        except OSError as exc:
            return exc.args[0]

    return run(go())


class UDP(unittest.TestCase):
    def setUp(self):
        self.peer = Peer()

    def tearDown(self):
        self.peer.sock.close()

    def test_one_datagram_at_a_time(self):
        async def go():
            endpoint = await udp_open("127.0.0.1", self.peer.port)
            await endpoint.send(b"hello")
            data, address = self.peer.sock.recvfrom(100)
            self.assertEqual(data, b"hello")
            for answer in (b"abcd", b"123456", b"", b"x" * 64):
                self.peer.sock.sendto(answer, address)
            buf = bytearray(64)
            got = []
            for _ in range(4):
                n = await endpoint.recv_into(buf, 500)
                got.append(bytes(buf[:n]))
            await endpoint.close()
            return got

        self.assertEqual(run(go()), [b"abcd", b"123456", b"", b"x" * 64])

    def test_oversize_is_dropped_not_cut(self):
        async def go():
            endpoint = await udp_open("127.0.0.1", self.peer.port)
            await endpoint.send(memoryview(b"hello"))
            _, address = self.peer.sock.recvfrom(100)
            self.peer.sock.sendto(b"x" * 65, address)
            self.peer.sock.sendto(b"good", address)
            buf = bytearray(64)
            n = await endpoint.recv_into(buf, 500)
            await endpoint.close()
            return bytes(buf[:n]), len(buf), endpoint.oversize

        self.assertEqual(run(go()), (b"good", 64, 1))

    def test_timeout(self):
        async def go():
            endpoint = await udp_open("127.0.0.1", self.peer.port)
            for limit in (0, 40):
                started = time.ticks_ms()
                try:
                    await endpoint.recv_into(bytearray(10), limit)
                except OSError as exc:
                    self.assertEqual(exc.args[0], ETIMEDOUT)
                took = time.ticks_diff(time.ticks_ms(), started)
                self.assertTrue(limit <= took < limit + 4000, took)
            await endpoint.close()

        run(go())

    def test_others_run_while_one_waits(self):
        async def go():
            endpoint = await udp_open("127.0.0.1", self.peer.port)
            await endpoint.send(b"x")
            _, address = self.peer.sock.recvfrom(10)
            task = asyncio.create_task(endpoint.recv_into(bytearray(10), 2000))
            await asyncio.sleep_ms(20)
            self.peer.sock.sendto(b"123", address)
            n = await task
            await endpoint.close()
            return n

        self.assertEqual(run(go()), 3)

    def test_server_that_is_away_is_no_error(self):
        async def go():
            endpoint = await udp_open("127.0.0.1", self.peer.port)
            self.peer.sock.close()
            code = None
            for _ in range(3):  # each one brings an ICMP error
                await endpoint.send(b"x")
                try:
                    await endpoint.recv_into(bytearray(10), 20)
                except OSError as exc:
                    code = exc.args[0]
            await endpoint.close()
            return code

        self.assertEqual(run(go()), ETIMEDOUT)

    def test_closed(self):
        async def go():
            endpoint = await udp_open("127.0.0.1", self.peer.port)
            task = asyncio.create_task(endpoint.recv_into(bytearray(10), 2000))
            await asyncio.sleep_ms(10)
            await endpoint.close()
            await endpoint.close()
            codes = []
            for waiting in (task, endpoint.send(b"x"), endpoint.recv_into(bytearray(1), 10)):
                try:
                    await waiting
                except OSError as exc:
                    codes.append(exc.args[0])
            return codes

        self.assertEqual(run(go()), [ENOTCONN] * 3)


class HostDTLS(unittest.TestCase):
    def test_verification_cannot_be_left_out(self):
        for host, ca in (("", CA), (None, CA), ("host", b""), ("host", None)):
            self.assertRaises(ValueError, DTLS, FakeEndpoint(), host, ca)

    def test_before_the_handshake(self):
        dtls = DTLS(FakeEndpoint(), "host", CA)
        self.assertEqual(code_of(dtls.send, b"x"), ENOTCONN)
        self.assertEqual(code_of(dtls.recv_into, bytearray(10), 10), ENOTCONN)
        self.assertTrue(dtls.mtu < FakeEndpoint.mtu)

    def refused(self, endpoint, timeout_ms=300, ca=CA):
        if not HAS_TLS:
            self.skipTest("tls is MicroPython's")

        async def go():
            dtls = DTLS(endpoint, "host", ca)
            try:
                await dtls.handshake(timeout_ms)
            except DTLSError as exc:
                await dtls.close()
                return exc
            finally:
                await dtls.close()

        return run(go(), timeout_s=10)

    def test_silence(self):
        endpoint = FakeEndpoint()
        error = self.refused(endpoint, 1500)
        self.assertEqual((error.args[0], str(error)), (ETIMEDOUT, "DTLS: timeout"))
        self.assertEqual(len(endpoint.sent), 2)  # the first flight is repeated after a second
        self.assertEqual([d[0] for d in endpoint.sent], [22, 22])

    def test_garbage(self):
        endpoint = FakeEndpoint()
        for data in (b"", b"x", bytes(13), bytes(1400), b"\x17\xfe\xfd" + bytes(40), b"\x16\xfe\xfd" + b"\xff" * 60):
            endpoint.push(data)
        error = self.refused(endpoint)
        self.assertEqual(error.args[0], ETIMEDOUT)

    def test_alert(self):
        endpoint = FakeEndpoint()
        endpoint.push(b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02\x02\x28")
        error = self.refused(endpoint)
        self.assertEqual((error.args[0], str(error)), (ECONNABORTED, "DTLS: alert 40 from the server"))

    def test_unreadable_ca(self):
        for ca in (b"no certificate", CA[:-30], b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
            error = self.refused(FakeEndpoint(), ca=ca)
            self.assertEqual(str(error), "DTLS: CA certificate not readable")

    def test_dead_endpoint(self):
        if not HAS_TLS:
            self.skipTest("tls is MicroPython's")
        endpoint = FakeEndpoint()
        endpoint.error = OSError(9)
        self.assertEqual(code_of(DTLS(endpoint, "host", CA).handshake, 300), 9)

    def test_closed_during_the_handshake(self):
        if not HAS_TLS:
            self.skipTest("tls is MicroPython's")

        async def go():
            endpoint = FakeEndpoint()
            dtls = DTLS(endpoint, "host", CA)
            task = asyncio.create_task(dtls.handshake(5000))
            await asyncio.sleep_ms(20)
            await dtls.close()
            try:
                await task
            except OSError:
                return endpoint.closed

        self.assertEqual(run(go()), 1)


if __name__ == "__main__":
    unittest.main()
