"""lib/cloud/exosite: requests byte for byte (platforms.md 5), the agreed dataports, content info and blocks (2.5)."""

import unittest
from binascii import hexlify

import cbor
import coap
from cloud import base
from cloud.exosite import Cloud, content, dataports, jobs
from harness.fakenet import block, opts, uint
from harness.plainpeer import Platform, play
from harness.rng import Rng, seed

CIK = "000102030405060708090a0b0c0d0e0f10111213"
CHANGED, CONTENT, BAD, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, BROKEN = 0x44, 0x45, 0x80, 0x81, 0x83, 0x84, 0xA0
IMAGE = bytes([(i * 7 + (i >> 8)) & 255 for i in range(5000)])
INFO = b"application/octet-stream,5000,1763000000,1.2"
ID = "fw1.bin/5000/1763000000"
FILE = "GET provision/download/acme/node/fw1.bin"

# Options and payload of platforms.md 5: behind the header and a token of two bytes
V5 = "b231610474656d704d07000102030405060708090a0b0c0d0e0f10111213ff3337"
V6 = "b231614d07000102030405060708090a0b0c0d0e0f1011121303636d64"  # without its payload: nothing is written


def after_token(seen):
    return hexlify(seen.data[4 + (seen.data[0] & 15) :]).decode()


def changed(seen):
    return CHANGED, b""


def code(number):
    return lambda seen: (number, b"")


def values(**found):
    body = cbor.dumps(found)
    return lambda seen: (CONTENT, body)


def serve(image=IMAGE, size2=True):
    def cut(seen):
        num, _, szx = seen.block(23) or (0, False, 6)
        at, size = num << szx + 4, 16 << szx
        pairs = [(23, block(num, at + size < len(image), szx))]
        if size2:
            pairs.append((28, uint(len(image))))
        return CONTENT, image[at : at + size], opts(*pairs)

    return cut


def platform(**table):
    """`many`, `info`, `file`, `version`, `state`, `result`: functions instead of the usual ones."""
    return Platform(
        {
            "POST 1a": table.get("many", values(fw_target="fw1.bin")),
            "POST 1a/fw_version": table.get("version", changed),
            "POST 1a/fw_state": table.get("state", changed),
            "POST 1a/fw_result": table.get("result", changed),
            "POST 1a/temp": changed,
            FILE + "/info": table.get("info", lambda seen: (CONTENT, INFO)),
            FILE: table.get("file", serve()),
        }
    )


def session(peer, verb, **how):
    how.setdefault("versions", {"cver": "1.1.0"})
    return play(Cloud, peer, verb, token=CIK, vendor="acme", model="node", **how)


class Parsing(unittest.TestCase):
    def test_info(self):  # 2.5: the meta may hold commas
        for text, wanted in (
            ("a/b,5000,1763000000,1.2", (5000, "1763000000", "1.2")),
            ("a/b,5000,1763000000,1.2, beta, x", (5000, "1763000000", "1.2, beta, x")),
            ("a/b,5000,1763000000,", (5000, "1763000000", "")),
            ("a/b,5000,1763000000", (5000, "1763000000", "")),
        ):
            self.assertEqual(content.info(text), wanted)
        for text in ("", "a/b", "a/b,5000", "a/b,many,1,x", "a/b,-1,1,x"):
            with self.assertRaises(ValueError):
                content.info(text)

    def test_which_job_has_ended(self):
        for text, wanted in (
            (None, None), ("", None), ("failed", None), ("started," + ID, None), ("x," + ID, None),
            ("succeeded," + ID, ID), ("failed," + ID + ",why, oh why", ID), ("timed_out," + ID, ID),
            ("rejected," + ID, ID),
        ):  # fmt: skip
            self.assertEqual(jobs.ended(text), wanted)

    def test_a_cik_has_20_bytes(self):
        for token in ("00", "", CIK + "00"):
            with self.assertRaises(ValueError):
                Cloud("node", None, token)


