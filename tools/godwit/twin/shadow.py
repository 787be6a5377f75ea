"""Device shadow arithmetic: merge with nulls, metadata, delta, JSON pointer.

Semantics of the AWS-style document that nRF Cloud keeps (facts 7.1-7.5): objects merge, arrays and
scalars replace, null deletes; the delta holds every desired leaf that reported lacks or has otherwise.
Pure functions on JSON values; called by state.py and rest_devices.py.
"""

_MISSING = object()


def merge(document, patch):
    """`document` with `patch` merged in (a new object; neither argument changes)."""
    result = dict(document)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            old = result.get(key)
            result[key] = merge(old if isinstance(old, dict) else {}, value)
        else:
            result[key] = value
    return result


def merge_meta(meta, patch, timestamp):
    """Metadata tree after `patch`: {"timestamp": s} at each leaf that was set, gone where it was deleted."""
    result = dict(meta)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            old = result.get(key)
            result[key] = merge_meta(old if isinstance(old, dict) and "timestamp" not in old else {}, value, timestamp)
        else:
            result[key] = _stamp(value, timestamp)
    return result


def _stamp(value, timestamp):
    if isinstance(value, list):
        return [_stamp(item, timestamp) for item in value]
    if isinstance(value, dict):
        return {key: _stamp(item, timestamp) for key, item in value.items()}
    return {"timestamp": timestamp}


def delta(desired, reported):
    """What `reported` does not yet say of `desired`; {} when it says all of it."""
    result = {}
    for key, want in desired.items():
        have = reported.get(key, _MISSING)
        if isinstance(want, dict):
            part = delta(want, have if isinstance(have, dict) else {})
            if part:
                result[key] = part
        elif have is _MISSING or not same(want, have):
            result[key] = want
    return result


def same(one, other):
    """Equality of JSON values: 1 equals 1.0, but true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    return one == other


def pointer(document, segments):
    """(found, value) at a JSON pointer given as its segments (RFC 6901; ~1 is /, ~0 is ~)."""
    value = document
    for segment in segments:
        name = segment.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isascii() and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return False, None
    return True, value
