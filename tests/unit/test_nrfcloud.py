"""lib/cloud/nrfcloud: bodies byte for byte against nrfcloud.md section 5, and the session against a scripted client."""

import json
import unittest
from binascii import hexlify

import clock
import coap
from cbor import Decimal
from cloud import base, load, nrfcloud
from cloud.nrfcloud import jobs, messages
from harness.aio import run


def text(raw):
    return hexlify(raw).decode()


CELL = {"mcc": 244, "mnc": 12, "eci": 186369, "tac": 12001, "neighbours": []}

# Source: nrfcloud.md 5.5.
MESSAGES = (
    ((1, 1631470795000, "temp", Decimal(-123, -1)), "a3016454454d5002fbc02899999999999a031b0000017bdb3cb8f8"),
    (
        (
            2,
            1631470795000,
            "gnss",
            {
                "lat": 455240980,
                "lon": -1226884080,
                "acc_mm": 15000,
                "speed_mm_s": 1000,
                "heading_mdeg": 90000,
                "alt_mm": 159000,
                "time": 1631470795,
            },
        ),
        "a30164474e535302a604fb4046c315a4acf31305fbc05eac0ee06d938106fb402e00000000000007fb3ff000000000000008fb"
        "405680000000000009fb4063e00000000000031b0000017bdb3cb8f8",
    ),
)

JOB = {
    "status": "QUEUED",
    "jobId": "9140bd5d-911c-496a-9393-4acfbdb6596c",
    "jobDocument": {
        "host": "bundles.nrfcloud.com",
        "path": "b1/app.bin",
        "firmwareType": "APP",
        "fileSize": 93731,
        "version": "1.1.0",
    },
}


class Messages(unittest.TestCase):
    def test_vectors(self):
        for record, wanted in MESSAGES:
            self.assertEqual(text(messages.encode(record)), wanted)

    def test_integers_and_unnamed_sensors(self):
        self.assertEqual(text(messages.encode((1, 0, "heap", 70000))), "a3016448454150021a000111700300")


class Jobs(unittest.TestCase):
    def body(self, **changes):
        job = json.loads(json.dumps(JOB))
        for key, value in changes.items():
            target = job["jobDocument"] if key in JOB["jobDocument"] else job
            if value is None:
                del target[key]
            else:
                target[key] = value
        return json.dumps(job).encode()

    def test_job(self):
        job = jobs.parse(self.body())
        self.assertEqual(job["key"], "https://bundles.nrfcloud.com/b1/app.bin")
        self.assertEqual((job["kind"], job["size"], job["version"]), ("APP", 93731, "1.1.0"))

    def test_nothing_to_do(self):
        self.assertIsNone(jobs.parse(b""))
        for status in ("SUCCEEDED", "FAILED", "REJECTED", "TIMED_OUT", "CANCELLED"):
            self.assertIsNone(jobs.parse(self.body(status=status)))

    def test_malformed(self):
        for wrong in (b"x", b"[]", b"{}", b'{"jobDocument": 1}', b"\xff"):
            with self.subTest(wrong=wrong):
                with self.assertRaises(ValueError):
                    jobs.parse(wrong)
        for missing in ("jobId", "host", "path", "firmwareType", "fileSize"):
            with self.subTest(missing=missing):
                with self.assertRaises(ValueError):
                    jobs.parse(self.body(**{missing: None}))

    def test_status_bodies(self):
        self.assertEqual(json.loads(jobs.status_body(base.STARTED)), {"status": "IN_PROGRESS"})
        self.assertEqual(
            json.loads(jobs.status_body(base.REJECTED, "no")), {"status": "REJECTED", "details": "no"}
        )


class Answer:
    def __init__(self, payload=b"", max_age=None, code=0x45):
        self.payload = payload
        self.max_age = max_age
        self.code = code


class Client:
    """Stands in for coap.Client: answers from a script, remembers what was asked."""

    script = []
    asked = []

    def __init__(self, endpoint, **tuning):
        self.endpoint = endpoint

    async def request(self, method, path, **kwargs):
        Client.asked.append(path)
        step = Client.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    async def get_blocks(self, path, sink, offset=0, limit=None, **kwargs):
        body = (await self.request(coap.GET, path)).payload
        if body:
            sink(offset, body)
        result = coap.Result(offset)
        result.bytes = len(body)
        return result

    async def close(self):
        Client.asked.append("closed")


