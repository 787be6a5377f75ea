"""Credentials and tokens: %CMNG, %KEYGEN, %JWT, %ATTESTTOKEN (modems.md 2A.11, nrfcloud.md 3.2, 13.3)."""

import re

from cryptography.hazmat.primitives.asymmetric import ec

from godwit.modem import keystore, tokens
from godwit.modem.grammar import CmeError, CommandError
from godwit.modem.sm.registry import command

NOT_FOUND, NO_ACCESS, NOT_WHEN_ACTIVE, EXISTS, NO_TOKEN, BAD_CONTENT, BAD_PARAMETERS = 513, 514, 518, 519, 525, 527, 50
_FIRMWARE_UUID = "7b4c1f7e-5d5f-4c57-9df1-3c0f4c1f2a77"
_MAX_LIFETIME_S = 604800
# What the content of a credential has to look like (types: keystore.py); the modem looks no deeper when it is written.
_CONTENT = {
    keystore.ROOT_CA: re.compile(r"\s*-----BEGIN CERTIFICATE-----\s.*-----END CERTIFICATE-----\s*", re.DOTALL),
    keystore.CLIENT_CERT: re.compile(r"\s*-----BEGIN CERTIFICATE-----\s.*-----END CERTIFICATE-----\s*", re.DOTALL),
    keystore.CLIENT_KEY: re.compile(r"\s*-----BEGIN [A-Z ]*PRIVATE KEY-----\s.*-----END .*", re.DOTALL),
    keystore.PSK: re.compile(r"([0-9A-Fa-f]{2})+"),
}


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
    if not _CONTENT.get(kind, re.compile(".+", re.DOTALL)).fullmatch(content):
        raise CmeError(BAD_CONTENT)
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
    subject, usage = params.text(3, default="") or f"CN={dev.core.uuid}", params.text(4, default="") or None
    identity = dev.core.nvs.identity_key()
    try:
        answer = tokens.keygen_answer(key, identity, dev.core.uuid, tag, not as_public, subject, usage)
    except ValueError as err:
        raise CmeError(BAD_PARAMETERS) from err
    dev.core.nvs.put(tag, kind, keystore.private_pem(key))
    dev.core.log.event("keygen", tag=tag)
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
    token = tokens.jwt(key, f"nRF9151.{core.uuid}", _FIRMWARE_UUID, subject, audience,
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
    params.at_most(1)
    params.text(0, default="")  # a challenge: accepted, and not part of what the service looks at
    answer = tokens.attestation(dev.core.nvs.identity_key(), dev.core.uuid, _FIRMWARE_UUID)
    dev.core.log.event("attest")
    return f'%ATTESTTOKEN: "{answer}"'