class Sessions(unittest.TestCase):
    def test_open_says_what_runs_here_once(self):
        async def again(cloud):
            await cloud.prove()

        peer = platform()
        session(peer, again)
        self.assertEqual(peer.asked(), ["POST 1a/fw_version", "POST 1a"])
        self.assertEqual(bytes(peer.seen[0].payload), b"1.1.0")

    def test_who_is_believed(self):
        async def nothing(cloud):
            return "open"

        with self.assertRaises(base.AuthError) as caught:
            session(platform(version=code(UNAUTHORIZED)), nothing)
        self.assertFalse(CIK in str(caught.exception))
        self.assertEqual(session(platform(version=code(FORBIDDEN)), nothing), "open")  # no such dataport, but our CIK
        with self.assertRaises(coap.Refused):
            session(platform(version=code(BROKEN)), nothing)

    def test_the_requests_are_the_vectors(self):
        async def both(cloud):
            await dataports.write(cloud, "temp", "37")
            await dataports.read(cloud, "cmd")

        peer = platform()
        session(peer, both)
        self.assertEqual([after_token(seen) for seen in peer.seen[1:]], [V5, V6])


class Checking(unittest.TestCase):
    def check(self, peer):
        async def check(cloud):
            return await cloud.update_check()

        return session(peer, check)

    def test_a_job(self):
        peer = platform()
        found = self.check(peer)
        self.assertEqual((found["id"], found["key"], found["version"]), (ID, ID, "1.2"))
        self.assertEqual((found["kind"], found["size"], found["refused"]), ("APP", 5000, None))
        self.assertEqual(peer.asked()[1:], ["POST 1a", FILE + "/info"])
        self.assertEqual(peer.seen[1].values(15)[1:], [b"fw_target", b"fw_result"])
        self.assertEqual(hexlify(peer.seen[2].values(15)[0]).decode(), CIK)

    def test_no_job(self):
        for many in (
            values(), values(fw_target=""), values(fw_target=" "), code(FORBIDDEN),
            values(fw_target="fw1.bin", fw_result="succeeded," + ID),
            values(fw_target="fw1.bin", fw_result="rejected," + ID + ",too old"),
        ):  # fmt: skip
            self.assertEqual(self.check(platform(many=many)), None)
        runs = b"a/b,5000,1763000000,1.1.0"
        self.assertEqual(self.check(platform(info=lambda seen: (CONTENT, runs))), None)

    def test_an_older_result_says_nothing_of_this_job(self):
        many = values(fw_target="fw1.bin", fw_result="failed,fw1.bin/5000/1762999999")
        self.assertEqual(self.check(platform(many=many))["id"], ID)

    def test_content_that_is_not_there_is_refused_with_a_reason(self):
        found = self.check(platform(info=code(NOT_FOUND)))
        self.assertEqual((found["id"], found["size"]), ("fw1.bin/0/0", 0))
        self.assertTrue(found["refused"])
        for target in ("a/b", "a,b", "x" * 65):
            peer = platform(many=values(fw_target=target))
            found = self.check(peer)
            self.assertTrue(found["refused"])
            self.assertTrue(len(found["id"]) <= 64 and "," not in found["id"])
            self.assertEqual(peer.asked()[1:], ["POST 1a"])

    def test_what_is_no_answer(self):
        for how in (
            {"many": lambda seen: (CONTENT, b"\x01")}, {"many": lambda seen: (CONTENT, b"\xff")},
            {"info": lambda seen: (CONTENT, b"")}, {"info": lambda seen: (CONTENT, b"\xff\xfe")},
        ):  # fmt: skip
            with self.assertRaises(ValueError):
                self.check(platform(**how))
        with self.assertRaises(coap.Refused):
            self.check(platform(info=code(BROKEN)))


