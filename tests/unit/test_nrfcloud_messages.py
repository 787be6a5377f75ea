"""lib/cloud/nrfcloud/messages.py: bodies byte for byte against nrfcloud.md 5.5 and 6, batches, what is done when the
service refuses one."""

import json
import unittest
from binascii import a2b_base64, hexlify

import cbor
import coap
from cbor import Decimal
from cloud import base
from cloud.nrfcloud import messages
from harness.fakecoap import Answer, Client, SessionTest, refused

AUTH = Answer(max_age=3600)
FIX = {
    "lat": 455240980,
    "lon": -1226884080,
    "acc_mm": 15000,
    "speed_mm_s": 1000,
    "heading_mdeg": 90000,
    "alt_mm": 159000,
    "time": 1631470795,
}

# Source: nrfcloud.md 5.5. The seed's own sample has a text for its data and no time: a2016474656d7002652d31322e33.
VECTORS = (
    ((1, 1631470795000, "temp", Decimal(-123, -1)), "a3016454454d5002fbc02899999999999a031b0000017bdb3cb8f8"),
    (
        (2, 1631470795000, "gnss", FIX),
        "a30164474e535302a604fb4046c315a4acf31305fbc05eac0ee06d938106fb402e00000000000007fb3ff000000000000008fb"
        "405680000000000009fb4063e00000000000031b0000017bdb3cb8f8",
    ),
    ((1, 0, "heap", 70000), "a3016448454150021a000111700300"),
    ((1, 0, "temp", "-12.3"), "a3016454454d5002652d31322e330300"),
)


def text(raw):
    return hexlify(raw).decode()


def temps(first, count):
    return [(seq, 1631470795000 + seq, "temp", Decimal(seq, -1)) for seq in range(first, first + count)]


class Encoding(unittest.TestCase):
    def test_vectors(self):
        for record, wanted in VECTORS:
            self.assertEqual(text(messages.encode(record)), wanted)

    def test_an_alert_is_json_with_the_fields_of_its_schema(self):  # 6.3
        record = (7, 1631470795000, "alert", {"type": "battery", "value": 3301, "desc": "battery low"})
        self.assertEqual(
            json.loads(messages.alert(record)),
            {"appId": "ALERT", "type": 7, "value": 3301, "desc": "battery low", "ts": 1631470795000},
        )
        self.assertEqual(json.loads(messages.alert((7, 0, "alert", {"type": "online"})))["seq"], 7)
        words = ("died", "fault", "recovered", "safe", "x")
        kinds = [json.loads(messages.alert((7, 0, "alert", {"type": word})))["type"] for word in words]
        self.assertEqual(kinds, [100, 101, 102, 103, 199])

    def test_a_log_line(self):  # 6.4
        self.assertEqual(
            json.loads(messages.log_line((3, 1631470795000, 1, "coap", 'no "answer"'))),
            {"appId": "LOG", "lvl": 1, "src": "coap", "dom": 0, "msg": 'no "answer"', "ts": 1631470795000},
        )
        self.assertEqual(json.loads(messages.log_line((3, None, 2, "a", "b")))["seq"], 3)


class Batches(unittest.TestCase):
    def test_one_record_is_a_message_of_its_own(self):
        topic, form, body, count = messages.fill(temps(1, 1), 9, 1024)
        self.assertEqual((topic, form, text(body), count), ("d2c", 60, text(messages.encode(temps(1, 1)[0])), 1))

    def test_an_array_of_as_many_as_fit(self):
        for count in (2, 23, 24, 30):
            records = temps(1, count)
            topic, form, body, taken = messages.fill(records, 255, 4096)
            self.assertEqual((topic, form, taken), ("d2c/bulk", 60, count))
            self.assertEqual(cbor.loads(body), [cbor.loads(messages.encode(record)) for record in records])

    def test_a_batch_fills_a_datagram_and_never_more(self):
        records = temps(1, 200)
        for room in (64, 256, 512, 1024):
            _, _, body, count = messages.fill(records, 255, room)
            self.assertTrue(len(body) <= room)
            self.assertTrue(len(body) + len(messages.encode(records[count])) + 2 > room)
        _, _, body, count = messages.fill(records, 255, 1024)
        self.assertTrue(count >= 34, count)  # 29 bytes each

    def test_a_record_larger_than_a_datagram_still_goes(self):
        _, _, body, count = messages.fill([(1, 0, "note", "x" * 2000)] + temps(2, 3), 255, 1024)
        self.assertEqual(count, 1)
        self.assertTrue(len(body) > 2000)

    def test_an_alert_goes_alone_and_in_its_turn(self):
        alert = (3, 0, "alert", {"type": "online"})
        records = temps(1, 2) + [alert] + temps(4, 2)
        self.assertEqual(messages.fill(records, 255, 1024)[3], 2)
        topic, form, _, count = messages.fill(records[2:], 255, 1024)
        self.assertEqual((topic, form, count), ("d2c", 50, 1))


