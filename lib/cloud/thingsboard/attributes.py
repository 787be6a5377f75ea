"""Attributes and telemetry of ThingsBoard (platforms.md 1.6, 1.7): read, written, and how a session is begun with them.

Called by jobs.py, and by PlainCloud.open() as the verb `prove`. RAM: none.
"""

import json

from micropython import const

import coap

_JSON = const(50)


async def read(cloud, query):
    """-> {"client": {..}, "shared": {..}} as far as there is any of what `query` asks for: a tuple of str, each
    clientKeys= or sharedKeys= and names with commas between. {} when there is none (4.04). ValueError if malformed."""
    try:
        answer = await cloud.request(coap.GET, cloud.path("attributes"), query=query)
    except coap.Refused as refused:
        if refused.code == coap.NOT_FOUND:
            return {}
        raise
    found = json.loads(bytes(answer.payload))
    if not isinstance(found, dict):
        raise ValueError("attributes are not an object")
    return found


async def post(cloud, feature, values):
    """POST a dict as "attributes" (of the client's scope) or "telemetry"; 2.01 says that it was queued."""
    await cloud.request(coap.POST, cloud.path(feature), payload=json.dumps(values).encode(), content_format=_JSON)


def current(title, version):
    """-> the telemetry that says what runs here (1.10)."""
    return {"current_fw_title": title, "current_fw_version": version}


async def prove(cloud):
    """The token is good when the shared attributes can be read; then say what runs here, once after each start."""
    await read(cloud, ("sharedKeys=fw_title",))
    version = cloud.versions.get("cver", "")
    if cloud.told != version:
        await post(cloud, "telemetry", current(cloud.title, version))
        cloud.told = version
