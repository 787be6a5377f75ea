"""lib/cloud/nrfcloud: bodies byte for byte against nrfcloud.md section 5, and the session against a scripted client."""

import json
import unittest
from binascii import hexlify

import clock
import coap
from cloud import base
from cloud.nrfcloud import jobs
from harness.fakecoap import Answer, Client, SessionTest, refused


def text(raw):
    return hexlify(raw).decode()


CELL = {"mcc": 244, "mnc": 12, "eci": 186369, "tac": 12001, "neighbours": []}

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

    def test_an_image_that_the_proxy_would_not_fetch_is_said_to_be_so(self):  # nrfcloud.md 12, 11.1
        for host, path in (
            ("firmware.example.com/.nrfcloud.com", "a"),
            ("firmware.x@evil.nrfcloud.com", "a"),
            ("firmware.x?y=.nrfcloud.com", "a"),
            ("firmware.nrfcloud.com", "../a"),
            ("firmware.nrfcloud.com", "a#b"),
            ("example.com", "a.bin"),
            ("nrfcloud.com", "a.bin"),
            ("evil.nrfcloud.com.example.com", "a.bin"),
            ("api.nrfcloud.com", "a.bin"),
            ("bundles.nrfcloud.com", "a.bin b.bin"),
            ("bundles.nrfcloud.com", "a" * 1100),
        ):
            with self.subTest(host=host):
                job = jobs.parse(self.body(host=host, path=path))
                self.assertTrue(job["refused"])
                self.assertIsNone(job["key"])
        for host in ("firmware.nrfcloud.com", "firmware.beta.nrfcloud.com", "static.api.nrfcloud.com"):
            self.assertIsNone(jobs.parse(self.body(host=host))["refused"])

    def test_nothing_to_do(self):
        self.assertIsNone(jobs.parse(b""))
        for status in ("SUCCEEDED", "FAILED", "REJECTED", "TIMED_OUT", "CANCELLED"):
            self.assertIsNone(jobs.parse(self.body(status=status)))

    def test_malformed(self):
        for wrong in (b"x", b"[]", b"{}", b'{"jobDocument": 1}', b"\xff"):
            with self.subTest(wrong=wrong):
                with self.assertRaises(ValueError):
                    jobs.parse(wrong)
        for job_id in (None, 7, "", "a" * 65, "../d2c", "\U0001f4e1" * 64, "a\nb"):
            with self.subTest(job_id=job_id):
                with self.assertRaises(ValueError):
                    jobs.parse(self.body(jobId=job_id))

    def test_what_is_wrong_with_a_job_that_can_be_reported(self):  # nrfcloud.md 11.1: device PATCHes REJECTED
        for change in ({"host": None}, {"path": 5}, {"fileSize": None}, {"fileSize": -1}, {"fileSize": True}):
            with self.subTest(change=change):
                job = jobs.parse(self.body(**change))
                self.assertEqual((job["id"], job["kind"]), (JOB["jobId"], "APP"))
                self.assertTrue(job["refused"] in ("job without host", "job without path", "job without fileSize"))
        self.assertEqual(jobs.parse(self.body(firmwareType=None))["kind"], "unknown")
        self.assertEqual(jobs.parse(json.dumps({"jobId": "j", "jobDocument": 1}).encode())["kind"], "unknown")

    def test_status_bodies(self):
        self.assertEqual(json.loads(jobs.status_body(base.STARTED)), {"status": "IN_PROGRESS"})
        self.assertEqual(
            json.loads(jobs.status_body(base.REJECTED, "no")), {"status": "REJECTED", "details": "no"}
        )
        self.assertEqual(json.loads(jobs.status_body(base.TIMED_OUT)), {"status": "TIMED_OUT"})


