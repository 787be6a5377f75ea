"""Devices and their shadows: onboarding, lookup, state changes, the REST view of a device.

Onboarding puts `pairing` and `nrfcloud_mqtt_topic_prefix` into desired, which is how CoAP devices learn
them (facts 7.6). Every accepted change of the shadow counts `version` up.
Called by site.py (device side) and rest_devices.py (operator side).
"""

import re

from . import auth, shadow
from .errors import DEVICE_NOT_FOUND, ApiError, invalid, not_found
from .store import dumps, iso, loads

FIRMWARE_TYPES = ("APP", "MODEM", "BOOT", "SOFTDEVICE", "BOOTLOADER", "MDM_FULL", "SMP", "CUSTOM")
_STAGE = "prod"
_MAX_SECTION = 8192  # bytes of JSON, the limit of the shadow service behind nRF Cloud
_TAG = re.compile(r"[a-zA-Z0-9_.@:#-]+")
_SUB_TYPE = re.compile(r"[a-zA-Z0-9_.,@/:#-]{0,799}")


class Devices:
    """The device table. `limits` (limits.Limits) may say that the account is full."""

    def __init__(self, store, limits):
        self._store = store
        self._limits = limits
        self.prefix = f"{_STAGE}/{store.tenant}/"

    def onboard(self, device, key_pem, sub_type="", tags=(), firmware_types=("APP",)):
        """Register a device; an existing one keeps its shadow and gets the new key.

        `key_pem` is a certificate or public key in PEM. Raises ApiError 422.
        """
        _check_id(device)
        if not isinstance(sub_type, str) or not _SUB_TYPE.fullmatch(sub_type):
            raise invalid("subType not valid")
        if not all(isinstance(tag, str) and _TAG.fullmatch(tag) for tag in tags):
            raise invalid("tags not valid")
        if not all(kind in FIRMWARE_TYPES for kind in firmware_types):
            raise invalid("supportedFirmwareTypes not valid")
        columns = {
            "public_key": _public_key(key_pem),
            "sub_type": sub_type,
            "tags": dumps(list(tags)),
            "firmware_types": dumps(list(firmware_types)),
            "updated_at": self._store.now_ms(),
        }
        if self.exists(device):
            names = ", ".join(f"{name} = ?" for name in columns)
            self._store.run(f"UPDATE device SET {names} WHERE id = ?", *columns.values(), device)
            return
        self._limits.check("devices")
        desired = self._first_desired(device)
        stamp = columns["updated_at"] // 1000
        self._store.insert(
            "device", id=device, name=device, created_at=columns["updated_at"], version=1, reported="{}",
            reported_meta="{}", desired=dumps(desired), desired_meta=dumps(shadow.merge_meta({}, desired, stamp)),
            **columns,
        )  # fmt: skip

    def set_key(self, device, key_pem):
        """Register the public key of a device; one that is not known yet is onboarded. Raises ApiError 422."""
        if not self.exists(device):
            self.onboard(device, key_pem)
            return
        self._store.run("UPDATE device SET public_key = ? WHERE id = ?", _public_key(key_pem), device)

    def set(self, device, **columns):
        """Change columns of a device. Raises ApiError 404."""
        columns["updated_at"] = self._store.now_ms()
        names = ", ".join(f"{name} = ?" for name in columns)
        if not self._store.run(f"UPDATE device SET {names} WHERE id = ?", *columns.values(), device):
            raise not_found(f"device {device} not found")

    def need(self, device):
        """Raises ApiError 404 unless there is such a device."""
        self._row(device)

    def image(self, device):
        """URL of the device's picture, or None."""
        return self._store.value("SELECT url FROM device_image WHERE device = ?", device)

    def set_image(self, device, url):
        """Change the URL of the picture; None is no picture."""
        self._store.run("DELETE FROM device_image WHERE device = ?", device)
        if url is not None:
            self._store.insert("device_image", device=device, url=url)

    def public_key(self, device):
        """The registered public key as PEM text, or None."""
        return self._store.value("SELECT public_key FROM device WHERE id = ?", device)

    def exists(self, device):
        """Is there a device of this id?"""
        return self._store.one("SELECT 1 FROM device WHERE id = ?", device) is not None

    def delete(self, device):
        """Forget a device (its messages and locations stay). Raises ApiError 404."""
        if not self._store.run("DELETE FROM device WHERE id = ?", device):
            raise not_found(f"device {device} not found", DEVICE_NOT_FOUND)
        self.set_image(device, None)

    def state(self, device):
        """{"desired", "reported", "delta"} of a device. Raises ApiError 404."""
        row = self._row(device)
        desired, reported = loads(row["desired"]), loads(row["reported"])
        return {"desired": desired, "reported": reported, "delta": shadow.delta(desired, reported)}

    def patch(self, device, changes, if_version=None):
        """Merge {"desired": {...}, "reported": {...}} (one or both) into the shadow, version + 1.

        Raises ApiError 404, 409 when `if_version` is not the current one, 413 when a section grows too large.
        """
        row = self._row(device)
        if if_version is not None and if_version != row["version"]:
            raise ApiError(409, 40900, f"version is {row['version']}")
        now = self._store.now_ms()
        columns = {"version": row["version"] + 1, "updated_at": now}
        for section, patch in changes.items():
            text = dumps(shadow.merge(loads(row[section]), patch))
            if len(text.encode()) > _MAX_SECTION:
                raise ApiError(413, 40000, f"{section} would be larger than {_MAX_SECTION} bytes")
            columns[section] = text
            meta = shadow.merge_meta(loads(row[section + "_meta"]), patch, now // 1000)
            columns[section + "_meta"] = dumps(meta)
        names = ", ".join(f"{name} = ?" for name in columns)
        self._store.run(f"UPDATE device SET {names} WHERE id = ?", *columns.values(), device)

    def document(self, device, with_state=True, with_meta=True):
        """The REST device object. Raises ApiError 404."""
        return self.render(self._row(device), with_state, with_meta)

    def tagged(self, tags):
        """Ids of the devices that have one of these tags."""
        rows = self._store.all("SELECT id, tags FROM device ORDER BY created_at")
        return [row["id"] for row in rows if set(loads(row["tags"])) & set(tags)]

    def supports(self, device):
        """Firmware types that a device takes: what it reports in fota_v2, else what onboarding said."""
        row = self._row(device)
        return _firmware(loads(row["reported"]), loads(row["firmware_types"]))["supports"]

    def supporting(self, kinds):
        """Ids of the devices that take one of these firmware types."""
        ids = [row["id"] for row in self._store.all("SELECT id FROM device")]
        return [device for device in ids if set(kinds) & set(self.supports(device))]

    def render(self, row, with_state, with_meta):
        """The REST device object of a row."""
        desired, reported = loads(row["desired"]), loads(row["reported"])
        document = {
            "id": row["id"],
            "name": row["name"],
            "tags": loads(row["tags"]),
            "tenantId": self._store.tenant,
            "subType": row["sub_type"],
            "type": "Generic",
            "firmware": _firmware(reported, loads(row["firmware_types"])),
            "$meta": {
                "createdAt": iso(row["created_at"]),
                "updatedAt": iso(row["updated_at"]),
                "version": row["version"],
            },
        }
        image = self.image(row["id"])
        if image is not None:
            document["image"] = image
        if with_state:
            state = {"desired": desired, "reported": reported, "version": row["version"]}
            pending = shadow.delta(desired, reported)
            if pending:
                state["delta"] = pending
            if with_meta:
                state["metadata"] = {
                    "desired": loads(row["desired_meta"]),
                    "reported": loads(row["reported_meta"]),
                }
            document["state"] = state
        return document

    def _row(self, device):
        row = self._store.one("SELECT * FROM device WHERE id = ?", device)
        if row is None:
            raise not_found(f"device {device} not found")
        return row

    def _first_desired(self, device):
        topic = f"{self.prefix}m/d/{device}/"
        return {
            "pairing": {"state": "paired", "topics": {"d2c": topic + "d2c", "c2d": topic + "c2d"}},
            "nrfcloud_mqtt_topic_prefix": self.prefix,
        }


def _check_id(device):
    if not auth.DEVICE_ID.fullmatch(device):
        raise invalid("deviceId not valid")


def _public_key(pem):
    if not isinstance(pem, str):
        raise invalid("certificate or public key missing")
    try:
        return auth.load_public_key(pem)
    except ValueError as exc:
        raise invalid(str(exc)) from exc


def _firmware(reported, registered):
    """`firmware` of the device object: what the device reported wins over what onboarding said."""

    def section(name):
        value = device.get(name)
        return value if isinstance(value, dict) else {}

    device = reported.get("device")
    device = device if isinstance(device, dict) else {}
    info = section("deviceInfo")
    supports = section("serviceInfo").get("fota_v2")
    if isinstance(supports, list):
        supports = [kind for kind in FIRMWARE_TYPES if kind in supports]
    firmware = {"supports": supports if isinstance(supports, list) else registered}
    app = {"name": info.get("appName"), "version": info.get("appVersion")}
    app = {key: value for key, value in app.items() if isinstance(value, str)}
    if app:
        firmware["app"] = app
    for key, source in (("modem", "modemFirmware"), ("boot", "bootloaderVersion"), ("smpDeviceAppVer", "smpDevAppVer")):
        if isinstance(info.get(source), str):
            firmware[key] = info[source]
    return firmware
