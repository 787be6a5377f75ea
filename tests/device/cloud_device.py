"""The device side of test_nrfcloud_matrix.py: `cloud_device.py PTY DTLS CA KEY`, run under MicroPython.

Brings the modem up, then awaits one expression a line of standard input, over `cloud` (lib/cloud/nrfcloud), `modem`,
`client()` and whatever is imported here, and prints what came of it as one JSON line: {"value": ..} or {"error": class,
"text", "code"}. Bytes are hex. DTLS is "host" (net.dtls, token signed with KEY here) or "modem" (both in the modem).
"""

import asyncio
import json
import sys
from binascii import hexlify, unhexlify  # noqa: F401  for the expressions

import cbor  # noqa: F401
import clock
import cloud as clouds
import coap  # noqa: F401
import es256
import jwt
import log
import modem as modems
from cloud.nrfcloud import assist, jobs, needs  # noqa: F401
from net.dtls import DTLS

HOST = "coap.nrfcloud.com"
PORT = 5684
TAG = 16842753
DEVICE = "nrf-351358811124484"
_LIMIT_MS = 20000
_CALL_S = 30


def plain(value):
    """-> what JSON can say of `value`."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return hexlify(bytes(value)).decode()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (int, str, float, bool)) or value is None:
        return value
    return str(value)


class Rig:
    """Everything an expression may use."""

    def __init__(self, pty, dtls, ca, key):
        self.modem = modems.load("nrf91")(open(pty, "r+b"))
        self.dtls = dtls
        with open(ca, "rb") as file:
            self.ca = file.read()
        with open(key) as file:
            self.key = file.read().strip()
        self.mv = memoryview(bytearray(4096))

    def cloud(self, **how):
        """-> a Cloud that is not open."""
        tuning = {"ack_timeout_ms": 1000, "non_timeout_ms": 3000, "max_body": 2048}
        made = clouds.load("nrfcloud")(DEVICE, self.connect, self.token, {"cver": "1.0.0", "dver": "1"}, tuning, **how)
        return made

    async def connect(self):
        if self.dtls == "modem":
            return await self.modem.dtls_open(HOST, PORT, TAG, HOST, 4096, _LIMIT_MS)
        endpoint = await self.modem.udp_open(HOST, PORT, 4096)
        secured = DTLS(endpoint, HOST, self.ca)
        await secured.handshake(_LIMIT_MS)
        return secured

    async def token(self, device_id, now_s, lifetime_s):
        if self.dtls == "modem":
            return await self.modem.jwt(device_id, lifetime_s, TAG)
        return jwt.device_token(jwt.KeySigner(es256.load_private_key(self.key)), device_id, now_s, lifetime_s)

    async def all(self, *calls):
        """-> results of coroutines, one after the other."""
        found = []
        for call in calls:
            found.append(await call)
        return found


async def answer(line, names):
    try:
        value = eval(line, names)
        if hasattr(value, "send"):
            value = await asyncio.wait_for(value, _CALL_S)
        return {"value": plain(value)}
    except Exception as error:
        code = getattr(error, "code", None)
        if isinstance(code, int):
            code = "%d.%02d" % (code >> 5, code & 31)
        return {"error": type(error).__name__, "text": str(error), "code": code}


async def main():
    rig = Rig(*sys.argv[1:5])
    log.level = 0
    modem = rig.modem
    await modem.start()
    await modem.attach()
    clock.set_utc(await modem.time() * 1000)
    names = dict(globals())
    names.update({"rig": rig, "modem": modem, "mv": rig.mv, "cloud": rig.cloud()})
    print(json.dumps({"value": "ready"}))
    while True:
        line = sys.stdin.readline()
        if not line:
            return
        line = line.strip()
        if line.startswith("="):  # "=name expression": keep it
            name, _, line = line[1:].partition(" ")
            names[name] = eval(line, names)
            print(json.dumps({"value": name}))
            continue
        print(json.dumps(await answer(line, names)))


asyncio.run(main())
