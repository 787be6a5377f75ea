"""cloud.nrfcloud: where assistance and predictions are asked for, in which form, and what a refusal leads to."""

import json
import unittest
from binascii import hexlify, unhexlify

import cbor
import clock
import coap
import log
from cloud.base import CloudError
from cloud.nrfcloud import assist, ground_fix, needs, predict, shelf
from harness import scratch
from harness.aio import run
from harness.pgps_kit import PERIOD, START, Dead, file_of, prediction

UNIX = START + 315964800 - 18
CELL = {"mcc": 244, "mnc": 91, "eci": 36078631, "tac": 4099, "rsrp_dbm": -90}
FILE = "https://pgps.nrfcloud.com/public/15131-0_15131-28800.bin"
INTEGRITY = b"\x01\x09\x01\x00\x00\x00\x00\x00"


class Answer:
    max_age = None

    def __init__(self, payload=b"", code=0x45):
        self.payload = payload
        self.code = code


def refused(code, diagnostic=b""):
    return coap.Refused(Answer(diagnostic, code))


class Cloud:
    """What the verbs need of a cloud: `script` is payloads and exceptions, `asked` (method, path, query, body)."""

    def __init__(self, *script):
        self.script = list(script)
        self.asked = []
        self.file = b""
        self.fail_at = None
        self.reads = []

    def _next(self):
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    async def request(self, method, path, query=(), payload=b"", content_format=None, accept=None):
        self.asked.append((method, path, query, payload))
        assert not payload or (content_format, accept) == (60, 60)
        return Answer(self._next())

    async def blocks(self, mv, path, offset=0, method=coap.GET, **how):
        body = (await self.request(method, path, **how)).payload
        mv[: len(body)] = body
        return len(body)

    async def update_read(self, job, offset, mv):
        assert job["key"] == FILE
        self.reads.append(offset)
        if self.fail_at is not None and offset >= self.fail_at:
            raise self.fail_at_error
        piece = self.file[offset : offset + len(mv)]
        mv[: len(piece)] = piece
        return len(piece)


class Assistance(unittest.TestCase):
    def setUp(self):
        log.level = 0
        clock.reset()
        clock.set_utc(UNIX * 1000)
        self.mv = memoryview(bytearray(64))

    def tearDown(self):
        log.level = log.INFO
        clock.reset()

    def get(self, *script, cell=CELL, mask=None, given=None):
        self.cloud = Cloud(*script)
        part = ([2, 9], mask, {} if given is None else given)
        count = run(assist.assistance(self.cloud, part, cell, self.mv))
        return bytes(self.mv[:count])

    def forms(self):
        return [(method, path) for method, path, _, _ in self.cloud.asked]

    def test_fetch_with_the_body_of_the_facts(self):
        given = {}
        self.assertEqual(self.get(INTEGRITY, given=given), INTEGRITY)
        self.assertEqual(self.cloud.asked, [(coap.FETCH, "loc/agnss", (), assist.agnss([2, 9], CELL))])
        self.assertEqual(given, {2: UNIX, 9: UNIX})

    def test_the_old_name_once(self):
        self.assertEqual(self.get(refused(0x84), INTEGRITY), INTEGRITY)
        self.assertEqual(self.forms(), [(coap.FETCH, "loc/agnss"), (coap.FETCH, "loc/agps")])
        with self.assertRaises(coap.Refused):
            self.get(refused(0x84), refused(0x84))
        self.assertEqual(len(self.cloud.asked), 2)

    def test_get_when_fetch_is_not_known(self):
        for code in (0x82, 0x85, 0x8F):
            self.assertEqual(self.get(refused(code), INTEGRITY, mask=10), INTEGRITY)
            self.assertEqual(self.forms(), [(coap.FETCH, "loc/agnss"), (coap.GET, "loc/agnss")])
            self.assertEqual(self.cloud.asked[1][2:], (needs.query([2, 9], CELL, 10), b""))

    def test_both_names_by_get(self):
        for path in ("loc/agnss", "loc/agps"):
            cloud = Cloud(INTEGRITY)
            count = run(needs.get(cloud, path, ([2], None, {}), None, self.mv))
            self.assertEqual((count, cloud.asked), (8, [(coap.GET, path, ("types=2",), b"")]))

    def test_other_refusals_are_the_callers(self):
        for code in (0x80, 0x83, 0xA0, 0xA3):
            with self.assertRaises(coap.Refused):
                self.get(refused(code))

    def test_what_is_no_assistance_is_not_injected(self):
        given = {}
        for body, words in (
            (b"", "schema"),
            (b"\x02", "schema"),
            (INTEGRITY[:-1], "cut off"),
            (b'{"appId":"AGNSS","messageType":"DATA","err":42200}', "42200"),
        ):
            with self.assertRaises(CloudError) as caught:
                self.get(body, given=given)
            self.assertTrue(words in str(caught.exception), caught.exception)
        self.assertEqual(given, {})

    def test_an_unknown_type_costs_only_what_follows(self):
        body = INTEGRITY + b"\x40\x01\x00????"
        self.assertEqual(self.get(body), body)

    def test_parts_are_what_is_needed_and_not_given_yet(self):
        need = {"flags": 0x39, "systems": {1: (0xFF00, 0)}}
        given = {2: UNIX - 6599}
        self.assertEqual(
            needs.assistance_parts(None, need, CELL, given), [([1, 9, 6, 7, 8], None, given)]
        )
        given[2] -= 1
        self.assertEqual(len(needs.assistance_parts(None, need, CELL, given)), 1)  # 7,200 s when it is not filtered
        self.assertEqual(needs.assistance_parts(None, need, CELL, given, 5)[1], ([2], 5, given))


