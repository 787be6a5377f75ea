"""lib/cloud/thingsboard: requests byte for byte (platforms.md 5), jobs, chunks and states (1.10)."""

import json
import unittest
from binascii import hexlify, unhexlify

import coap
from cloud import base, load
from cloud.thingsboard import Cloud, chunks, jobs
from harness.rng import Rng, seed
from harness.thingsboard_kit import (
    BAD,
    BROKEN,
    CONTENT,
    CREATED,
    ID,
    IMAGE,
    NOT_FOUND,
    SHARED,
    TOKEN,
    UNAUTHORIZED,
    code,
    job,
    platform,
    serve,
    session,
)

# The options and the payload of platforms.md 5, V4: behind the header and a token of two bytes.
V4 = (
    "b266770d074131423243334434453546364737483849394a30497469746c653d6170700b76657273696f6e3d312e320873697a653d353132"
    "076368756e6b3d33"
)
# The same of V1, whose payload is another
V1 = "b36170690276310d074131423243334434453546364737483849394a300974656c656d657472791132ff"


def after_token(seen):
    return hexlify(seen.data[4 + (seen.data[0] & 15) :]).decode()


class Parsing(unittest.TestCase):
    def parse(self, client=None, **shared):
        found = {"shared": dict(SHARED)}
        for key, value in shared.items():
            found["shared"][key] = value
        if client:
            found["client"] = client
        return jobs.parse(found, "app", "1.1.0")

    def test_a_package(self):
        found = self.parse()
        self.assertEqual((found["id"], found["key"]), (ID, ID))
        self.assertEqual((found["kind"], found["title"], found["version"]), ("APP", "app", "1.2"))
        self.assertEqual((found["size"], found["refused"]), (5000, None))

    def test_nothing_assigned(self):
        self.assertEqual(jobs.parse({}, "app", "1"), None)
        self.assertEqual(jobs.parse({"client": {"fw_ended": ID}}, "app", "1"), None)
        self.assertEqual(self.parse(fw_title=None), None)
        self.assertEqual(self.parse(fw_version=None), None)

    def test_what_runs_here_is_no_job(self):
        self.assertEqual(self.parse(fw_version="1.1.0"), None)
        self.assertEqual(self.parse(fw_version="1.1.0", fw_title="other")["title"], "other")

    def test_what_has_ended_here_is_no_job_but_its_successor_is(self):
        ended = {"fw_ended": ID}
        self.assertEqual(self.parse(ended), None)
        for change in ({"fw_version": "1.3"}, {"fw_title": "App"}, {"fw_checksum": "00" * 32}):
            self.assertTrue(self.parse(ended, **change)["id"] != ID)

    def test_what_cannot_be_fetched_is_refused_with_a_reason(self):
        for change in (
            {"fw_url": "https://example.com/a.bin", "fw_size": None},
            {"fw_size": None},
            {"fw_size": 0},
            {"fw_version": "1/2"},
            {"fw_title": "t" * 60},
            {"fw_title": "\u00e9" * 25},
        ):
            found = self.parse(**change)
            self.assertTrue(found["refused"], change)
            self.assertTrue(len(found["id"].encode()) <= 64)

    def test_a_size_that_is_none(self):
        for size in ("5000", 12.5, -1, [1]):
            with self.assertRaises(ValueError):
                self.parse(fw_size=size)

    def test_a_version_that_the_platform_made_a_number(self):
        self.assertEqual(self.parse(fw_version=2)["version"], "2")


class States(unittest.TestCase):
    def test_every_state_has_its_word(self):  # 1.10
        words = [
            (base.STARTED, "DOWNLOADING"), (base.DOWNLOADED, "DOWNLOADED"), (base.VERIFIED, "VERIFIED"),
            (base.INSTALLING, "UPDATING"), (base.SUCCEEDED, "UPDATED"), (base.FAILED, "FAILED"),
            (base.REJECTED, "FAILED"), (base.TIMED_OUT, "FAILED"),
        ]  # fmt: skip
        for state, word in words:
            self.assertEqual(jobs.status(ID, state)["fw_state"], word)

    def test_each_state_has_a_row_of_its_own_and_the_same_again_is_the_same_row(self):
        way = (base.STARTED, base.DOWNLOADED, base.VERIFIED, base.INSTALLING, base.SUCCEEDED)
        at = [jobs.status(ID, state, None, 1631470795000)["ts"] - 1631470795000 for state in way]
        self.assertEqual(at, [0, 1, 2, 3, 4])
        told = jobs.status(ID, base.FAILED, "x", 5)
        self.assertEqual(told, {"ts": 10, "values": {"fw_state": "FAILED", "fw_error": "x"}})

    def test_updated_tells_what_runs_and_failed_tells_why(self):
        self.assertEqual(
            jobs.status("a/b/1.2/00", base.SUCCEEDED, "done"),
            {"fw_state": "UPDATED", "current_fw_title": "a/b", "current_fw_version": "1.2"},
        )
        self.assertEqual(jobs.status(ID, base.FAILED, "block 7"), {"fw_state": "FAILED", "fw_error": "block 7"})
        self.assertEqual(jobs.status(ID, base.REJECTED)["fw_error"], "rejected")


