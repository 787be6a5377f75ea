"""Credentials and tokens: %CMNG, %KEYGEN, %JWT (modems.md 2A.11, nrfcloud.md 3.2).

%ATTESTTOKEN answers ERROR: its content is only known to Nordic's factory.
"""

from cryptography.hazmat.primitives.asymmetric import ec

from godwit.modem import keystore, tokens
from godwit.modem.core import HARDWARE
from godwit.modem.sm.grammar import CmeError, CommandError
from godwit.modem.sm.registry import command

NOT_FOUND, NO_ACCESS, NOT_WHEN_ACTIVE, EXISTS, NO_TOKEN, BAD_PARAMETERS = 513, 514, 518, 519, 525, 50
_FIRMWARE_UUID = "7b4c1f7e-5d5f-4c57-9df1-3c0f4c1f2a77"
_MAX_LIFETIME_S = 604800


@command("%CMNG", "set")
async def _credentials(dev, params):
    operation = params.number(0, 0, 3)
    return await (_write, _list, _read, _delete)[operation](dev, params)


def _key_of(params):
    return params.number(1), params.number(2, 0, 10)


async def _change(dev):
    if not dev.core.lte_idle():
        raise CmeError(NOT_WHEN_ACTIVE)
    await dev.core.clock.sleep(dev.core.timing["flash"])


async def _write(dev, params):
    tag, kind = _key_of(params)
    content = params.text(3)
    await _change(dev)
    dev.core.nvs.put(tag, kind, content)
    dev.core.log.event("credential", tag=tag, kind=kind, size=len(content))


async def _list(dev, params):
    tag = params.number(1) if params.given(1) else None
    kind = params.number(2, 0, 10) if params.given(2) else None
    return [f'%CMNG: {t},{k},"{digest.upper()}"' for t, k, digest in dev.core.nvs.listing(tag, kind)]


async def _read(dev, params):
    tag, kind = _key_of(params)
    content = dev.core.nvs.get(tag, kind)
    if content is None:
        raise CmeError(NOT_FOUND)
    if kind not in keystore.READABLE:
        raise CmeError(NO_ACCESS)
    digest = dev.core.nvs.listing(tag, kind)[0][2].upper()
    return f'%CMNG: {tag},{kind},"{digest}","{content}"'


async def _delete(dev, params):
    tag, kind = _key_of(params)
    await _change(dev)
    if not dev.core.nvs.delete(tag, kind):
        raise CmeError(NOT_FOUND)


@command("%KEYGEN", "set")
async def _generate(dev, params):
    tag, kind = params.number(0), params.number(1)
    as_public = params.number(2, 0, 1, default=0)
    if kind != keystore.CLIENT_KEY:
        raise CmeError(BAD_PARAMETERS)
    await _change(dev)
    if dev.core.nvs.get(tag, kind) is not None:
        raise CmeError(EXISTS)
    key = ec.generate_private_key(ec.SECP256R1())
    dev.core.nvs.put(tag, kind, keystore.private_pem(key))
    dev.core.log.event("keygen", tag=tag)
    answer = tokens.keygen_answer(key, dev.core.nvs.identity_key(), dev.core.uuid, tag, not as_public, dev.core.uuid)
    return f'%KEYGEN: "{answer}"'


@command("%JWT", "set", "exec")
def _jwt(dev, params):
    core = dev.core
    try:
        params.at_most(6)
        params.number(0, 0, 0, default=0)
        lifetime = params.number(1, 0, _MAX_LIFETIME_S, default=0)
        subject, audience = params.text(2, default=""), params.text(3, default="")
        if params.given(4) != params.given(5):
            raise CommandError
        if params.given(5) and params.number(5) != keystore.CLIENT_KEY:
            raise CommandError
    except CommandError as err:
        raise CmeError(BAD_PARAMETERS) from err
    key = _signing_key(core, params.number(4)) if params.given(4) else core.nvs.identity_key()
    if lifetime and not core.time_known:
        raise CmeError(NO_TOKEN)
    token = tokens.jwt(key, f"{HARDWARE}.{core.uuid}", _FIRMWARE_UUID, subject, audience,
                       core.clock.now_ms() // 1000, lifetime)
    core.log.event("jwt", sub=subject or None, lifetime=lifetime)
    return f'%JWT: "{token}"'


def _signing_key(core, tag):
    pem = core.nvs.get(tag, keystore.CLIENT_KEY)
    if pem is None:
        raise CmeError(NOT_FOUND)
    try:
        return keystore.load_private(pem)
    except ValueError as err:
        raise CmeError(NO_ACCESS) from err


@command("%ATTESTTOKEN", "set", "exec")
def _attest(dev, params):
    raise CommandError
