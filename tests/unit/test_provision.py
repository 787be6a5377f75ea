"""lib/cloud/nrfcloud/provision.py and the modem's part: bytes of nrfcloud.md 13.2; what is run, answered, refused."""

import unittest
from binascii import hexlify, unhexlify

import cbor
import coap
import modem
from at.errors import ATError
from cloud import base, load, nrfcloud
from cloud.nrfcloud import provision
from harness.aio import run
from harness.fakecoap import Answer, Client, refused
from harness.fakemodem import FakeModem

# nrfcloud.md 13.2; the message of the second one is the 14 characters that stand there, dots included.
COMMANDS = unhexlify("82856263310067254b455947454e6c31363834323735332c322c30808262633202")
RESPONSES = "82836263311864" + "6e" + hexlify(b'%KEYGEN: "..."').decode() + "826263321866"
KEYGEN = '%KEYGEN: "..."'


class Endpoint:
    mtu = 1200

    async def close(self):
        Client.asked.append("endpoint closed")


class Node:
    """Remembers what it was told to do; `replies` by command parameters, else OK."""

    def __init__(self, replies=None):
        self.told = []
        self.replies = replies or {}

    async def token(self):
        return "header.claims.signature"

    def step(self):
        pass

    async def offline(self):
        self.told.append("offline")

    async def online(self):
        self.told.append("online")

    async def execute(self, correlation, command, parameters):
        self.told.append((correlation, command, parameters))
        reply = self.replies.get(parameters, (None, "OK\r\n"))
        if isinstance(reply, Exception):
            raise reply
        return reply

    def configure(self, texts):
        self.told.append(texts)
        if "bad" in texts:
            raise ValueError("bad: no such setting")


