"""Dataports of Exosite (platforms.md 2.2): one written or read, several read; how a session is begun with them.

Called by jobs.py, and by PlainCloud.open() as the verb `prove`. RAM: none.
"""

from micropython import const

import coap

_FORBIDDEN = const(0x83)  # the alias is unknown, or not ours; a bad CIK is 4.01


async def write(cloud, alias, text):
    """POST 1a/{alias}: stored with the time of its arrival. Not more than once a second for one alias."""
    await cloud.request(coap.POST, "1a/" + alias, query=(cloud.cik,), payload=text.encode())


async def read(cloud, *aliases):
    """POST 1a: -> {alias: text}, without those that hold nothing; None when one of them has not been made (4.03).

    ValueError if malformed."""
    import cbor

    try:
        answer = await cloud.request(coap.POST, "1a", query=(cloud.cik,) + aliases)
    except coap.Refused as refused:
        if refused.code == _FORBIDDEN:
            return None
        raise
    found = cbor.loads(bytes(answer.payload)) if answer.payload else {}
    if not isinstance(found, dict):
        raise ValueError("the answer to a multi read is not a map")
    return found


async def prove(cloud):
    """The CIK is good when the platform says anything but 4.01: first to what runs here, later to a question."""
    version = cloud.versions.get("cver", "")
    if cloud.told == version:
        await read(cloud, "fw_version")
        return
    try:
        await write(cloud, "fw_version", version)
    except coap.Refused as refused:
        if refused.code != _FORBIDDEN:
            raise
    cloud.told = version
