"""Device shadow arithmetic: desired, reported and the difference between them. Pure: dicts in, dicts out.

Merging is RFC 7396 (null deletes), deltas are as AWS and nRF Cloud compute them (nrfcloud.md 7), pointers are RFC
6901. Called by the shadow task and the cloud backends. Documents come from outside: nesting beyond 8 levels is a
ShadowError, checked before anything changes. Owns no RAM.
"""

from collections import namedtuple

from micropython import const

_MAX_DEPTH = const(8)  # objects and arrays within each other; nRF Cloud's own shadow uses 5
_MAX_LOG_LEVEL = const(4)

# What the cloud wants echoed and the node itself never reads (nrfcloud.md 7.6 step 1).
_ECHO = ("pairing", "nrfcloud_mqtt_topic_prefix")

# A delta by who answers it: `echo` is a dict to report unchanged, `control` the value of that section (None when
# absent), `app` a dict of the rest.
Parts = namedtuple("Parts", ("echo", "control", "app"))


class ShadowError(ValueError):
    """A document or pointer that no shadow can have."""


def check(document):
    """-> `document` when it is an object of at most 8 levels, else ShadowError. The others here call it themselves."""
    if not isinstance(document, dict):
        raise ShadowError("not an object")
    _check_depth(document, _MAX_DEPTH)
    return document


def _check_depth(value, depth):
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return
    if not depth:
        raise ShadowError("nested too deeply")
    for item in value:
        _check_depth(item, depth - 1)


def merge(target, patch):
    """Apply `patch` to the dict `target` in place, recursively; null deletes, arrays are replaced. -> `target`.

    Objects inside `patch` are copied, so that a later merge into `target` does not change it.
    """
    _merge(target, check(patch))
    return target


def _merge(target, patch):
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            inner = target.get(key)
            if not isinstance(inner, dict):
                inner = target[key] = {}
            _merge(inner, value)
        else:
            target[key] = value


def delta(desired, reported):
    """-> what of `desired` is missing in or differs from `reported`, as a new dict ({} when nothing does).

    Arrays are compared whole; what only `reported` has never appears; an empty object has no leaf, so it is no
    difference.
    """
    return _delta(check(desired), check(reported))


def _delta(desired, reported):
    out = {}
    for key, want in desired.items():
        have = reported.get(key) if isinstance(reported, dict) else None
        if isinstance(want, dict):
            inner = _delta(want, have)
            if inner:
                out[key] = inner
        elif not isinstance(reported, dict) or key not in reported or not same(want, have):
            out[key] = want
    return out


def same(a, b):
    """Whether two JSON values are equal; unlike Python's == it tells true from 1 and false from 0."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return len(a) == len(b) and all(key in b and same(a[key], b[key]) for key in a)
    return a == b


def get(document, pointer, default=None):
    """-> the value at the JSON pointer `pointer` ("/config/interval", "" is all), or `default`.

    Raises ShadowError for a pointer that does not begin with a slash.
    """
    if not pointer:
        return document
    if pointer[0] != "/":
        raise ShadowError("a pointer begins with /")
    for step in pointer[1:].split("/"):
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict) and step in document:
            document = document[step]
        elif isinstance(document, list) and _is_index(step) and int(step) < len(document):
            document = document[int(step)]
        else:
            return default
    return document


def _is_index(step):
    """Whether `step` is an array index of RFC 6901: digits, no leading zero."""
    return step == "0" or (0 < len(step) < 6 and step.isdigit() and step[0] != "0")


def split_delta(document):
    """-> Parts of a delta; of an empty one, which may be None too, Parts({}, None, {})."""
    echo = {}
    app = {}
    control = None
    for key, value in check(document or {}).items():
        if key in _ECHO:
            echo[key] = value
        elif key == "control":
            control = value
        else:
            app[key] = value
    return Parts(echo, control, app)


def check_control(control, current):
    """Judge the `control` section of a delta against `current`, the settings in use.

    -> (accepted, refused). `accepted` is the complete settings {"alertsEn": bool, "logLvl": 0..4} to use from now on
    and to PATCH into reported.control, or None. `refused` is to be PATCHed into desired.control, or None: our own
    settings instead of invalid ones, null for members that nobody here knows. Both can be given at once. A delta
    without an answer would come back on every poll (nrfcloud.md 7.5, 7.6).
    """
    accepted = {"alertsEn": current["alertsEn"], "logLvl": current["logLvl"]}
    refused = {}
    if not isinstance(control, dict):
        return None, accepted
    for key, value in control.items():
        if key in accepted:
            accepted[key] = value
        else:
            refused[key] = None
    if not _valid(accepted):
        refused["alertsEn"] = current["alertsEn"]
        refused["logLvl"] = current["logLvl"]
        return None, refused
    return accepted, refused or None


def _valid(control):
    level = control["logLvl"]
    if not isinstance(control["alertsEn"], bool) or isinstance(level, bool) or not isinstance(level, int):
        return False
    return 0 <= level <= _MAX_LOG_LEVEL