class Provisioning(unittest.TestCase):
    def setUp(self):
        self.real = nrfcloud.coap.Client
        nrfcloud.coap.Client = Client
        Client.asked, Client.calls = [], []

    def tearDown(self):
        nrfcloud.coap.Client = self.real

    def play(self, script, node):
        """-> what provision() gave; the script is used up."""
        Client.script = [step for step in script]

        async def connect():
            return Endpoint()

        cloud = load("nrfcloud")("node-1", connect, None, {"mver": "m1", "cver": "v2"}, {"ack_timeout_ms": 9})
        try:
            return run(cloud.provision(node))
        finally:
            self.assertEqual(Client.script, [])

    def page(self, *items):
        return Answer(cbor.dumps([list(item) for item in items]))

    def answered(self, index=-1):
        """The decoded body of a POST p/rsp."""
        bodies = [how["payload"] for path, how in Client.calls if path == "p/rsp"]
        return cbor.loads(bodies[index])

    # --- the dialogue

    def test_vectors(self):
        node = Node({"16842753,2,0": (None, KEYGEN)})
        script = [Answer(), Answer(COMMANDS), Answer(), Answer()]
        self.assertEqual(self.play(script, node), 2)
        self.assertEqual(node.told, ["offline", ("c1", "%KEYGEN", "16842753,2,0"), "online"])
        paths = ["p/auth-jwt", "p/cmd", "closed", "p/auth-jwt", "p/rsp", "closed"]
        self.assertEqual(Client.asked, paths)
        calls = [how for _, how in Client.calls]
        self.assertEqual(calls[0]["payload"], b"header.claims.signature")
        self.assertEqual((calls[0]["query"], calls[0]["content_format"]), (("cver=v2", "mver=m1"), 0))
        self.assertEqual(calls[1]["query"], ("after=", "rxMaxSize=2560", "txMaxSize=2048", "limit=5"))
        self.assertEqual(hexlify(calls[3]["payload"]).decode(), RESPONSES)
        self.assertEqual(calls[3]["content_format"], 60)

    def test_nothing_to_do(self):
        node = Node()
        self.assertEqual(self.play([Answer(), Answer(b"")], node), 0)
        self.assertEqual(node.told, [])
        self.assertEqual(Client.asked, ["p/auth-jwt", "p/cmd", "closed"])

    def test_page_after_page(self):
        first = self.page(["a", 1, {"k": "1"}], ["b", 0, "%CMNG", "3,5,2", [513]])
        node = Node({"3,5,2": (513, "+CME ERROR: 513")})
        script = [Answer(), first, Answer(), Answer(), self.page(["c", 1, {"k": "2"}]), Answer(), Answer(b"")]
        self.assertEqual(self.play(script, node), 3)
        self.assertEqual(node.told, ["offline", {"k": "1"}, ("b", "%CMNG", "3,5,2"), "online", {"k": "2"}])
        self.assertEqual(self.answered(0), [["a", 101], ["b", 100, "+CME ERROR: 513"]])  # 513 counts as success
        self.assertEqual(self.answered(1), [["c", 101]])
        asked = [how["query"][0] for path, how in Client.calls if path == "p/cmd"]
        self.assertEqual(asked, ["after=", "after=b", "after=c"])

    def test_finished_is_the_last_answer_wherever_it_stands(self):
        page = self.page(["f", 2], ["a", 1, {"k": "1"}])
        self.assertEqual(self.play([Answer(), page, Answer()], Node()), 2)
        self.assertEqual(self.answered(), [["a", 101], ["f", 102]])

    def test_settings_alone_keep_the_modem_online_and_the_session(self):
        node = Node()
        self.play([Answer(), self.page(["a", 1, {"k": "1"}], ["f", 2]), Answer()], node)
        self.assertEqual(node.told, [{"k": "1"}])
        self.assertEqual(Client.asked, ["p/auth-jwt", "p/cmd", "p/rsp", "closed"])

    # --- what fails

    def test_stops_at_the_first_error_and_says_so(self):
        page = self.page(["a", 0, "%CMNG", "0,1,0,\"x\"", []], ["b", 0, "%CMNG", "3,1,1", []], ["f", 2])
        node = Node({'0,1,0,"x"': (527, "527")})
        with self.assertRaises(base.CloudError):
            self.play([Answer(), page, Answer(), Answer()], node)
        self.assertEqual(node.told, ["offline", ("a", "%CMNG", '0,1,0,"x"'), "online"])
        self.assertEqual(self.answered(), [["a", 99, 527, "527"]])  # and nothing of "finished"

    def test_settings_that_do_not_fit(self):
        with self.assertRaises(base.CloudError):
            self.play([Answer(), self.page(["a", 1, {"bad": "1"}], ["f", 2]), Answer()], Node())
        self.assertEqual(self.answered(), [["a", 99, 0, "bad: no such setting"]])

    def test_finished_is_not_said_when_something_failed_behind_it(self):
        with self.assertRaises(base.CloudError):
            self.play([Answer(), self.page(["f", 2], ["a", 1, {"bad": "1"}]), Answer()], Node())
        self.assertEqual(self.answered(), [["a", 99, 0, "bad: no such setting"]])

    def test_online_again_whatever_happens(self):
        node = Node({"3,1,1": OSError(104)})
        with self.assertRaises(OSError):
            self.play([Answer(), self.page(["a", 0, "%CMNG", "3,1,1", []])], node)
        self.assertEqual(node.told[-1], "online")
        self.assertEqual(Client.asked, ["p/auth-jwt", "p/cmd", "closed"])

    def test_the_answers_get_lost(self):
        node = Node()
        page = self.page(["a", 0, "%CMNG", "3,1,1", []])
        with self.assertRaises(coap.Timeout):
            self.play([Answer(), page, Answer(), coap.Timeout()], node)
        self.assertEqual(Client.asked[-1], "closed")
        self.assertEqual(self.play([Answer(), page, Answer(), Answer(), Answer(b"")], node), 1)  # it comes again
        self.assertEqual(node.told.count(("a", "%CMNG", "3,1,1")), 2)

    def test_no_room_for_a_client_closes_what_was_connected(self):
        def full(endpoint, **tuning):
            raise MemoryError("full")

        nrfcloud.coap.Client = full
        with self.assertRaises(MemoryError):
            self.play([], Node({}))
        self.assertEqual(Client.asked, ["endpoint closed"])

    def test_not_claimed(self):
        for code in (0x81, 0x83):
            with self.subTest(code=code):
                with self.assertRaises(base.AuthError):
                    self.play([refused(code, "device not claimed")], Node())
        for code in (0xA0, 0xA3):
            with self.subTest(code=code):
                with self.assertRaises(coap.Refused):
                    self.play([refused(code)], Node())
        self.assertEqual(Client.asked.count("closed"), 4)

    def test_page_refused(self):
        with self.assertRaises(coap.Refused):
            self.play([Answer(), refused(0x80, "not one command fits")], Node())
        self.assertEqual(Client.asked[-1], "closed")

    def test_nothing_of_a_damaged_page_is_run(self):
        good = ["a", 0, "%CMNG", "3,1,1", []]
        whole = cbor.dumps([good])
        bodies = [
            b"\x80", b"\x00", b"\xa0", b"\xf6", whole + b"\x00", whole[:-1], b"\x98\x18" + whole[1:] * 24, b"\x9f",
            b"\x9f\xff", b"\x9f" + whole[1:], b"\x9f" + whole[1:] + b"\xff\x00", b"\x82" + whole[1:],
            b"\x9f" + whole[1:] * 24 + b"\xff",
        ]  # fmt: skip
        for item in (
            5, [], ["a"], [5, 2], ["a", "2"], ["a", True], ["a", 3], ["a", 2, 1], ["a", 0, "%CMNG", "3,1,1"],
            ["a", 0, 5, "3", []], ["a", 0, "%CMNG", None, []], ["a", 0, "%CMNG", "3", 513], ["a", 1, []],
            ["a", 1, {"k": 1}], ["a", 1, {1: "k"}],
        ):  # fmt: skip
            bodies.append(cbor.dumps([good, item]))
        for body in bodies:
            with self.subTest(body=body):
                node = Node()
                with self.assertRaises(base.CloudError):
                    self.play([Answer(), Answer(body)], node)
                self.assertEqual(node.told, [])
        node = Node()
        self.play([Answer(), Answer(b"\x9f" + whole[1:] * 2 + b"\xff"), Answer(), Answer(), Answer(b"")], node)
        self.assertEqual(len(node.told), 4)  # an array of indefinite length is one too

    def test_an_end_to_every_dialogue(self):
        script = [Answer()] + [self.page(["a", 1, {"k": "1"}]), Answer()] * 20
        self.assertEqual(self.play(script, Node()), 20)

    def test_join(self):
        page = memoryview(bytearray(8))
        self.assertEqual(bytes(provision.join([b"\x01", b"\x02"], page)), b"\x82\x01\x02")
        self.assertEqual(bytes(page[:3]), b"\x82\x01\x02")  # in place
        self.assertEqual(bytes(provision.join([bytes(7), b"\x02"], page)), b"\x82" + bytes(7) + b"\x02")