class Session(SessionTest):
    def test_one_token_serves_a_whole_session(self):
        async def job(cloud):
            await cloud.report({"a": 1})
            await cloud.publish([(1, 0, "temp", 1)])
            await cloud.publish([(1, 0, "temp", 1), (2, 0, "temp", 2)])

        self.play([Answer(max_age=3600), Answer(), Answer(), Answer()], job)
        self.assertEqual(Client.asked, ["auth/jwt", "state/reported", "msg/d2c", "msg/d2c/bulk"])

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

    def test_no_room_for_a_client_closes_what_was_connected(self):
        class Endpoint:
            closed = 0

            async def close(self):
                self.closed += 1

        def full(endpoint, **tuning):
            raise MemoryError("full")

        coap.Client = full
        self.endpoint = Endpoint()
        with self.assertRaises(MemoryError):
            self.play([], None)
        self.assertEqual(self.endpoint.closed, 1)

    def test_an_identity_token_goes_to_its_own_path(self):
        async def job(cloud):
            return cloud.device_id

        versions = {"mver": "mfw_nrf91x1_2.0.1", "cver": "1.0.0", "dver": "1"}
        self.play([Answer(max_age=3600)], job, auth="auth/jwt-id", versions=versions)
        path, sent = Client.calls[0]
        self.assertEqual((path, sent["query"]), ("auth/jwt-id", ("cver=1.0.0", "dver=1", "mver=mfw_nrf91x1_2.0.1")))

    def test_an_unwell_service_is_not_an_auth_error(self):
        with self.assertRaises(coap.Refused):
            self.play([refused(0xA3)], None)

    def test_without_the_time_there_is_no_token(self):
        clock.reset()
        with self.assertRaises(base.AuthError):
            self.play([], None)
        self.assertEqual(self.tokens, 0)

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

    def test_a_report_that_will_never_be_taken_is_told_from_one_that_may_be_later(self):  # nrfcloud.md 11.2
        async def job(cloud):
            await cloud.update_report("j1", base.FAILED, "why")

        for code, text in ((0x80, "execution is CANCELLED"), (0x84, ""), (0x85, ""), (0x96, "")):
            with self.assertRaises(base.RecordRefused):
                self.play([Answer(max_age=3600), refused(code, text)], job)
        for code, text in ((0x9D, ""), (0xA3, ""), (0xA0, ""), (0x80, '{"code":40005}'), (0x83, "")):
            with self.assertRaises(coap.Refused):
                self.play([Answer(max_age=3600), refused(code, text)], job)
        with self.assertRaises(base.AuthError):
            self.play([Answer(max_age=3600), refused(0x81), refused(0x81)], job)

    def test_a_step_that_the_service_has_no_word_for_is_not_sent(self):
        async def job(cloud):
            self.assertTrue(base.STEPS not in cloud.caps)
            for state in (base.DOWNLOADED, base.VERIFIED, base.INSTALLING):
                await cloud.update_report("j1", state)

        self.play([Answer(max_age=3600)], job)
        self.assertEqual(Client.asked, ["auth/jwt"])

    def test_no_job_no_delta_no_position(self):
        async def job(cloud):
            return (await cloud.update_check(), await cloud.fetch_config(), await cloud.locate([CELL]))

        found = self.play([Answer(max_age=3600), refused(0x84), Answer(b""), refused(0x84)], job)
        self.assertEqual(found, (None, None, None))


class Endpoint:
    """One with a connection ID: says what was done to it, and fails when told to."""

    cid = True
    fails = ()

    def __init__(self):
        self.done = []

    async def pause(self):
        self._do("pause")

    async def resume(self):
        self._do("resume")

    def _do(self, what):
        self.done.append(what)
        if what in self.fails:
            raise OSError(104)


class Kept(SessionTest):
    """A session that outlives the loss of its bearer (nrfcloud.md 2, pause and resume)."""

    def again(self, *answers, fails=(), lifetime=3600, keep=True, cid=True):
        self.endpoint = Endpoint()
        self.endpoint.cid = cid
        self.endpoint.fails = fails

        async def job(cloud):
            await cloud.close(keep)
            return await cloud.open()

        return self.play((Answer(max_age=lifetime),) + answers, job)

    def test_goes_on_without_a_token(self):
        self.assertTrue(0 < self.again(Answer()) <= 3600)
        self.assertEqual(self.endpoint.done, ["pause", "resume"])
        self.assertEqual(Client.asked, ["auth/jwt", "ping"])
        self.assertEqual(self.tokens, 1)

    def test_is_made_anew_when_the_service_does_not_answer_in_it(self):
        self.again(coap.Timeout("no answer"), Answer(max_age=60))
        self.assertEqual(Client.asked, ["auth/jwt", "ping", "closed", "auth/jwt"])
        self.assertEqual(self.tokens, 2)

    def test_is_made_anew_when_it_cannot_be_saved_or_loaded(self):
        self.again(Answer(max_age=60), fails=("pause",))
        self.assertEqual(Client.asked, ["auth/jwt", "closed", "auth/jwt"])
        Client.asked = []
        self.again(Answer(max_age=60), fails=("resume",))
        self.assertEqual(Client.asked, ["auth/jwt", "closed", "auth/jwt"])

    def test_is_made_anew_without_a_connection_id_or_when_it_is_over(self):
        for how in ({"cid": False}, {"keep": False}, {"lifetime": 0}):
            with self.subTest(how=how):
                Client.asked = []
                self.again(Answer(max_age=60), **how)
                self.assertEqual(self.endpoint.done, [])
                self.assertEqual(Client.asked, ["auth/jwt", "closed", "auth/jwt"])


if __name__ == "__main__":
    unittest.main()
