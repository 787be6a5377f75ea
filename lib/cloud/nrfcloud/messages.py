"""Device messages of nRF Cloud: POST msg/d2c, in CBOR (`message_out`, nrfcloud.md 5.5).

`encode` turns one record (cloud.base) into the map {1: appId, 2: data, 3: ts}. Coordinates and readings stay
integers until cbor.Decimal writes the float64 that the service's CDDL asks for.
"""

from micropython import const

import cbor
import coap
from cloud.base import RecordRefused

_CBOR = const(60)
_NEVER = (0x80, 0x8D, 0x8F, 0x96)  # 4.00, 4.13, 4.15, 4.22: about the message itself
_QUOTA = "40005"  # ... unless it is the plan that is used up, which also comes as 4.00 (nrfcloud.md 4.4, 14.1)

_APP_ID = const(1)
_DATA = const(2)
_TS = const(3)

# What our neutral names are called there (nrfcloud.md 6.2); any other name goes out in upper case.
_APP_IDS = {
    "temp": "TEMP",
    "humid": "HUMID",
    "pressure": "AIR_PRESS",
    "rsrp": "RSRP",
    "battery": "BATTERY",
    "gnss": "GNSS",
}

# pvt map: (key on the wire, our field, exponent, required); order is the CDDL's.
_PVT = (
    (4, "lat", -7, True),
    (5, "lon", -7, True),
    (6, "acc_mm", -3, True),
    (7, "speed_mm_s", -3, False),
    (8, "heading_mdeg", -3, False),
    (9, "alt_mm", -3, False),
)


def pvt(fix):
    """-> cbor.Map of a fix dict (modem.base): lat, lng, acc and whatever optional fields it has."""
    pairs = []
    for key, field, exponent, required in _PVT:
        value = fix.get(field)
        if value is None and not required:
            continue
        pairs.append((key, cbor.Decimal(value or 0, exponent)))
    return cbor.Map(pairs)


def encode(record):
    """-> bytes of one `message_out` for `record` = (seq, ts_ms, name, value)."""
    _, ts_ms, name, value = record
    if isinstance(value, dict):
        value = pvt(value)
    return cbor.dumps(cbor.Map([(_APP_ID, _APP_IDS.get(name) or name.upper()), (_DATA, value), (_TS, ts_ms)]))


async def publish(cloud, records):
    """Verb of cloud.base: one message per record."""
    for record in records:
        try:
            await cloud.request(coap.POST, "msg/d2c", payload=encode(record), content_format=_CBOR)
        except coap.Refused as refused:
            if refused.code in _NEVER and _QUOTA not in refused.diagnostic:
                raise RecordRefused(str(refused)) from None
            raise
    return len(records)
