"""firmware/tasks/shadow.py against a cloud that keeps a shadow: what is reported, and how each wish is answered."""

import unittest

import coap
import log
import shadow
import store
from cloud.base import CONFIG, PUBLISH
from harness import scratch
from harness.aio import run
from harness.node_kit import Answer
from records import Records
from state import State
from tasks.shadow import Shadow

PREFIX = "prod/t/"
PAIRING = {"state": "paired", "topics": {"d2c": "a", "c2d": "b"}}


class Cloud:
    """Desired and reported, merged as the service merges them; a delta may come in parts of one member."""

    caps = (CONFIG,)

    def __init__(self, desired=None, parts=False):
        self.desired = desired or {}
        self.reported = {}
        self.patches = []
        self.parts = parts
        self.fetched = 0

    async def report(self, changes):
        self.patches.append(("reported", changes))
        shadow.merge(self.reported, changes)

    async def request_desired(self, changes):
        self.patches.append(("desired", changes))
        shadow.merge(self.desired, changes)

    async def fetch_config(self):
        self.fetched += 1
        delta = shadow.delta(self.desired, self.reported)
        if self.parts and delta:
            key = sorted(delta)[0]
            return {key: delta[key]}
        return delta or None


class Config(dict):
    folder = "/nowhere"

    def __init__(self):
        super().__init__()
        self.update({"shadow_interval_s": 7200, "sample_interval_s": 900})
        self.kept = {}

    def remote(self):
        return {"sample_interval_s": self["sample_interval_s"]}

    def keep(self, changes):
        self.kept.update(changes)

    def apply(self, changes):
        accepted, refused = {}, {}
        for key, value in changes.items():
            if key != "sample_interval_s":
                refused[key] = None
            elif isinstance(value, int) and value >= 10:
                accepted[key] = self[key] = value
            else:
                refused[key] = self[key]
        return accepted, refused


class Journal:
    pending = 0

    def __init__(self):
        self.count = 0

    def append(self, payload):
        self.count += 1


