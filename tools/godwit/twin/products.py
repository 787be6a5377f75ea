"""Products that are onboarded but in no account yet: association by the ownership code on their label (facts 14.1).

The twin's factory: PUT /twin/products/{id} says what there is. Refusals carry the service's own codes: 40411 unknown
product, 40412 never connected, 40102 wrong code, 40101 in another account, 40001 no certificate to verify it by.
Called by rest_onboard.py, rest_devices.py and rest_twin.py.
"""

import hmac
import re

from . import auth
from .errors import ApiError, invalid, not_found

_NORDIC = re.compile(r"nrf-[0-9]{15}")
UNKNOWN_PRODUCT, NOT_CONNECTED, NO_CERTIFICATE, ELSEWHERE, WRONG_CODE = 40411, 40412, 40001, 40101, 40102


class Products:
    """The product table."""

    def __init__(self, store, devices):
        self._store = store
        self._devices = devices

    def register(self, device, value):
        """A product of the factory: {"ownershipCode", "publicKey"?, "provisioned"?, "elsewhere"?}.

        Raises ApiError 422.
        """
        code, key = value.get("ownershipCode"), value.get("publicKey")
        flags = [value.get("provisioned", True), value.get("elsewhere", False)]
        if not auth.DEVICE_ID.fullmatch(device) or not isinstance(code, str) or not code:
            raise invalid("a product has a device id and an ownershipCode")
        if not all(isinstance(flag, bool) for flag in flags):
            raise invalid("provisioned and elsewhere are true or false")
        try:
            pem = auth.load_public_key(key) if key is not None else None
        except (ValueError, AttributeError) as exc:
            raise invalid(str(exc)) from exc
        sql = "INSERT OR REPLACE INTO product (device, code, public_key, provisioned, elsewhere) VALUES (?, ?, ?, ?, ?)"
        self._store.run(sql, device, code, pem, *map(int, flags))

    def associate(self, device, code, sub_type):
        """Put a product into the account; one that is there already only gets its subType. Raises ApiError."""
        row = self._store.one("SELECT * FROM product WHERE device = ?", device)
        if self._devices.exists(device):
            if row is not None:
                _check_code(row, code)
            if sub_type is not None:
                self._devices.set(device, sub_type=sub_type)
            return
        if row is None:
            known_form = _NORDIC.fullmatch(device)
            raise not_found(
                f"device {device} " + ("is no product that we know" if known_form else "has never connected"),
                UNKNOWN_PRODUCT if known_form else NOT_CONNECTED,
            )
        _check_code(row, code)
        if not row["provisioned"]:
            raise not_found(f"device {device} has never connected", NOT_CONNECTED)
        if row["elsewhere"]:
            raise ApiError(401, ELSEWHERE, f"device {device} is in another account")
        if row["public_key"] is None:
            raise ApiError(400, NO_CERTIFICATE, f"device {device} has no valid certificate")
        self._devices.onboard(device, row["public_key"], sub_type or "")

    def unprovision(self, device, code):
        """Delete a product that is in no account; False when there is none. Raises ApiError 401 for a wrong code."""
        row = self._store.one("SELECT * FROM product WHERE device = ? AND provisioned AND NOT elsewhere", device)
        if row is None:
            return False
        _check_code(row, code)
        self._store.run("UPDATE product SET provisioned = 0 WHERE device = ?", device)
        return True


def _check_code(row, code):
    if not hmac.compare_digest(row["code"].encode(), code.encode()):
        raise ApiError(401, WRONG_CODE, f"the ownership code is not that of {row['device']}")
