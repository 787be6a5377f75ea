"""What the settings may be, and the files they live in. Loaded at start and when the cloud changes something (cold.py).

`load(root)` -> every setting, checked; `judge(changes, values)` -> what the cloud may change; `keep`, `prove` write.
A file that fails the schema is not used: MicroPython's JSON reader takes half a document for a whole one.
"""

import log
import store

# key: (type, lowest or choices, highest, default, may the cloud change it)
SCHEMA = {
    "device_id": (str, 0, 128, "", False),
    "auth": (str, ("jwt", "jwt-id"), None, "jwt", False),
    "provisioning": (bool, None, None, False, False),
    "backend": (str, ("nrfcloud",), None, "nrfcloud", False),
    "host": (str, 1, 128, "coap.nrfcloud.com", False),
    "port": (int, 1, 65535, 5684, False),
    "modem": (str, ("nrf91", "sara_r5", "bg95", "sim7080"), None, "nrf91", False),
    "pin": (str, 0, 8, "", False),
    "apn": (str, 0, 64, "", False),
    "dtls": (str, ("host", "modem"), None, "host", False),
    "jwt": (str, ("host", "modem"), None, "host", False),
    "sec_tag": (int, 0, 2147483647, 16842753, False),
    "ack_timeout_ms": (int, 200, 60000, 4000, True),
    "handshake_timeout_s": (int, 1, 123, 60, True),
    "sample_interval_s": (int, 10, 86400, 900, True),
    "uplink_interval_s": (int, 10, 86400, 3600, True),
    "locate_interval_s": (int, 60, 604800, 14400, True),
    "shadow_interval_s": (int, 60, 604800, 7200, True),
    "update_interval_s": (int, 60, 604800, 7200, True),
    "update_hours": (int, 1, 720, 72, True),
    "health_interval_s": (int, 60, 604800, 21600, True),
    "locate_accuracy_m": (int, 0, 100000, 0, True),
    "locate_movement": (str, ("cells", "always"), None, "cells", True),
    "xtra": (str, 0, 128, "", False),
    "gnss_timeout_s": (int, 10, 600, 120, True),
    "agnss_mask_deg": (int, -1, 90, -1, True),
    "pgps": (int, 0, 42, 0, True),
    "ground_fix_cells": (int, 1, 5, 1, True),
    "ground_fix_reply": (bool, None, None, True, True),
    "ground_fix_confident": (bool, None, None, False, True),
    "ground_fix_fallback": (bool, None, None, True, True),
    "confirmable": (bool, None, None, True, True),
    "battery_low_mv": (int, 0, 20000, 3400, True),
    "alerts": (bool, None, None, True, False),
    "log_upload": (int, 0, 4, 1, False),
    "log_level": (int, 1, 4, 3, False),
}


class ConfigError(ValueError):
    """A setting is not what the schema says; the text names the key and what is wrong with it."""


def check(key, value):
    """-> `value` when it fits SCHEMA, else ConfigError."""
    rule = SCHEMA.get(key)
    if rule is None:
        raise ConfigError("%s: no such setting" % key)
    kind, low, high, _, _ = rule
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError("%s: must be %s" % (key, kind.__name__))
    if isinstance(low, tuple):
        if value not in low:
            raise ConfigError("%s: must be one of %s" % (key, ", ".join(low)))
    elif low is not None:
        size = len(value) if kind is str else value
        if not low <= size <= high:
            raise ConfigError("%s: must be from %d to %d%s" % (key, low, high, " long" if kind is str else ""))
    return value


def from_text(key, text):
    """-> the value of setting `key` that `text` stands for, checked. Raises ConfigError."""
    kind = SCHEMA[key][0] if key in SCHEMA else str
    try:
        if kind is bool:
            return check(key, {"true": True, "false": False}[text])
        return check(key, kind(text))
    except KeyError:
        raise ConfigError("%s: must be true or false" % key) from None
    except ConfigError:
        raise
    except ValueError:
        raise ConfigError("%s: must be %s" % (key, kind.__name__)) from None


def _read(path):
    """-> dict of checked settings from `path`; None when it is missing or unusable, said in the log."""
    try:
        values = store.read_json(path)
        if not isinstance(values, dict):
            raise ConfigError("missing" if values is None else "not an object")
        for key in values:
            check(key, values[key])
        if not values.get("device_id") and not values.get("provisioning"):
            raise ConfigError("device_id: missing")
        return values
    except (OSError, store.StoreError, ConfigError) as problem:
        log.error("config", "%s unusable: %s", path, problem)
        return None


def load(root):
    """-> dict of every setting: config.json, else the last known good copy, over the defaults."""
    found = _read(root + "/data/config.json")
    if found is None:
        found = _read(root + "/data/config.good")
        if found is not None:
            log.warn("config", "running on the last known good settings")
    values = {key: rule[3] for key, rule in SCHEMA.items()}
    values.update(found or {})
    return values


def judge(changes, values):
    """-> (accepted, refused) of what the cloud wants: dict of what shall hold, dict of what holds instead.

    Unknown keys, and those that are not the cloud's, are refused with None, which deletes them."""
    accepted, refused = {}, {}
    for key, value in changes.items():
        rule = SCHEMA.get(key)
        ours = rule is None or not rule[4]
        try:
            if ours:
                raise ConfigError("%s: not for the cloud to change" % key)
            accepted[key] = check(key, value)
        except ConfigError as problem:
            log.warn("config", "refused: %s", problem)
            refused[key] = None if ours else values[key]
    return accepted, refused


def _explicit(values):
    return {key: value for key, value in values.items() if value != SCHEMA[key][3]}


def keep(root, values):
    """Make `values` the settings of the next start. Raises OSError."""
    store.write_json(root + "/data/config.json", _explicit(values))


def prove(root, values):
    """The node has reached its cloud with `values`: make them the last known good, unless they are. Raises OSError."""
    path = root + "/data/config.good"
    explicit = _explicit(values)
    try:
        if store.read_json(path) == explicit:
            return
    except store.StoreError:
        pass  # damaged: written anew
    store.write_json(path, explicit)
