"""Shadow arithmetic: RFC 7396's and RFC 6901's own examples, AWS-style deltas, and the control section."""

import json
import unittest

import shadow
from harness.rng import Rng, seed


def _copy(value):
    return json.loads(json.dumps(value))


def _nested(levels):
    value = 1
    for _ in range(levels):
        value = {"a": value}
    return value


# RFC 7396 Appendix A, the rows whose original and patch are objects (a shadow is nothing else).
_MERGE = (
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}),
    ({"a": {"b": 2}}, {}, {"a": {"b": 2}}),
)


class Merge(unittest.TestCase):
    def test_rfc_7396(self):
        for target, patch, want in _MERGE:
            with self.subTest(target=target, patch=patch):
                target = _copy(target)
                self.assertTrue(shadow.merge(target, patch) is target)
                self.assertEqual(target, want)

    def test_patch_is_not_shared(self):
        patch = {"a": {"b": 1}}
        target = shadow.merge({}, patch)
        shadow.merge(target, {"a": {"b": 2}})
        self.assertEqual(patch, {"a": {"b": 1}})

    def test_refused_before_anything_changes(self):
        target = {"a": 1}
        for bad in (None, 1, "x", [1], {"a": 2, "b": _nested(8)}, {"a": 2, "b": [[[[[[[[1]]]]]]]]}):
            self.assertRaises(shadow.ShadowError, shadow.merge, target, bad)
        self.assertEqual(target, {"a": 1})
        shadow.merge(target, _nested(8))
        self.assertTrue(issubclass(shadow.ShadowError, ValueError))


_DELTA = (
    ({}, {}, {}),
    ({}, {"a": 1}, {}),
    ({"a": 1}, {}, {"a": 1}),
    ({"a": 1}, {"a": 1}, {}),
    ({"a": 1}, {"a": 2}, {"a": 1}),
    ({"a": 1}, {"a": 1.0}, {}),
    ({"a": True}, {"a": 1}, {"a": True}),
    ({"a": 0}, {"a": False}, {"a": 0}),
    ({"a": [True]}, {"a": [1]}, {"a": [True]}),
    ({"a": "1"}, {"a": 1}, {"a": "1"}),
    ({"a": [1, 2]}, {"a": [1, 3]}, {"a": [1, 2]}),
    ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}, {}),
    ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2, "c": 3}]}, {"a": [1, {"b": 2}]}),
    ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3, "d": 4}}, {"a": {"c": 2}}),
    ({"a": {"b": 1}}, {"a": 5}, {"a": {"b": 1}}),
    ({"a": 5}, {"a": {"b": 1}}, {"a": 5}),
    ({"a": {}}, {}, {}),
    ({"a": {"b": {}}, "c": 1}, {}, {"c": 1}),
    ({"a": None}, {}, {"a": None}),
)


class Delta(unittest.TestCase):
    def test_table(self):
        for desired, reported, want in _DELTA:
            with self.subTest(desired=desired, reported=reported):
                self.assertEqual(shadow.delta(desired, reported), want)
                self.assertTrue(shadow.same(shadow.delta(desired, reported), want))

    def test_acknowledging_a_delta_empties_it(self):
        """Whatever differs: reporting the delta leaves none, and so does desiring what is reported."""
        rng = Rng(seed(3))
        for _ in range(300):
            desired, reported = _document(rng, 3), _document(rng, 3)
            difference = shadow.delta(desired, reported)
            self.assertEqual(shadow.delta(desired, shadow.merge(reported, difference)), {})
            self.assertEqual(shadow.delta(reported, reported), {})

    def test_refused(self):
        for desired, reported in ((None, {}), ({}, []), (_nested(9), {}), ({}, _nested(9))):
            self.assertRaises(shadow.ShadowError, shadow.delta, desired, reported)


def _document(rng, depth):
    out = {}
    for _ in range(rng.below(4)):
        kind = rng.below(3)
        if kind == 0 and depth:
            value = _document(rng, depth - 1)
        elif kind == 1:
            value = [rng.below(2) for _ in range(rng.below(3))]
        else:
            value = rng.choice((0, 1, True, False, "x", 1.5))
        out[rng.choice("abc")] = value
    return out


# RFC 6901 section 5
_DOCUMENT = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}