class Loading(unittest.TestCase):
    def test_by_name(self):
        self.assertTrue(load("thingsboard") is Cloud)
        for name in ("nowhere", "base", "plain", ""):
            with self.assertRaises(ValueError):
                load(name)


class Sessions(unittest.TestCase):
    def test_open_reads_the_attributes_and_says_what_runs_here_once(self):
        async def again(cloud):
            await cloud.prove()

        peer = platform()
        session(peer, again)
        asked = ["GET api/v1/*/attributes", "POST api/v1/*/telemetry", "GET api/v1/*/attributes"]
        self.assertEqual(peer.asked(), asked)
        self.assertEqual(peer.seen[0].values(15), [b"sharedKeys=fw_title"])
        told = peer.seen[1]
        self.assertTrue(after_token(told).startswith(V1))
        self.assertEqual(json.loads(told.payload), {"current_fw_title": "app", "current_fw_version": "1.1.0"})

    def test_a_device_without_attributes_is_accepted_all_the_same(self):
        async def nothing(cloud):
            return await cloud.update_check()

        self.assertEqual(session(platform(attributes=code(NOT_FOUND)), nothing), None)

    def test_an_unknown_token_is_an_auth_error(self):
        with self.assertRaises(base.AuthError) as caught:
            session(platform("ack", attributes=code(UNAUTHORIZED)), None)
        self.assertFalse(TOKEN in str(caught.exception))

    def test_a_token_is_one_segment(self):
        for token in ("", "a/b"):
            with self.assertRaises(ValueError):
                Cloud("node", None, token)

    def test_a_closed_cloud(self):
        async def closed(cloud):
            await cloud.close()
            self.assertFalse(await cloud.close())
            for verb in (cloud.update_check(), cloud.update_read(job(), 0, memoryview(bytearray(10)))):
                with self.assertRaises(OSError):
                    await verb

        session(platform(), closed)

    def test_every_way_of_answering(self):
        async def check(cloud):
            return (await cloud.update_check())["id"], cloud.heard > 0

        body = json.dumps({"shared": SHARED}).encode()
        for manner in ("ack", "con", "separate"):
            peer = platform(manner, attributes=lambda seen: (CONTENT, body))
            self.assertEqual(session(peer, check), (ID, True))
            wanted = 0 if manner == "ack" else 3  # every confirmable answer was acknowledged
            self.assertEqual(len(peer.acknowledged), wanted)


class Checking(unittest.TestCase):
    def test_one_question_for_all(self):
        async def check(cloud):
            return await cloud.update_check()

        peer = platform()
        self.assertEqual(session(peer, check), None)  # a title without a version
        self.assertEqual(
            peer.seen[-1].values(15),
            [b"clientKeys=fw_ended", b"sharedKeys=fw_title,fw_version,fw_size,fw_checksum,fw_url"],
        )

    def test_what_is_no_answer(self):
        async def check(cloud):
            for body in (b"", b"[1]", b"x"):
                peer.table["GET api/v1/*/attributes"] = lambda seen, body=body: (CONTENT, body)
                with self.assertRaises(ValueError):
                    await cloud.update_check()
            peer.table["GET api/v1/*/attributes"] = code(BROKEN)
            with self.assertRaises(coap.Refused):
                await cloud.update_check()

        peer = platform()
        session(peer, check)