class GroundFix(unittest.TestCase):
    def test_time_flags_and_an_answer_that_was_not_wanted(self):
        clock.reset()
        cloud = Cloud(b"")
        self.assertEqual(run(ground_fix.locate(cloud, [CELL], (), False)), {})
        body = ground_fix.ground_fix([CELL])
        self.assertEqual(cloud.asked, [(coap.FETCH, "loc/ground-fix", ("doReply=false",), body)])
        clock.set_utc(1631470795000)
        cloud = Cloud(unhexlify("a401fb4046c315a4acf31302fbc05eac0ee06d93810319012c04654d43454c4c"))
        self.assertEqual(run(ground_fix.locate(cloud, [CELL], (), True, True, False))["acc_mm"], 300000)
        method, path, query, body = cloud.asked[0]
        self.assertEqual(query, ("hiConf=true", "fallback=false"))
        self.assertTrue(1631470795000 <= cbor.loads(body)[21] < 1631470799000)
        clock.reset()

    def test_not_found_and_nothing_to_ask(self):
        self.assertIsNone(run(ground_fix.locate(Cloud(refused(0x84)), [CELL])))
        cloud = Cloud()
        self.assertIsNone(run(ground_fix.locate(cloud, [])))
        self.assertEqual(cloud.asked, [])
        with self.assertRaises(coap.Refused):
            run(ground_fix.locate(Cloud(refused(0x80)), [CELL]))


