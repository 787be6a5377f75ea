"""lib/cloud/nrfcloud/state.py: the shadow over CoAP (nrfcloud.md 7), and one that is larger than the buffer."""

import unittest
from binascii import unhexlify

import cbor
import coap
from cloud.base import CloudError
from harness.fakecoap import Answer, Client, SessionTest, refused

AUTH = Answer(max_age=3600)
LARGE = coap.BadResponse("body longer than 2048 bytes")


class State(SessionTest):
    def fetch(self, *script, **how):
        async def job(cloud):
            return await cloud.fetch_config(**how)

        return self.play((AUTH,) + script, job)

    def asked(self):
        return [(path, how.get("query", ())) for path, how in Client.calls[1:]]

    def test_patches_are_cbor_and_null_deletes(self):  # 5.6
        async def job(cloud):
            await cloud.report({"Light-2": "Off"})
            await cloud.request_desired({"config": None})

        self.play([AUTH, Answer(), Answer()], job)
        self.assertEqual(Client.asked[1:], ["state/reported", "state/desired"])
        bodies = [(how["payload"], how["content_format"]) for _, how in Client.calls[1:]]
        wanted = [(unhexlify("a1674c696768742d32634f6666"), 60), (unhexlify("a166636f6e666967f6"), 60)]
        self.assertEqual(bodies, wanted)

    def test_the_delta_is_unwrapped_and_may_be_empty(self):  # 7.2
        self.assertEqual(self.fetch(Answer(cbor.dumps({"config": {"x": 1}}))), {"config": {"x": 1}})
        for nothing in (b"", b"\xa0", bytes(40)):
            self.assertIsNone(self.fetch(Answer(nothing)))

    def test_all_that_is_desired(self):
        self.fetch(Answer(b"\xa0"), delta=False)
        self.assertEqual(self.asked(), [("state", ("delta=false",))])

    def test_what_is_no_shadow(self):
        for wrong in (b"\x01", b"\x80", b"\x61x"):
            with self.assertRaises(CloudError):
                self.fetch(Answer(wrong))
        with self.assertRaises(ValueError):
            self.fetch(Answer(b"\xa1"))

    def test_a_delta_that_does_not_fit_comes_in_parts(self):
        found = self.fetch(LARGE, Answer(b'["control", "config"]'), Answer(cbor.dumps({"logLvl": 2})))
        self.assertEqual(found, {"control": {"logLvl": 2}})
        self.assertEqual(
            self.asked(), [("state", ()), ("state", ("transform=$keys(state.delta)",)), ("state/delta/control", ())]
        )

    def test_a_service_that_does_not_show_the_delta_by_path(self):
        found = self.fetch(LARGE, Answer(b'"a/b~c"'), Answer(), Answer(b"\x07"))
        self.assertEqual(found, {"a/b~c": 7})
        self.assertEqual(Client.asked[3:], ["state/delta/a~1b~0c", "state/desired/a~1b~0c"])

    def test_a_service_that_cannot_list_it(self):
        for answer in (refused(0x80), Answer(b"\xff"), LARGE):
            with self.subTest(answer=answer):
                Client.calls = []
                found = self.fetch(LARGE, answer, Answer(), Answer(), Answer(b"\xa0"))
                self.assertEqual(found, {"config": {}})
                self.assertEqual(Client.calls[5][0], "state/delta/config")

    def test_a_part_that_does_not_fit_is_divided_again(self):
        found = self.fetch(
            LARGE, Answer(b'["config"]'), LARGE, Answer(b'["x", "y"]'), Answer(b"\x01")
        )
        self.assertEqual(found, {"config": {"x": 1}})
        listing = ("state", ("transform=$keys(state.delta.`config`)",))
        self.assertEqual(self.asked()[3:], [listing, ("state/delta/config/x", ())])

    def test_what_cannot_be_divided_is_there_but_not_to_be_had(self):
        found = self.fetch(LARGE, Answer(b'"text"'), LARGE, Answer())
        self.assertEqual(found, {"text": None})
        deep = [LARGE]
        for _ in range(4):
            deep += [Answer(b'"k"'), LARGE]
        self.assertEqual(self.fetch(*deep), {"k": {"k": {"k": {"k": None}}}})

    def test_by_path_and_by_expression(self):  # 7.3, 7.2
        async def job(cloud):
            data = await cloud.read("desired/sensor/switch", 42)
            gone = await cloud.read("desired/nothing")
            return data, gone, await cloud.select("state.desired"), await cloud.select("x")

        found = self.play([AUTH, Answer(b"on"), Answer(), Answer(b'{"a": 1}'), Answer()], job)
        self.assertEqual(found, (b"on", b"", {"a": 1}, None))
        self.assertEqual(self.asked()[2], ("state", ("transform=state.desired",)))

        async def wrong(cloud):
            await cloud.select("x")

        for answer in (Answer(b"nonsense"), LARGE):
            with self.assertRaises(CloudError):
                self.play([AUTH, answer], wrong)
        with self.assertRaises(coap.Refused):
            self.play([AUTH, refused(0x80)], wrong)


if __name__ == "__main__":
    unittest.main()