class Reading(unittest.TestCase):
    def read(self, peer, *spans, **how):
        """-> the bytes of each (offset, length)."""
        what = how.pop("job", job())

        async def read(cloud):
            found = []
            for offset, length in spans:
                mv = memoryview(bytearray(length))
                n = await cloud.update_read(what, offset, mv)
                found.append(bytes(mv[:n]))
            return found

        return session(peer, read, **how)

    def test_the_request_is_the_vector(self):
        peer = platform("separate")
        self.assertEqual(self.read(peer, (1536, 512)), [IMAGE[1536:2048]])
        self.assertEqual(after_token(peer.seen[-1]), V4)

    def test_any_span_in_any_way(self):
        rng = Rng(seed(71))
        spans = [(0, 64), (64, 1500), (1024, 3976), (4999, 100), (4096, 904), (0, 1), (5000, 10), (6000, 10)]
        spans += [(rng.below(5000), 1 + rng.below(3000)) for _ in range(40)]
        for szx in (6, 5, 4):
            tuning = {"ack_timeout_ms": 200, "separate_timeout_ms": 80, "linger_ms": 0, "szx": szx}
            peer = platform("separate")
            self.assertEqual(self.read(peer, *spans, tuning=tuning), [IMAGE[at : at + n] for at, n in spans])
            for seen in peer.seen[2:]:
                self.assertEqual(seen.block(23), None)
                self.assertTrue(int(seen.values(15)[2][5:]) <= 16 << szx)

    def test_a_chunk_that_holds_all_is_as_small_as_can_be(self):
        for span, wanted in (
            ((0, 64), (64, 0, 0)), ((64, 64), (64, 1, 0)), ((60, 8), (128, 0, 60)), ((0, 4096), (1024, 0, 0)),
            ((1500, 1000), (1024, 1, 476)), ((1024, 1024), (1024, 1, 0)), ((3, 1), (16, 0, 3)),
        ):  # fmt: skip
            self.assertEqual(chunks.chunk_of(span[0], span[1], 1024), wanted)

    def test_the_end_is_never_passed(self):
        for size in (1, 1024, 1025, 2048, 4096):
            image = IMAGE[:size]
            peer = platform("separate", fw=serve(image))
            found = self.read(peer, (0, 4096), (size, 64), (size - 1, 512), job=job(size=size))
            self.assertEqual(found, [image, b"", image[-1:]])
            for seen in peer.seen[2:]:
                query = [int(item.split(b"=")[1]) for item in seen.values(15)[2:]]
                self.assertTrue(query[0] * query[1] < size)

    def test_another_package_by_now(self):
        for number in (BAD, NOT_FOUND):
            with self.assertRaises(base.CloudError):
                self.read(platform(fw=code(number)), (0, 512))
        with self.assertRaises(base.AuthError):
            self.read(platform(fw=code(UNAUTHORIZED)), (0, 512))
        with self.assertRaises(coap.Refused):
            self.read(platform(fw=code(BROKEN)), (0, 512))

    def test_what_is_no_chunk(self):
        for answer in ((CONTENT, IMAGE[:511]), (CONTENT, IMAGE[:513]), (CONTENT, b""), (CREATED, IMAGE[:512])):
            with self.assertRaises(coap.BadResponse):
                self.read(platform(fw=lambda seen, answer=answer: answer), (0, 512))
        block = unhexlify("d10a0e")  # Block2 0/1/1024 as the first option
        with self.assertRaises(coap.BadResponse):
            self.read(platform(fw=lambda seen: (CONTENT, IMAGE[:512], block)), (0, 512))

    def test_silence_behind_an_ack_ends(self):
        with self.assertRaises(coap.Timeout):
            self.read(platform(fw=lambda seen: None), (0, 512))


    def test_a_path_that_drops_what_is_large(self):
        """A chunk that never comes, while small answers do: half of it, in this session."""
        whole = serve()

        def narrow(seen):
            size = int(seen.values(15)[2][5:])
            return whole(seen) if size <= 256 else None

        peer = platform("separate", fw=narrow)
        tuning = {"ack_timeout_ms": 60, "max_retransmit": 1, "separate_timeout_ms": 60, "linger_ms": 0}
        self.assertEqual(self.read(peer, (0, 64), (1024, 1500), tuning=tuning), [IMAGE[:64], IMAGE[1024:2524]])
        sizes = [int(seen.values(15)[2][5:]) for seen in peer.seen[2:]]
        self.assertEqual(sizes[:4], [64, 1024, 512, 256])
        self.assertEqual(max(sizes[4:]), 256)

    def test_silence_in_a_session_that_has_carried_as_much_is_not_the_size(self):
        peer = platform("separate")

        async def read(cloud):
            mv = memoryview(bytearray(1024))
            await cloud.update_read(job(), 0, mv)
            peer.table["GET fw/*"] = lambda seen: None
            with self.assertRaises(coap.Timeout):
                await cloud.update_read(job(), 1024, mv)

        session(peer, read)
        self.assertEqual(len(peer.seen), 4)


class Reporting(unittest.TestCase):
    def report(self, peer, *states):
        async def report(cloud):
            for state in states:
                await cloud.update_report(ID, state, "why")

        session(peer, report)
        return [(peer.asked()[i], json.loads(peer.seen[i].payload)) for i in range(2, len(peer.seen))]

    def test_the_way_of_a_good_update(self):
        wanted = [{"fw_state": word} for word in ("DOWNLOADING", "DOWNLOADED", "VERIFIED", "UPDATING")]
        wanted.append({"fw_ended": ID})
        wanted.append({"fw_state": "UPDATED", "current_fw_title": "app", "current_fw_version": "1.2"})
        told = self.report(
            platform(), base.STARTED, base.DOWNLOADED, base.VERIFIED, base.INSTALLING, base.SUCCEEDED
        )
        self.assertEqual([values for _, values in told], wanted)
        self.assertEqual([path for path, _ in told][4:], ["POST api/v1/*/attributes", "POST api/v1/*/telemetry"])

    def test_a_bad_one(self):
        told = self.report(platform(), base.REJECTED)
        self.assertEqual([values for _, values in told], [{"fw_ended": ID}, {"fw_state": "FAILED", "fw_error": "why"}])

    def test_nobody_is_told_of_an_end_that_is_not_noted(self):
        peer = platform(posted=code(BROKEN))
        with self.assertRaises(coap.Refused):
            self.report(peer, base.FAILED)
        self.assertEqual(peer.asked()[2:], ["POST api/v1/*/attributes"])

    def test_what_will_never_be_taken(self):
        peer = platform(telemetry=lambda seen: (BAD if b"fw_state" in seen.payload else CREATED, b""))
        with self.assertRaises(base.RecordRefused):
            self.report(peer, base.STARTED)


if __name__ == "__main__":
    unittest.main()
