"""firmware/config: defaults, schema, last known good, and what the cloud may change."""

import os
import unittest

import log
import schema
import store
from config import Config
from harness import scratch
from schema import SCHEMA, ConfigError, check

GOOD = {"device_id": "node-1", "port": 15684, "sample_interval_s": 60}

REFUSED = (
    ("port", 0),
    ("port", 65536),
    ("port", "5684"),
    ("port", True),
    ("port", None),
    ("port", 5684.0),
    ("host", ""),
    ("host", "h" * 129),
    ("host", 7),
    ("dtls", "none"),
    ("backend", "elsewhere"),
    ("alerts", 1),
    ("sample_interval_s", 9),
    ("no_such_thing", 1),
)


class Check(unittest.TestCase):
    def test_every_default_fits_its_own_rule(self):
        for key, rule in SCHEMA.items():
            if key != "device_id":
                self.assertEqual(check(key, rule[3]), rule[3])

    def test_refuses_with_the_key_in_the_text(self):
        for key, value in REFUSED:
            with self.subTest(key=key, value=value):
                try:
                    check(key, value)
                except ConfigError as problem:
                    self.assertTrue(str(problem).startswith(key + ":"))
                else:
                    self.fail("%s=%r accepted" % (key, value))


class OnFlash(unittest.TestCase):
    def setUp(self):
        self.root = scratch.make()
        os.mkdir(self.root + "/data")
        log.level = 0

    def tearDown(self):
        log.level = log.INFO
        scratch.remove(self.root)

    def put(self, name, value):
        if isinstance(value, bytes):
            store.write_bytes(self.root + "/data/" + name, value)
        else:
            store.write_json(self.root + "/data/" + name, value)

    def test_values_over_defaults(self):
        self.put("config.json", GOOD)
        settings = Config(self.root)
        self.assertEqual(settings["port"], 15684)
        self.assertEqual(settings["host"], "coap.nrfcloud.com")

    def test_defaults_when_there_is_nothing(self):
        settings = Config(self.root)
        self.assertEqual(settings["port"], 5684)
        self.assertEqual(settings["device_id"], "")
        self.assertEqual(settings.secrets(), {})

    def test_a_broken_file_falls_back_to_the_last_good_one(self):
        self.put("config.json", GOOD)
        Config(self.root).proven()
        for broken in (b"", b"{", b"[]", b"\xff\xfe", b'{"device_id": "x", "port": 0}', b'{"port": 1}', b"[" * 4000):
            with self.subTest(broken=broken[:8]):
                self.put("config.json", broken)
                self.assertEqual(Config(self.root)["port"], 15684)

    def test_unproven_settings_do_not_become_the_good_ones(self):
        self.put("config.json", GOOD)
        Config(self.root).proven()
        self.put("config.json", {"device_id": "node-1", "port": 1})
        Config(self.root)
        self.put("config.json", b"broken")
        self.assertEqual(Config(self.root)["port"], 15684)

    def test_apply_keeps_what_is_accepted_and_says_what_holds_instead(self):
        self.put("config.json", GOOD)
        settings = Config(self.root)
        accepted, refused = settings.apply(
            {"sample_interval_s": 120, "uplink_interval_s": "often", "port": 1, "mystery": 2}
        )
        self.assertEqual(accepted, {"sample_interval_s": 120})
        self.assertEqual(refused, {"uplink_interval_s": 3600, "port": None, "mystery": None})
        again = Config(self.root)
        self.assertEqual(again["sample_interval_s"], 120)
        self.assertEqual(again["port"], 15684)

    def test_what_flash_does_not_take_is_refused(self):
        self.put("config.json", GOOD)
        settings = Config(self.root)

        def full(path, obj):
            raise OSError(28)

        real, schema.store.write_json = schema.store.write_json, full
        try:
            accepted, refused = settings.apply({"sample_interval_s": 120})
        finally:
            schema.store.write_json = real
        self.assertEqual((accepted, refused), ({}, {"sample_interval_s": 60}))
        self.assertEqual(settings["sample_interval_s"], 60)

    def test_half_a_document_is_not_a_document(self):
        self.put("config.json", GOOD)
        Config(self.root).proven()
        self.put("config.json", b'{"port": 15685, "device_id": "node-1"')  # MicroPython's json takes it
        self.assertEqual(Config(self.root)["port"], 15684)

    def test_remote_lists_exactly_what_the_cloud_may_change(self):
        remote = Config(self.root).remote()
        self.assertTrue("sample_interval_s" in remote)
        self.assertTrue("port" not in remote and "device_id" not in remote)


if __name__ == "__main__":
    unittest.main()