class Pointer(unittest.TestCase):
    def test_rfc_6901(self):
        for pointer, want in (
            ("", _DOCUMENT),
            ("/foo", ["bar", "baz"]),
            ("/foo/0", "bar"),
            ("/", 0),
            ("/a~1b", 1),
            ("/c%d", 2),
            ("/e^f", 3),
            ("/g|h", 4),
            ("/i\\j", 5),
            ('/k"l', 6),
            ("/ ", 7),
            ("/m~0n", 8),
        ):
            with self.subTest(pointer=pointer):
                self.assertEqual(shadow.get(_DOCUMENT, pointer), want)

    def test_missing(self):
        for pointer in ("/x", "/foo/2", "/foo/-", "/foo/01", "/foo/-1", "/foo/ 1", "/foo/9999999", "/foo/0/x", "/ /0"):
            with self.subTest(pointer=pointer):
                self.assertIsNone(shadow.get(_DOCUMENT, pointer))
                self.assertEqual(shadow.get(_DOCUMENT, pointer, 5), 5)
        self.assertEqual(shadow.get({"~1": 1}, "/~01"), 1)
        self.assertRaises(shadow.ShadowError, shadow.get, _DOCUMENT, "foo")


class Split(unittest.TestCase):
    def test_first_contact(self):
        """nrfcloud.md 7.1 and 7.6: everything a fresh device is told."""
        pairing = {"state": "paired", "topics": {"d2c": "prod/t/m/d/x/d2c", "c2d": "prod/t/m/d/x/c2d"}}
        parts = shadow.split_delta(
            {
                "pairing": pairing,
                "nrfcloud_mqtt_topic_prefix": "prod/t/",
                "control": {"logLvl": 3},
                "config": {"x": 1},
                "mine": [1],
            }
        )
        self.assertEqual(parts.echo, {"pairing": pairing, "nrfcloud_mqtt_topic_prefix": "prod/t/"})
        self.assertEqual(parts.control, {"logLvl": 3})
        self.assertEqual(parts.app, {"config": {"x": 1}, "mine": [1]})

    def test_empty(self):
        for nothing in ({}, None):
            self.assertEqual(tuple(shadow.split_delta(nothing)), ({}, None, {}))

    def test_refused(self):
        for bad in ([1], 7, "x", {"config": _nested(8)}):
            self.assertRaises(shadow.ShadowError, shadow.split_delta, bad)


_NOW = {"alertsEn": True, "logLvl": 1}
_CONTROL = (
    # control section of the delta, what to report, what to put into desired
    ({"logLvl": 3}, {"alertsEn": True, "logLvl": 3}, None),
    ({"alertsEn": False}, {"alertsEn": False, "logLvl": 1}, None),
    ({"alertsEn": False, "logLvl": 0}, {"alertsEn": False, "logLvl": 0}, None),
    ({"logLvl": 4}, {"alertsEn": True, "logLvl": 4}, None),
    ({"logLvl": 5}, None, _NOW),
    ({"logLvl": -1}, None, _NOW),
    ({"logLvl": True}, None, _NOW),
    ({"logLvl": "3"}, None, _NOW),
    ({"logLvl": 2.0}, None, _NOW),
    ({"logLvl": [1]}, None, _NOW),
    ({"alertsEn": 1}, None, _NOW),
    ({"alertsEn": "true"}, None, _NOW),
    ({"alertsEn": None}, None, _NOW),
    ({"alertsEn": False, "logLvl": 9}, None, _NOW),
    ({}, _NOW, None),
    ({"colour": 1}, _NOW, {"colour": None}),
    ({"colour": 1, "logLvl": 2}, {"alertsEn": True, "logLvl": 2}, {"colour": None}),
    ({"colour": 1, "logLvl": 7}, None, {"alertsEn": True, "logLvl": 1, "colour": None}),
    (5, None, _NOW),
    ([], None, _NOW),
)


class Control(unittest.TestCase):
    def test_table(self):
        for control, accepted, refused in _CONTROL:
            with self.subTest(control=control):
                current = dict(_NOW)
                answer = shadow.check_control(control, current)
                self.assertTrue(shadow.same(list(answer), [accepted, refused]), str(answer))
                self.assertEqual(current, _NOW)

    def test_the_answer_ends_the_delta(self):
        for control, _, _ in _CONTROL:
            with self.subTest(control=control):
                if isinstance(control, dict) and None in control.values():
                    continue  # a null in desired deletes; it never comes back in a delta
                desired = {"control": control}
                reported = {"control": dict(_NOW)}
                accepted, refused = shadow.check_control(control, _NOW)
                if accepted is not None:
                    shadow.merge(reported, {"control": accepted})
                if refused is not None:
                    shadow.merge(desired, {"control": refused})
                self.assertEqual(shadow.delta(desired, reported), {})


if __name__ == "__main__":
    unittest.main()