class Requests(unittest.TestCase):
    def test_vectors(self):  # nrfcloud.md 5.4
        self.assertEqual(hexlify(predict.pgps((42, 240, 15131, 0))), b"a401182a0218f003193b1b0400")
        answer = (
            "a20171706770732e6e7266636c6f75642e636f6d02781e7075626c69632f31353133312d305f31353133352d37323030302e62696e"
        )
        wanted = "https://pgps.nrfcloud.com/public/15131-0_15135-72000.bin"
        self.assertEqual(predict.file_of(unhexlify(answer)), wanted)
        body = b'{"host":"pgps.nrfcloud.com","path":"public/15131-0_15135-72000.bin"}'
        self.assertEqual(predict.file_of(body), wanted)
        self.assertEqual(
            predict.pgps_query((42, 240, 15131, 0)),
            ("predictionCount=42", "predictionIntervalMinutes=240", "startGpsDay=15131", "startGpsTimeOfDaySeconds=0"),
        )

    def test_answers_that_name_no_file_for_us(self):
        for body, words in (
            (b"", "no file"),
            (b"\xff", "no file"),
            (b"\xa0", "no file"),
            (b"{", "no file"),
            (b"{}", "no file"),
            (b'{"host":1,"path":"x"}', "no file"),
            (b'{"appId":"PGPS","messageType":"DATA","err":42200}', "42200"),
            (cbor.dumps({1: "pgps.nrfcloud.com"}), "no file"),
            (cbor.dumps({1: "pgps.nrfcloud.com", 2: ""}), "no file"),
            (cbor.dumps({1: "pgps.nrfcloud.com", 2: b"x"}), "no file"),
            (cbor.dumps({1: "pgps.nrfcloud.com", 2: "a b"}), "no file"),
            (cbor.dumps({1: "pgps.nrfcloud.com", 2: "a\r\nb"}), "no file"),
            (cbor.dumps({1: "pgnss.nrfcloud.com", 2: "public/1-0.bin"}), "pgnss.nrfcloud.com"),
            (cbor.dumps({1: "example.com", 2: "public/1-0.bin"}), "example.com"),
        ):
            with self.assertRaises(CloudError) as caught:
                predict.file_of(body)
            self.assertTrue(words in str(caught.exception), caught.exception)