class ModemKeys(unittest.TestCase):
    """modem.nrf91.keys: what a provisioning service may have run, and whose token it is."""

    def drive(self, body, answers=None):
        fake = FakeModem(answers)

        async def main():
            made = modem.load("nrf91")(fake)
            try:
                return await body(made)
            finally:
                await made.at.stop()

        return run(main()), fake.commands()

    def test_execute(self):
        answers = {
            "AT%KEYGEN=16842753,2,0": b'\r\n%KEYGEN: "aaa.bbb"\r\n\r\nOK\r\n',
            "AT%CMNG=3,5,2": b"\r\n+CME ERROR: 513\r\n",
        }

        async def body(m):
            found = [await m.execute("%KEYGEN", "16842753,2,0"), await m.execute("%CMNG", '0,5,0,"a\r\nb"')]
            try:
                await m.execute("%CMNG", "3,5,2")
            except ATError as error:
                found.append(error.code)
            return found

        found, sent = self.drive(body, answers)
        self.assertEqual(found, ['%KEYGEN: "aaa.bbb"\r\nOK\r\n', "OK\r\n", 513])
        self.assertTrue("AT%KEYGEN=16842753,2,0" in sent)

    def test_nothing_else_is_run(self):
        wrong = (
            ("+CFUN", "0"), ("%CMNG=3,5,2\rAT+CFUN", "0"), ("%XPOFWARN", "1"), ("", ""), ("#XRESET", ""),
            ("%cmng", "1"),
            ("%CMNG", "3,5,2\rAT+CFUN=0"), ("%CMNG", "3,5,2;+CFUN=0"), ("%CMNG", '0,5,0,"x'), ("%CMNG", '0,5,0,"x"y'),
            ("%CMNG", "1, 5"), ("%KEYGEN", '5,2,0,"a"\r'), ("%KEYGEN", '5,2,0,"\x1a"'), ("%KEYGEN", '5,2,0,"\x00"'),
        )  # fmt: skip

        async def body(m):
            for command, parameters in wrong:
                try:
                    await m.execute(command, parameters)
                except ValueError:
                    continue
                return command, parameters
            return None

        found, sent = self.drive(body)
        self.assertEqual((found, sent), (None, []))

    def test_tokens(self):
        answers = {
            'AT%JWT=0,300,"",""': b'\r\n%JWT: "a.b.identity"\r\n\r\nOK\r\n',
            'AT%JWT=0,600,"me","",7,2': b'\r\n%JWT: "a.b+/=.access"\r\n\r\nOK\r\n',
            "AT%ATTESTTOKEN": b'\r\n%ATTESTTOKEN: "aa.bb"\r\n\r\nOK\r\n',
        }

        async def body(m):
            return await m.jwt("", 300, None), await m.jwt("me", 600, 7), await m.attestation()

        self.assertEqual(self.drive(body, answers)[0], ("a.b.identity", "a.b-_.access", "aa.bb"))


if __name__ == "__main__":
    unittest.main()
