"""What the emulated ThingsBoard knows: devices with attributes and telemetry, and firmware packages.

The rules are those of platforms.md 1.6, 1.7 and 1.10. Pure but for the clock that is passed in.
Called by api.py for devices, by server.py for operators.
"""

import hashlib
import zlib
from dataclasses import dataclass, field

KEYS = ("title", "version", "ts", "state", "size", "checksum", "checksum_algorithm", "url", "tag")
_DIGESTS = {"MD5": "md5", "SHA256": "sha256", "SHA384": "sha384", "SHA512": "sha512"}


class Malformed(ValueError):
    """A body that the platform refuses with 4.00."""


class Silence(Exception):
    """A request that the platform never answers."""


@dataclass(frozen=True)
class Package:
    """A firmware package. `url` instead of data: the platform only tells where it is."""

    title: str
    version: str
    data: bytes = b""
    tag: str | None = None
    url: str | None = None
    algorithm: str = "SHA256"

    @property
    def checksum(self):
        """Hex of the digest; for CRC32 in little-endian byte order, as the platform stores it."""
        if self.algorithm == "CRC32":
            return zlib.crc32(self.data).to_bytes(4, "little").hex()
        return hashlib.new(_DIGESTS[self.algorithm], self.data).hexdigest()

    def attributes(self):
        """The shared attributes of a device that is to have it."""
        values = {"fw_title": self.title, "fw_version": self.version}
        if self.tag:
            values["fw_tag"] = self.tag
        if self.url:
            return {**values, "fw_url": self.url}
        return {
            **values,
            "fw_size": len(self.data),
            "fw_checksum_algorithm": self.algorithm,
            "fw_checksum": self.checksum,
        }


@dataclass
class Device:
    """One device. `arrivals`: every telemetry value as (key, ts, value) in the order of arrival; `rows` what is stored:
    {(key, ts): value}, where the same key and time are one row."""

    token: str
    client: dict = field(default_factory=dict)
    shared: dict = field(default_factory=dict)
    arrivals: list = field(default_factory=list)
    rows: dict = field(default_factory=dict)
    package: Package | None = None

    def save(self, points, now_ms):
        """Store [(ts or None, values)] of telemetry()."""
        for ts, values in points:
            for key, value in values.items():
                at = now_ms if ts is None else ts
                self.arrivals.append((key, at, value))
                self.rows[key, at] = value

    def told(self, key):
        """Values of a telemetry key in the order of arrival."""
        return [value for name, _, value in self.arrivals if name == key]

    def assign(self, package, now_ms):
        """What the platform does when a package is assigned, or with None taken away."""
        self.package = package
        for key in KEYS:
            self.shared.pop("fw_" + key, None)
        if package is None:
            return
        target = {"target_fw_title": package.title, "target_fw_version": package.version, "target_fw_ts": now_ms}
        if package.tag:
            target["target_fw_tag"] = package.tag
        self.save([(None, {**target, "fw_state": "QUEUED"}), (None, {"fw_state": "INITIATED"})], now_ms)
        self.shared.update(package.attributes())


def telemetry(body):
    """Decoded JSON of POST telemetry -> [(ts in ms or None, {key: value})]. Raises Malformed, Silence for an empty
    list, and ValueError for a ts that is no number (5.00)."""
    if body == []:
        raise Silence
    points = []
    for item in body if isinstance(body, list) else [body]:
        if not isinstance(item, dict):
            raise Malformed("an element is not an object")
        if "ts" in item and "values" in item:
            if not isinstance(item["values"], dict):
                raise Malformed("values are not an object")
            points.append((int(item["ts"]), cast(item["values"])))
        else:
            points.append((None, cast(item)))
    return points


def cast(values):
    """Values as the platform stores them: null is skipped, a string that reads as a number becomes one."""
    return {key: _cast(value) for key, value in values.items() if value is not None}


def _cast(value):
    if not isinstance(value, str):
        return value
    try:
        return int(value) if value.lstrip("+-").isdigit() and value.isascii() else float(value)
    except ValueError:
        return value
