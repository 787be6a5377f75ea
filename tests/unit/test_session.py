"""firmware/session.py: which endpoint carries the session, and what the log says of one that may not do."""

import sys
import unittest

import log
from harness import scratch
from harness.aio import run


class Endpoint:
    def __init__(self, mtu):
        self.mtu = mtu
        self.closed = 0

    async def close(self):
        self.closed += 1


class Modem:
    """A modem whose sockets carry `mtu` bytes."""

    def __init__(self, mtu):
        self.endpoint = Endpoint(mtu)
        self.asked = []

    async def udp_open(self, host, port, rx_bytes):
        self.asked.append((host, port))
        return self.endpoint


class Secured:
    """net.dtls.DTLS, whose handshake ends with `problem`, if there is one."""

    problem = None

    def __init__(self, endpoint, host, ca):
        self.endpoint = endpoint

    async def handshake(self, limit_ms):
        if self.problem:
            raise self.problem


class Heap:
    def mark(self):
        pass


class App:
    rx_bytes = 2816

    def __init__(self, root, modem):
        self.config = {"host": "cloud.example", "port": 5684, "dtls": "host", "handshake_timeout_s": 60}
        self.root = root
        self.modem = modem
        self.heap = Heap()


class Module:
    def __init__(self, **names):
        for name in names:
            setattr(self, name, names[name])


class Connecting(unittest.TestCase):
    def setUp(self):
        self.root = scratch.make()
        self.lines = []
        self.before = log.sink, log.sent, {name: sys.modules.get(name) for name in ("board", "net.dtls", "session")}
        log.sink = lambda level, layer, text: self.lines.append((level, layer, text))
        log.sent = log.level = log.WARN

    def tearDown(self):
        log.sink, log.sent, modules = self.before
        log.level = log.INFO
        for name, had in modules.items():
            sys.modules.pop(name, None)
            if had:
                sys.modules[name] = had
        Secured.problem = None
        scratch.remove(self.root)

    def connect(self, modem, **board):
        sys.modules.pop("session", None)
        sys.modules["board"] = Module(**board)
        sys.modules["net.dtls"] = Module(DTLS=Secured)
        from session import connect

        return run(connect(App(self.root, modem)))

    def test_the_modems_sockets(self):
        modem = Modem(1200)
        self.assertIs(self.connect(modem).endpoint, modem.endpoint)
        self.assertEqual((modem.asked, self.lines), ([("cloud.example", 5684)], []))

    def test_a_network_of_the_boards_own_is_used_instead(self):
        own = Endpoint(1232)
        asked = []

        async def udp_open(modem, host, port):
            asked.append((modem, host, port))
            return own

        modem = Modem(1200)
        self.assertIs(self.connect(modem, udp_open=udp_open).endpoint, own)
        self.assertEqual((asked, modem.asked), ([(modem, "cloud.example", 5684)], []))

    def test_one_that_cuts_datagrams_is_warned_of(self):  # SARA-R5: modems.md 2D.3
        self.connect(Modem(1024))
        (_, layer, text), = self.lines
        self.assertEqual(layer, "dtls")
        self.assertTrue("1024 bytes" in text and "set dtls to modem" in text)

    def test_a_handshake_that_fails_closes_the_endpoint(self):
        Secured.problem = OSError(104)
        modem = Modem(1200)
        with self.assertRaises(OSError):
            self.connect(modem)
        self.assertEqual(modem.endpoint.closed, 1)


if __name__ == "__main__":
    unittest.main()