class Reading(unittest.TestCase):
    def read(self, peer, *spans, **how):
        size = how.pop("size", len(IMAGE))
        if not how.pop("info", None):
            peer.table[FILE + "/info"] = lambda seen: (CONTENT, b"a/b,%d,1763000000,1.2" % size)

        async def read(cloud):
            found = []
            for offset, length in spans:
                mv = memoryview(bytearray(length))
                job = {"content": "fw1.bin", "size": size, "updated": "1763000000"}
                n = await cloud.update_read(job, offset, mv)
                found.append(bytes(mv[:n]))
            return found

        return session(peer, read, **how)

    def test_any_span(self):
        rng = Rng(seed(72))
        spans = [(0, 64), (64, 1500), (1024, 3976), (4999, 100), (4096, 904), (0, 1), (5000, 10), (6000, 10)]
        spans += [(rng.below(5000), 1 + rng.below(3000)) for _ in range(20)]
        for size2 in (True, False):
            peer = platform(file=serve(IMAGE, size2))
            self.assertEqual(self.read(peer, *spans), [IMAGE[at : at + n] for at, n in spans])
            for seen in peer.seen[1:]:
                self.assertEqual(hexlify(seen.values(15)[0]).decode(), CIK)
                if not seen.path().endswith("/info"):
                    self.assertTrue(seen.block(23)[0] << 10 < len(IMAGE))

    def test_sizes_at_the_edge_of_a_block(self):
        for size in (1, 1024, 2048, 4096):
            image = IMAGE[:size]
            self.assertEqual(self.read(platform(file=serve(image)), (0, 4096), (size, 1), size=size), [image, b""])

    def test_content_that_is_another_by_now(self):
        with self.assertRaises(base.CloudError):
            self.read(platform(file=code(NOT_FOUND)), (0, 512))
        with self.assertRaises(base.CloudError):
            self.read(platform(file=serve(IMAGE[:4000])), (0, 512))
        for text in (b"a/b,5000,1763000001,1.2", b"a/b,5001,1763000000,1.2"):
            peer = platform(info=lambda seen, text=text: (CONTENT, text))
            with self.assertRaises(base.CloudError):
                self.read(peer, (0, 512), info=True)
            self.assertEqual(self.read(peer, (1, 9), info=True), [IMAGE[1:10]])  # only where a download begins
        with self.assertRaises(base.CloudError):
            self.read(platform(info=code(NOT_FOUND)), (0, 512), info=True)
        with self.assertRaises(base.AuthError):
            self.read(platform(file=code(UNAUTHORIZED)), (0, 512))
        with self.assertRaises(coap.Refused):
            self.read(platform(file=code(BROKEN)), (0, 512))


class Reporting(unittest.TestCase):
    def report(self, peer, *reports):
        async def report(cloud):
            for state, detail in reports:
                await cloud.update_report(ID, state, detail)

        session(peer, report)
        return [(peer.asked()[i], bytes(peer.seen[i].payload).decode()) for i in range(1, len(peer.seen))]

    def test_the_start_and_the_end(self):
        told = self.report(
            platform(), (base.STARTED, None), (base.DOWNLOADED, None), (base.VERIFIED, None), (base.INSTALLING, None),
            (base.SUCCEEDED, "all is well"),
        )  # fmt: skip
        wanted = [("POST 1a/fw_state", "started," + ID), ("POST 1a/fw_result", "succeeded," + ID + ",all is well")]
        self.assertEqual(told, wanted)

    def test_every_end_is_understood_again(self):
        for state in (base.SUCCEEDED, base.FAILED, base.REJECTED, base.TIMED_OUT):
            for detail in (None, "why, oh why"):
                [(_, text)] = self.report(platform(), (state, detail))
                self.assertEqual(jobs.ended(text), ID)

    def test_what_will_never_be_taken(self):
        for number in (BAD, FORBIDDEN):
            with self.assertRaises(base.RecordRefused):
                self.report(platform(result=code(number)), (base.FAILED, "x"))
        with self.assertRaises(coap.Refused):
            self.report(platform(result=code(BROKEN)), (base.FAILED, "x"))


if __name__ == "__main__":
    unittest.main()
