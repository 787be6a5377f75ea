"""The device shadow of nRF Cloud in CBOR (nrfcloud.md 7): PATCH what is reported or desired, GET what is pending."""

from micropython import const

import cbor
import coap
from cloud.base import CloudError

_CBOR = const(60)


async def report(cloud, changes):
    """Verb of cloud.base: PATCH state/reported."""
    await cloud.request(coap.PATCH, "state/reported", payload=cbor.dumps(changes), content_format=_CBOR)


async def request_desired(cloud, changes):
    """Verb of cloud.base: PATCH state/desired."""
    await cloud.request(coap.PATCH, "state/desired", payload=cbor.dumps(changes), content_format=_CBOR)


async def fetch_config(cloud):
    """Verb of cloud.base: the delta, which comes unwrapped, and as an empty 2.05 when there is none (7.2)."""
    answer = await cloud.request(coap.GET, "state", accept=_CBOR)
    if not answer.payload:
        return None
    delta = cbor.loads(answer.payload)
    if not isinstance(delta, dict):
        raise CloudError("shadow delta is not a map")
    return delta or None
