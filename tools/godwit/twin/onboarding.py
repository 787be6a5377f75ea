"""What onboarding is given: rows of a CSV, PEM blocks as the service wants them, onboarding tokens (facts 14.2).

Pure; called by rest_onboard.py.
"""

import base64
import csv
import io
import json
import re

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from . import auth
from .errors import invalid

MAX_ROWS = 1000
_COLUMNS = ("deviceId", "subType", "tags", "supportedFirmwareTypes", "certificate")  # without a header
_TOKEN_COLUMN = "onboardingToken"
_PEM = "-{5}BEGIN %s-{5}(\r\n|\r|\n)([^-]+)(\r\n|\r|\n)-{5}END %s-{5}(\r\n|\r|\n)"
_BLOCKS = {label: re.compile(_PEM % (label, label)) for label in ("CERTIFICATE", "PUBLIC KEY")}


def read_rows(body):
    """Rows of a CSV (bytes), lists of texts. Raises ApiError 422: no CSV, no rows, a blank line, too many."""
    try:
        rows = list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError) as exc:
        raise invalid(f"not a CSV file: {exc}") from exc
    if not rows or not all(rows):
        raise invalid("no rows, or a blank line")
    if len(rows) > MAX_ROWS + 1 or (len(rows) > MAX_ROWS and rows[0][0] != "deviceId" and "deviceId" not in rows[0]):
        raise invalid(f"more than {MAX_ROWS} rows")
    return rows


def with_columns(rows):
    """Onboarding rows as dicts of all six columns; the first row may name them. Raises ApiError 422."""
    columns = _COLUMNS
    if "deviceId" in rows[0]:
        columns, rows = tuple(rows[0]), rows[1:]
        unknown = set(columns) - {*_COLUMNS, _TOKEN_COLUMN}
        if unknown or len(set(columns)) < len(columns):
            raise invalid(f"header: {', '.join(sorted(unknown)) or 'a column'} is unknown or there twice")
        if not rows:
            raise invalid("no rows below the header")
    for index, row in enumerate(rows):
        if len(row) != len(columns):
            raise invalid(f"[{index}]: {len(row)} columns instead of {len(columns)}: {', '.join(columns)}")
    empty = dict.fromkeys((*_COLUMNS, _TOKEN_COLUMN), "")
    result = [{**empty, **dict(zip(columns, row, strict=True))} for row in rows]
    for index, row in enumerate(result):
        if row["certificate"] and not any(block.fullmatch(row["certificate"]) for block in _BLOCKS.values()):
            raise invalid(f"[{index}]: certificate is not a PEM block with its last line break")
    return result


def pem_row(row, label):
    """(deviceId, PEM) of a row of two columns. Raises ApiError 422."""
    if len(row) != 2 or not _BLOCKS[label].fullmatch(row[1]):
        raise invalid(f'a row is deviceId,"{label} in PEM, with its last line break"')
    return row


def pipes(text):
    """The items of a pipe-delimited column."""
    return [item for item in text.split("|") if item]


def token_key(token, device, tenant, identity, now_s):
    """The public key (PEM) of the device whose onboarding token this is. Raises ApiError 422.

    The token is the device's own ES256 JSON Web Token for this team (`aud` or `tenantId` when it says one), verified
    with the identity key of its manufacture (`identity`, PEM or None), else with the key that it brings itself (`jwk`
    in its header).
    """
    try:
        head, claims = (_part(token, number) for number in (0, 1))
        own = _jwk_pem(head["jwk"]) if "jwk" in head else None
        pem = identity or own
        found = auth.verify(token.encode(), lambda _: pem, now_s)
    except auth.AuthError as exc:
        raise invalid(f"onboardingToken: {exc}") from exc
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as exc:
        raise invalid("onboardingToken is not a JSON Web Token") from exc
    if found != device:
        raise invalid(f"onboardingToken is that of {found}")
    for name in ("aud", "tenantId"):
        if claims.get(name, tenant) != tenant:
            raise invalid("onboardingToken is for another team")
    return own or pem


def _part(token, number):
    text = token.split(".")[number]
    value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    if not isinstance(value, dict):
        raise ValueError(number)
    return value


def _jwk_pem(jwk):
    x, y = (int.from_bytes(base64.urlsafe_b64decode(jwk[name] + "=="), "big") for name in "xy")
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()