class Predictions(unittest.TestCase):
    """The verb, from the question to the file on flash."""

    def setUp(self):
        self.root = scratch.make()
        self.folder = self.root + "/pgps"
        self.buf = memoryview(bytearray(4200))
        self.at(UNIX)
        log.level = 0

    def tearDown(self):
        log.level = log.INFO
        clock.reset()
        scratch.remove(self.root)

    def at(self, unix_s):
        clock.reset()
        clock.set_utc(unix_s * 1000)

    def answer(self):
        host, path = FILE[8:].split("/", 1)
        return cbor.dumps(cbor.Map([(1, host), (2, path)]))

    def cloud(self, *script, start=START, count=3):
        found = Cloud(*(script or (self.answer(),)))
        found.file = file_of(start, count)
        return found

    def keep(self, cloud, count=3):
        """Both verbs, as tasks/offline has them; -> bytes fetched."""
        job = run(predict.predictions_due(cloud, self.folder, count))
        return run(shelf.predictions(cloud, self.folder, job, self.buf)) if job else 0

    def asked(self, cloud):
        return [tuple([cbor.loads(body)[key] for key in (1, 2, 3, 4)]) for _, _, _, body in cloud.asked]

    def test_asked_from_the_prediction_that_serves_now(self):
        for offset, day, second in ((0, 15131, 0), (7199, 15131, 0), (7200, 15131, 14400), (86399, 15132, 0)):
            self.at(UNIX + offset)
            cloud = self.cloud(refused(0xA0))
            with self.assertRaises(coap.Refused):
                self.keep(cloud, 42)
            self.assertEqual(self.asked(cloud), [(42, 240, day, second)])
            self.assertEqual(cloud.asked[0][:2], (coap.FETCH, "loc/pgps"))

    def test_fetched_once_and_found_by_time(self):
        self.assertEqual(self.keep(self.cloud()), 16 + 3 * 2006)
        nothing = Cloud()
        self.assertEqual(self.keep(nothing), 0)
        self.assertEqual(nothing.asked, [])
        need = {"flags": 0x08, "systems": {1: (0xFFFFFFFF, 0)}}
        for step in range(3):
            self.at(UNIX + step * PERIOD)
            view = predict.predicted(None, self.folder, need, None, self.buf)
            self.assertEqual((view[0], view[1], len(view)), (1, 7, 1 + 19 + 3 + 30 * 62))
            raw = prediction(START + step * PERIOD)
            self.assertEqual(bytes(view[23 : 23 + 62]), raw[22 : 22 + 62])
        self.at(UNIX + 3 * PERIOD)
        self.assertEqual(len(predict.predicted(None, self.folder, need, None, self.buf)), 20)  # the time alone

    def test_the_tail_is_asked_for_when_half_is_left(self):
        self.keep(self.cloud(count=4), 4)
        self.at(UNIX + PERIOD)
        self.assertEqual(self.keep(Cloud(), 4), 0)
        self.at(UNIX + 2 * PERIOD)
        cloud = self.cloud(start=START + 4 * PERIOD, count=2)
        self.assertEqual(self.keep(cloud, 4), 16 + 2 * 2006)
        self.assertEqual(self.asked(cloud), [(2, 240, 15131, 4 * PERIOD)])
        self.assertEqual(self.keep(Cloud(), 4), 0)

    def test_by_get_when_fetch_is_not_known(self):
        host, path = FILE[8:].split("/", 1)
        cloud = self.cloud(refused(0x85), json.dumps({"host": host, "path": path}).encode())
        self.assertEqual(self.keep(cloud), 16 + 3 * 2006)
        self.assertEqual(cloud.asked[1], (coap.GET, "loc/pgps", predict.pgps_query((3, 240, 15131, 0)), b""))

    def test_a_lost_link_goes_on_where_it_was_without_asking(self):
        cloud = self.cloud(count=5)
        cloud.fail_at, cloud.fail_at_error = 16 + 2 * 2006, Dead()
        with self.assertRaises(Dead):
            self.keep(cloud, 5)
        self.at(UNIX + PERIOD)  # later: the beginning serves nobody any more, the rest does
        cloud = Cloud()
        cloud.file = file_of(count=5)
        self.assertEqual(self.keep(cloud, 5), 3 * 2006)
        self.assertEqual((cloud.asked, cloud.reads[0]), ([], 16 + 2 * 2006))

    def test_a_download_that_has_become_useless_is_begun_anew(self):
        cloud = self.cloud()
        cloud.fail_at, cloud.fail_at_error = 0, Dead()
        with self.assertRaises(Dead):
            self.keep(cloud)
        self.at(UNIX + 3 * PERIOD)
        cloud = self.cloud(start=START + 3 * PERIOD)
        self.assertEqual(self.keep(cloud), 16 + 3 * 2006)
        self.assertEqual(self.asked(cloud), [(3, 240, 15131, 3 * PERIOD)])

    def test_a_file_that_is_gone_is_asked_for_anew_and_one_that_is_late_is_not(self):
        for code, again in ((0x84, True), (0x83, True), (0xA2, False), (0xA3, False)):
            cloud = self.cloud()
            cloud.fail_at, cloud.fail_at_error = 0, refused(code)
            with self.assertRaises(coap.Refused):
                self.keep(cloud)
            cloud = self.cloud()
            self.assertEqual(self.keep(cloud), 16 + 3 * 2006)
            self.assertEqual(len(cloud.asked), again, code)
            scratch.remove(self.folder)

    def test_a_stale_file_is_an_error_and_forgotten(self):
        cloud = self.cloud(start=START - 86400)
        with self.assertRaises(CloudError) as caught:
            self.keep(cloud)
        self.assertTrue("stale" in str(caught.exception))
        self.assertEqual(self.keep(self.cloud()), 16 + 3 * 2006)

    def test_without_the_time_nothing_is_asked_and_nothing_given(self):
        clock.reset()
        self.assertEqual(self.keep(Cloud()), 0)
        need = {"flags": 0x18, "systems": {1: (1, 0)}}
        self.assertIsNone(predict.predicted(None, self.folder, need, None, self.buf))

    def test_nothing_that_would_help(self):
        need = {"flags": 0x20, "systems": {1: (1, 0)}}
        self.assertIsNone(predict.predicted(None, self.folder, need, None, self.buf))


if __name__ == "__main__":
    unittest.main()