def refused(code, diagnostic=""):
    return coap.Refused(Answer(diagnostic.encode(), code=code))


class Session(unittest.TestCase):
    def setUp(self):
        self.real = nrfcloud.coap.Client
        nrfcloud.coap.Client = Client
        Client.asked = []
        clock.reset()
        clock.set_utc(1763625600000)
        self.tokens = 0

    def tearDown(self):
        nrfcloud.coap.Client = self.real
        clock.reset()

    async def connect(self):
        return None

    async def token(self, device_id, now_s, lifetime_s):
        self.tokens += 1
        return b"a.b.c"

    def play(self, script, job):
        Client.script = list(script)
        cloud = load("nrfcloud")("node-1", self.connect, self.token)

        async def all_of_it():
            await cloud.open()
            return await job(cloud)

        result = run(all_of_it())
        self.assertEqual(Client.script, [])
        return result

    def test_one_token_serves_a_whole_session(self):
        async def job(cloud):
            await cloud.report({"a": 1})
            await cloud.publish([(1, 0, "temp", 1), (2, 0, "temp", 2)])

        self.play([Answer(max_age=3600), Answer(), Answer(), Answer()], job)
        self.assertEqual(Client.asked, ["auth/jwt", "state/reported", "msg/d2c", "msg/d2c"])

    def test_authenticates_again_before_the_session_ends(self):
        async def job(cloud):
            await cloud.report({"a": 1})

        self.play([Answer(max_age=30), Answer(max_age=30), Answer()], job)
        self.assertEqual(Client.asked, ["auth/jwt", "auth/jwt", "state/reported"])

    def test_4_01_is_answered_by_one_new_authentication(self):
        async def job(cloud):
            await cloud.report({"a": 1})

        self.play([Answer(max_age=3600), refused(0x81), Answer(max_age=3600), Answer()], job)
        self.assertEqual(Client.asked, ["auth/jwt", "state/reported", "auth/jwt", "state/reported"])

    def test_a_refused_token_is_an_auth_error_and_closes(self):
        with self.assertRaises(base.AuthError):
            self.play([refused(0x83, "unknown device")], None)
        self.assertEqual(Client.asked, ["auth/jwt", "closed"])

    def test_an_unwell_service_is_not_an_auth_error(self):
        with self.assertRaises(coap.Refused):
            self.play([refused(0xA3)], None)

    def test_without_the_time_there_is_no_token(self):
        clock.reset()
        with self.assertRaises(base.AuthError):
            self.play([], None)
        self.assertEqual(self.tokens, 0)

    def test_a_record_that_will_never_be_taken_is_told_from_a_used_up_plan(self):
        async def job(cloud):
            await cloud.publish([(1, 0, "temp", 1)])

        with self.assertRaises(base.RecordRefused):
            self.play([Answer(max_age=3600), refused(0x80, "bad")], job)
        with self.assertRaises(coap.Refused):
            self.play([Answer(max_age=3600), refused(0x80, '{"code":40005}')], job)

    def test_assistance_that_is_an_error_report_is_not_injected(self):
        mv = memoryview(bytearray(100))

        async def job(cloud):
            return await cloud.assistance(([2], None, {}), None, mv)

        for body in (b"", b'{"err":42200}', b"\x02"):
            with self.subTest(body=body):
                with self.assertRaises(base.CloudError):
                    self.play([Answer(max_age=3600), Answer(body)], job)
        self.assertEqual(self.play([Answer(max_age=3600), Answer(b"\x01\x09\x01\x00\x00\x00\x00\x00")], job), 8)
        self.assertEqual(bytes(mv[:2]), b"\x01\x09")

    def test_no_job_no_delta_no_position(self):
        async def job(cloud):
            return (await cloud.update_check(), await cloud.fetch_config(), await cloud.locate([CELL]))

        found = self.play([Answer(max_age=3600), refused(0x84), Answer(b""), refused(0x84)], job)
        self.assertEqual(found, (None, None, None))


if __name__ == "__main__":
    unittest.main()