class Publishing(SessionTest):
    def test_how_many_were_accepted(self):
        async def job(cloud):
            return await cloud.publish(temps(1, 60))

        taken = self.play([AUTH, Answer()], job)
        self.assertEqual(len(cbor.loads(Client.calls[1][1]["payload"])), taken)
        self.assertTrue(30 < taken < 60)

    def drain(self, script, records):
        """Publish as tasks/uplink does, then two more at once; -> (seqs refused, how many of the two went)."""
        bad = []

        async def job(cloud):
            todo = list(records)
            while todo:
                try:
                    taken = await cloud.publish(todo)
                except base.RecordRefused:
                    bad.append(todo[0][0])
                    taken = 1
                del todo[:taken]
            return await cloud.publish(temps(90, 2))

        return bad, self.play([AUTH] + script, job)

    def test_a_refused_batch_goes_one_by_one_and_the_bad_record_is_found(self):
        script = [refused(0x80), Answer(), refused(0x80, "bad"), Answer(), Answer()]
        self.assertEqual(self.drain(script, temps(1, 3)), ([2], 2))
        self.assertEqual(Client.asked[1:], ["msg/d2c/bulk", "msg/d2c", "msg/d2c", "msg/d2c", "msg/d2c/bulk"])

    def test_a_service_that_takes_no_batches_gets_no_more_of_them(self):
        script = [refused(0x8F), Answer(), Answer(), Answer(), Answer()]
        self.assertEqual(self.drain(script[:4], temps(1, 2)), ([], 1))
        self.assertEqual(Client.asked[1:], ["msg/d2c/bulk", "msg/d2c", "msg/d2c", "msg/d2c"])

    def test_a_record_that_will_never_be_taken_is_told_from_a_used_up_plan(self):
        async def job(cloud):
            await cloud.publish([(1, 0, "temp", 1)])

        with self.assertRaises(base.RecordRefused):
            self.play([AUTH, refused(0x80, "bad")], job)
        for records in (temps(1, 1), temps(1, 4)):

            async def several(cloud, records=records):
                await cloud.publish(records)

            with self.assertRaises(coap.Refused):
                self.play([AUTH, refused(0x80, '{"code":40005}')], several)

    def test_a_batch_that_is_not_answered_is_made_smaller(self):
        async def job(cloud):
            return await cloud.publish(temps(1, 60)), await cloud.publish(temps(1, 60))

        taken = self.play([AUTH, coap.Timeout("no answer"), Answer(), Answer(), Answer()], job)
        sizes = [len(how["payload"]) for path, how in Client.calls[1:] if path != "ping"]
        self.assertEqual(Client.asked[1:], ["msg/d2c/bulk", "ping", "msg/d2c/bulk", "msg/d2c/bulk"])
        self.assertTrue(sizes[0] > 512 >= sizes[1] == sizes[2], sizes)
        self.assertEqual(taken[0], taken[1])

    def test_log_lines_that_are_not_answered_are_sent_in_smaller_messages(self):
        async def job(cloud):
            await cloud.logs([(i, None, 1, "link", "x" * 80) for i in range(6)])

        self.play([AUTH, coap.Timeout("no answer")] + [Answer()] * 3, job)
        bodies = [how["payload"] for path, how in Client.calls[1:] if path != "ping"]
        self.assertEqual([len(json.loads(body)) for body in bodies], [6, 3, 3])
        self.assertEqual(Client.asked[1:], ["msg/d2c/bulk", "ping", "msg/d2c/bulk", "msg/d2c/bulk"])

    def test_one_record_or_a_dead_link_is_the_links_fault(self):
        for script, count in (([coap.Timeout("no answer")], 1), ([coap.Timeout("no answer")] * 2, 60)):

            async def job(cloud, count=count):
                await cloud.publish(temps(1, count))

            with self.assertRaises(coap.Timeout):
                self.play([AUTH] + script, job)

    def test_non_confirmable_first_then_confirmable(self):
        async def job(cloud):
            await cloud.publish(temps(1, 1))
            await cloud.publish(temps(2, 1))

        self.play([AUTH, Answer(), coap.Timeout("no answer"), Answer()], job, confirmable=False)
        kinds = [how.get("confirmable", True) for path, how in Client.calls[1:]]
        self.assertEqual(kinds, [False, False, True])


class Others(SessionTest):
    def test_topics(self):
        async def job(cloud):
            await cloud.send("142894b4-6992-4ec2-b9a4-7db749cadcdb", b"{}")
            await cloud.send("d2c/raw", b"\xff\xaa\x00\xbb", 42)

        self.play([AUTH, Answer(), Answer()], job)
        self.assertEqual(Client.asked[1:], ["msg/142894b4-6992-4ec2-b9a4-7db749cadcdb", "msg/d2c/raw"])
        self.assertEqual([how["content_format"] for _, how in Client.calls[1:]], [50, 42])

    def test_the_header_of_a_dictionary_log(self):  # 6.4, the seed's sample
        async def job(cloud):
            await cloud.send_bin(b"hello world", 1720748923421, 1, 0)

        self.play([AUTH, Answer()], job)
        path, sent = Client.calls[1]
        self.assertEqual((path, sent["content_format"]), ("msg/d2c/bin", 42))
        self.assertEqual(sent["payload"], a2b_base64("blJGQwAAAAAd2qCkkAEAAAEAAABoZWxsbyB3b3JsZA=="))

    def test_log_lines_fill_datagrams(self):
        entries = [(seq, 1631470795000, 2, "link", "word " * 20) for seq in range(12)]

        async def job(cloud):
            await cloud.logs(entries)
            await cloud.logs([])

        self.play([AUTH, Answer(), Answer(), Answer()], job)
        seen = []
        for path, sent in Client.calls[1:]:
            self.assertEqual((path, sent["content_format"]), ("msg/d2c/bulk", 50))
            self.assertTrue(len(sent["payload"]) <= 1024)
            seen.extend(json.loads(sent["payload"]))
        self.assertEqual(len(seen), 12)
        self.assertEqual(seen[0]["msg"], "word " * 20)


if __name__ == "__main__":
    unittest.main()
