"""How far a download is, in 0..1: from the status detail ("45 %"), or from the twin's records of blocks served.

The service itself has no percentage (nrfcloud.md 11); a twin counts the different bytes that went out.
"""

import re

import httpx

from . import places
from .doc import number, obj, objects
from .errors import CloudError

_PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*%")


def in_words(detail):
    """The fraction that a text names, or None."""
    found = _PERCENT.search(detail) if isinstance(detail, str) else None
    return min(float(found[1]), 100.0) / 100 if found else None


class Records:
    """GET /twin/records, where there is a twin; silent about it where there is none."""

    def __init__(self, cloud):
        self._api = None
        if not places.is_real(cloud.base):
            self._api = cloud.client(str(httpx.URL(cloud.base).join("/")).rstrip("/"))

    def fractions(self, devices, uris):
        """{device: fraction} of what devices have of the files of a job (`uris` of its firmware)."""
        if self._api is None or not devices or not uris:
            return {}
        try:
            found = self._api.call("GET", "/twin/records")
        except CloudError:
            self._api = None  # not a twin, or none that tells
            return {}
        known = obj(found, "devices")
        result = {}
        for device in devices:
            loaded = [one for one in objects(obj(known, device).get("downloads")) if _uri(one) in uris]
            total = sum(number(one.get("size")) for one in loaded)
            if total and len(loaded) == 1 or total and len(loaded) == len(uris):
                result[device] = min(1.0, sum(number(one.get("distinct")) for one in loaded) / total)
        return result


def _uri(download):
    return f"https://{download.get('host')}/{download.get('path')}"
