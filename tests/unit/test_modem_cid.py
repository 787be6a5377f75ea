"""DTLS connection IDs in modem.nrf91 over a scripted modem: asked for, paused, resumed, outliving the bearer.

Against the simulator and the twin: tests/integration/test_cid.py.
"""

import asyncio
import unittest
from errno import ECONNRESET, ETIMEDOUT

from harness.nrf91_script import ERROR, drive, errno_of

CID_STATUS = "AT#XSSOCKETOPT=3,0,15"
SAVE, LOAD = "AT#XSSOCKETOPT=3,1,19,1", "AT#XSSOCKETOPT=3,1,20,1"
KNOWN = {CID_STATUS: b"\r\n#XSSOCKETOPT: 3,2\r\n\r\nOK\r\n"}


class ConnectionId(unittest.TestCase):
    def test_connection_id(self):
        """Option 15: only 2 and 3 mean that the server knows our records by an ID."""
        for status, cid in ((0, False), (1, False), (2, True), (3, True)):

            async def body(m, fake):
                endpoint = await m.dtls_open("h", 5684, 42, "h")
                return endpoint.cid, await endpoint.pause()

            answer = b"\r\n#XSSOCKETOPT: 3,%d\r\n\r\nOK\r\n" % status
            got, fake, _ = drive(body, {CID_STATUS: answer})
            self.assertEqual(got, (cid, cid))
            sent = fake.commands()
            self.assertTrue(sent.index("AT#XSSOCKETOPT=3,1,14,1") < sent.index('AT#XCONNECT=3,"h",5684'))
            self.assertTrue(sent.index("AT#XSOCKETOPT=3,1,34,1") < sent.index('AT#XCONNECT=3,"h",5684'))
            self.assertTrue(sent.index('AT#XCONNECT=3,"h",5684') < sent.index(CID_STATUS))
            self.assertEqual(SAVE in sent, cid)

    def test_old_firmware_has_no_connection_id(self):
        """mfw_nrf9160 before 1.3.5 refuses options 14, 15 and 34: the socket is opened all the same."""
        refused = {"AT#XSSOCKETOPT=3,1,14,1": ERROR, "AT#XSOCKETOPT=3,1,34,1": ERROR, CID_STATUS: ERROR}

        async def body(m, fake):
            endpoint = await m.dtls_open("h", 5684, 42, "h")
            return endpoint.cid, endpoint.keep, await endpoint.pause(), await endpoint.send(b"x")

        self.assertEqual(drive(body, refused)[0], (False, False, False, None))

    def test_pause_and_resume(self):
        async def body(m, fake):
            endpoint = await m.dtls_open("h", 5684, 42, "h")
            fake.sent.clear()
            await endpoint.resume()  # nothing to do
            told = [await endpoint.pause(), await endpoint.pause(), endpoint.paused]
            await endpoint.resume()
            told.append(endpoint.paused)
            await endpoint.pause()
            await endpoint.send(b"x")  # resumes by itself
            return told + [endpoint.paused, await errno_of(endpoint.recv_into(bytearray(4), 20))]

        got, fake, _ = drive(body, dict(KNOWN))
        self.assertEqual(got, [True, True, True, False, False, ETIMEDOUT])
        self.assertEqual(fake.commands(), [SAVE, LOAD, SAVE, LOAD, "AT#XSEND=3,2,0,1"])

    def test_pause_refused_changes_nothing(self):
        async def body(m, fake):
            endpoint = await m.dtls_open("h", 5684, 42, "h")
            return await endpoint.pause(), endpoint.paused, await endpoint.send(b"x")

        got, fake, _ = drive(body, dict(KNOWN, **{SAVE: ERROR}))
        self.assertEqual(got, (False, False, None))
        self.assertTrue(LOAD not in fake.commands())

    def test_association_lost_while_paused(self):
        async def body(m, fake):
            found = []
            for way in (lambda e: e.resume(), lambda e: e.send(b"x")):
                endpoint = await m.dtls_open("h", 5684, 42, "h")
                await endpoint.pause()
                found += [await errno_of(way(endpoint)), await errno_of(endpoint.send(b"x"))]
                await endpoint.close()
            return found

        self.assertEqual(drive(body, dict(KNOWN, **{LOAD: ERROR}))[0], [ECONNRESET] * 4)

    def test_send_behind_a_pause_resumes(self):
        """Its turn at the modem comes after CONN_SAVE: the modem refuses it once, and it is sent all the same."""

        async def body(m, fake):
            endpoint = await m.dtls_open("h", 5684, 42, "h")
            fake.sent.clear()
            fake.answers["AT#XSEND=3,2,0,1"] = [ERROR, b"\r\nOK\r\n"]
            pausing = asyncio.create_task(endpoint.pause())
            sending = asyncio.create_task(endpoint.send(b"x"))
            return await pausing, await sending

        got, fake, _ = drive(body, dict(KNOWN))
        self.assertEqual(got, (True, None))
        self.assertEqual(fake.commands(), [SAVE, "AT#XSEND=3,2,0,1", LOAD, "AT#XSEND=3,2,0,1"])

    def test_what_outlives_the_bearer(self):
        """Kept by the modem and known by ID: it goes on. Kept only: it is dead, and closed by the next opening."""
        deactivated = b"\r\n+CGEV: ME PDN DEACT 0\r\n"
        for name, answers, alive in (
            ("both", {}, True),
            ("not kept", {"AT#XSOCKETOPT=3,1,34,1": ERROR}, False),
            ("not known", {CID_STATUS: b"\r\n#XSSOCKETOPT: 3,1\r\n\r\nOK\r\n"}, False),
        ):

            async def body(m, fake):
                endpoint = await m.dtls_open("h", 5684, 42, "h")
                fake.say(deactivated)
                await m.at.command("AT")
                first = await errno_of(endpoint.send(b"x"))
                await m.detach()
                second = await errno_of(endpoint.send(b"x"))
                fake.sent.clear()
                await m.udp_open("g", 1)
                return first, second, "AT#XCLOSE=3" in fake.commands()

            got, _, lost = drive(body, dict(KNOWN, **answers))
            death = None if alive else ECONNRESET
            self.assertEqual((name, got), (name, (death, death, name == "not known")))
            self.assertEqual(len(lost), 1)

    def test_a_restart_spares_nobody(self):
        async def body(m, fake):
            endpoint = await m.dtls_open("h", 5684, 42, "h")
            fake.say(b"\r\nReady\r\n")
            return await errno_of(endpoint.recv_into(bytearray(4), 500)), m.endpoints

        self.assertEqual(drive(body, dict(KNOWN))[0], (ECONNRESET, {}))


if __name__ == "__main__":
    unittest.main()