class ShadowTask(unittest.TestCase):
    def setUp(self):
        log.level = 0
        self.state = State()
        self.state.control = {"alertsEn": True, "logLvl": 1}
        self.state.identity = {"firmware": "mfw_nrf91x1_2.0.2", "imei": "352656100000001", "iccid": "89", "imsi": "26"}
        self.state.registration = {"rat": "ltem", "tac": 23056, "eci": 27440068}
        self.config = Config()
        self.journal = Journal()
        self.records = Records(self.journal, self.state, 16)

    def tearDown(self):
        log.level = log.INFO
        log.sent = 0

    def visit(self, cloud, fault=None):
        about = {"appVersion": "1.0.0", "appName": "godwit", "board": "unix"}
        return run(Shadow(self.state, self.config, cloud, self.records, about, fault).visit())

    def test_introduces_itself_once_a_boot(self):  # nrfcloud.md 7.7
        cloud = Cloud()
        self.assertEqual(self.visit(cloud), 7200)
        self.assertEqual([list(changes) for _, changes in cloud.patches], [["control"], ["device"], ["config"]])
        device = cloud.reported["device"]
        self.assertEqual(device["deviceInfo"]["appVersion"], "1.0.0")
        self.assertEqual(device["serviceInfo"]["fota_v2"], ["APP"])
        self.assertEqual(device["networkInfo"]["cellID"], 27440068)
        self.assertTrue(self.state.reported.is_set())
        self.assertEqual(self.journal.count, 1)  # the alert that it is online
        self.visit(cloud)
        self.assertEqual(len(cloud.patches), 3)
        self.assertEqual(self.journal.count, 1)

    def test_a_cloud_without_settings_knows_the_version_by_its_session(self):  # ThingsBoard, Exosite: plain.py
        class Plain:
            caps = (PUBLISH,)

        self.assertEqual(self.visit(Plain()), 7200)
        self.assertTrue(self.state.reported.is_set())
        self.assertEqual(self.journal.count, 0)

    def test_a_start_that_went_wrong_is_an_alert(self):
        self.visit(Cloud(), "manifest damaged")
        self.assertEqual(self.journal.count, 2)

    def test_what_changes_is_reported_and_nothing_else(self):
        cloud = Cloud()
        self.visit(cloud)
        self.state.registration = {"rat": "nbiot", "tac": 23056, "eci": 4}
        self.state.cell = {"mcc": 262, "mnc": 1}
        self.visit(cloud)
        wanted = {"areaCode": 23056, "cellID": 4, "networkMode": "NB-IoT", "mccmnc": "26201"}
        self.assertEqual(cloud.patches[3:], [("reported", {"device": {"networkInfo": wanted}})])

    def test_how_recovery_went_is_a_section_of_its_own_and_told_once(self):
        root = scratch.make()
        try:
            self.config.folder = root
            run_of = {"counts": [0, 2, 1, 0, 0, 0, 0, 0], "level": 0, "costly": 0, "boots": 0, "starts": 0}
            store.write_json(root + "/ladder.json", dict(run_of, error="Timeout", open=False))
            cloud = Cloud()
            self.visit(cloud)
            wanted = {"sockets": 2, "bearer": 1, "error": "Timeout"}
            self.assertEqual(cloud.patches[3:], [("reported", {"recovery": wanted})])
            self.visit(cloud)
            self.assertEqual(len(cloud.patches), 4)
            run_of["counts"][5] = 1
            store.write_json(root + "/ladder.json", dict(run_of, error="OSError", open=True))
            self.visit(cloud)
            wanted = {"sockets": 2, "bearer": 1, "reset_pin": 1, "error": "OSError"}
            self.assertEqual(cloud.patches[4:], [("reported", {"recovery": wanted})])
        finally:
            scratch.remove(root)

    def test_a_cloud_that_does_not_take_it_is_not_asked_again(self):
        root = scratch.make()
        try:
            self.config.folder = root
            ladder = {"counts": [1] * 8, "level": 0, "costly": 0, "boots": 0, "starts": 0, "error": "x", "open": False}
            store.write_json(root + "/ladder.json", ladder)
            cloud = Cloud()
            report, tries = cloud.report, []

            async def refuse(changes):
                if "recovery" in changes:
                    tries.append(1)
                    raise coap.Refused(Answer(0x80, b"no such key"))
                await report(changes)

            cloud.report = refuse
            for _ in range(2):
                self.assertEqual(self.visit(cloud), 7200)
            self.assertEqual(tries, [1])
            self.assertTrue(self.state.reported.is_set())
        finally:
            scratch.remove(root)

    def test_pairing_is_echoed(self):  # 7.6
        cloud = Cloud({"pairing": PAIRING, "nrfcloud_mqtt_topic_prefix": PREFIX})
        self.visit(cloud)
        self.assertEqual(cloud.reported["pairing"], PAIRING)
        self.assertEqual(cloud.reported["nrfcloud_mqtt_topic_prefix"], PREFIX)
        self.assertEqual(cloud.fetched, 2)

    def test_control_is_applied_kept_and_reported(self):
        cloud = Cloud({"control": {"alertsEn": False, "logLvl": 3}})
        self.visit(cloud)
        self.assertEqual(cloud.reported["control"], {"alertsEn": False, "logLvl": 3})
        self.assertEqual(self.state.control, {"alertsEn": False, "logLvl": 3})
        self.assertEqual(log.sent, 3)
        self.assertEqual(self.config.kept, {"alerts": False, "log_upload": 3})

    def test_invalid_control_is_answered_through_desired(self):  # NCS#14526
        cloud = Cloud({"control": {"logLvl": 9}})
        self.visit(cloud)
        self.assertEqual(cloud.desired["control"], {"alertsEn": True, "logLvl": 1})
        self.assertEqual(shadow.delta(cloud.desired, cloud.reported), {})

    def test_settings_are_applied_or_refused_one_by_one(self):
        cloud = Cloud({"config": {"sample_interval_s": 300, "colour": "red"}})
        self.visit(cloud)
        self.assertEqual(cloud.reported["config"]["sample_interval_s"], 300)
        self.assertEqual(cloud.desired["config"], {"sample_interval_s": 300})
        cloud = Cloud({"config": {"sample_interval_s": -1}})
        self.visit(cloud)
        self.assertEqual(cloud.desired["config"], {"sample_interval_s": 300})

    def test_a_command_is_acknowledged_as_it_came(self):  # 7.7
        cloud = Cloud({"command": [1, 4711]})
        self.visit(cloud)
        self.assertEqual(cloud.reported["command"], [1, 4711])
        self.assertTrue(self.state.provision.is_set())

    def test_what_nobody_knows_is_deleted_from_desired(self):
        for wish in ({"x": 1}, {"command": [99, 1]}, {"command": "now"}, {"config": 7}):
            with self.subTest(wish=wish):
                cloud = Cloud(dict(wish))
                self.visit(cloud)
                self.assertEqual(cloud.desired, {})

    def test_a_delta_in_parts_is_settled_part_by_part(self):
        cloud = Cloud(
            {"pairing": PAIRING, "control": {"logLvl": 2}, "config": {"sample_interval_s": 60}, "x": 1}, parts=True
        )
        self.visit(cloud)
        self.assertEqual(shadow.delta(cloud.desired, cloud.reported), {})
        self.assertEqual(cloud.fetched, 5)

    def test_a_part_that_cannot_be_had_is_refused(self):
        for wish, wanted in (
            ({"x": None}, {}),
            ({"control": None}, {"control": {"alertsEn": True, "logLvl": 1}}),
            ({"config": {"colour": None}}, {}),
        ):
            with self.subTest(wish=wish):
                cloud = Cloud()
                deltas = [wish, None]

                async def fetch_config(deltas=deltas):
                    return deltas.pop(0)

                cloud.fetch_config = fetch_config
                self.visit(cloud)
                self.assertEqual(cloud.patches[-1][0], "desired")
                self.assertEqual({k: v for k, v in cloud.desired.items() if v}, wanted)
                self.state = State()
                self.setUp()

    def test_a_cloud_that_does_not_settle_is_not_asked_for_ever(self):
        cloud = Cloud()

        async def fetch_config():
            cloud.fetched += 1
            return {"x": 1}

        cloud.fetch_config = fetch_config
        self.visit(cloud)
        self.assertEqual(cloud.fetched, 2)


if __name__ == "__main__":
    unittest.main()
