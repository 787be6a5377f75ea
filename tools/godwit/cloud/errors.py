"""What can go wrong between operator and service, each as one line that says what to do.

Statuses and nRF codes: nrfcloud.md 14.1. Every error ends the command with exit status 1; the line goes to standard
error. Called by api.py (from answers and transport errors) and by commands (from input).
"""

from __future__ import annotations

import json
import re
import ssl

import click
import httpx

_CLIP = 300

# nRF codes whose meaning helps more than that of the HTTP status
_BY_CODE = {
    40001: "the device has no valid certificate for association",
    40005: "usage limit of the plan reached: wait for the next month, or upgrade the plan",
    40101: "the device belongs to another account",
    40102: "wrong ownership code (PIN or HWID of the label)",
    40103: "the device is not in your account",
    40412: "the device has never connected",
    41600: "range not satisfiable",
}
_BY_STATUS = {
    400: "the service refused the request",
    401: "not authenticated: the API key is missing, wrong or revoked (GODWIT_CLOUD_KEY, --key-file)",
    403: "not allowed: the key is of another team, or its role may not do this",
    404: "not found: check the id (ids, not names, and of this account)",
    406: "the service cannot answer in the form asked for",
    409: "conflict: it was changed meanwhile; look again and repeat",
    412: "conflict: it was changed meanwhile; look again and repeat",
    413: "too large for the service",
    415: "the service does not take this kind of file",
    422: "the service finds the request not valid",
    429: "too many requests: wait a while and repeat",
}
_TRANSPORT = {
    httpx.ConnectTimeout: "no answer to the connection attempt",
    httpx.ReadTimeout: "connected, but no answer in time (--timeout)",
    httpx.WriteTimeout: "the request could not be sent in time (--timeout)",
    httpx.PoolTimeout: "no free connection",
    httpx.RemoteProtocolError: "the connection ended in mid-answer",
    httpx.ReadError: "the connection broke",
    httpx.WriteError: "the connection broke",
    httpx.UnsupportedProtocol: "not an http address",
    httpx.ProxyError: "the proxy (HTTPS_PROXY) refused",
    httpx.DecodingError: "the answer is damaged",
}


class CloudError(click.ClickException):
    """One line for the operator. `status` is the HTTP status (None when there was no answer), `code` the nRF code."""

    def __init__(self, message: str, status: int | None = None, code: int | None = None):
        super().__init__(clean(message))
        self.status = status
        self.code = code


def from_answer(answer: httpx.Response, doing: str) -> CloudError:
    """The error that an answer of 3xx, 4xx or 5xx stands for. `doing`: "GET /devices"."""
    status = answer.status_code
    code, words = _body(answer)
    if code in _BY_CODE:
        meaning = _BY_CODE[code]
    elif status >= 500:
        meaning = "the service has a problem (status.nrfcloud.com); try again later"
    elif 300 <= status < 400:
        meaning = "the address points elsewhere; check --url"
    else:
        meaning = _BY_STATUS.get(status, "the service refused the request")
    number = f"{status}" if code in (None, status * 100) else f"{status}, nRF code {code}"
    said = f' It says: "{words}"' if words else ""
    return CloudError(f"{doing}: {meaning} ({number}).{said}", status, code)


def from_transport(error: httpx.HTTPError, doing: str, host: str) -> CloudError:
    """The error that a failed transfer stands for."""
    if is_tls(error):
        detail = _tls_detail(str(error))
        return CloudError(f"{doing}: {host} is not trusted: {detail}; a wrong host, or a CA for SSL_CERT_FILE")
    for kind, meaning in _TRANSPORT.items():
        if isinstance(error, kind):
            return CloudError(f"{doing}: {host}: {meaning}")
    text = str(error)
    if re.search(r"name or service|name resolution|nodename|getaddrinfo", text, re.I):
        return CloudError(f"{doing}: the name {host} is not known here: no network, or a wrong --url")
    if "refused" in text:
        return CloudError(f"{doing}: nobody listens at {host}: is the twin up, and --url right")
    return CloudError(f"{doing}: {host} cannot be reached: {text or type(error).__name__}")


def is_tls(error: BaseException) -> bool:
    """Was it the handshake or the certificate? httpx hides it in the chain of causes."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return True
        seen = seen.__cause__ or seen.__context__
    return "[SSL" in str(error)


def not_json(answer: httpx.Response, doing: str) -> CloudError:
    """An answer of 2xx that is no JSON: a login page, a proxy, a wrong address."""
    start = clean(answer.text[:60]) or "nothing"
    return CloudError(f'{doing}: not the service: the answer is no JSON but "{start}"; check --url', answer.status_code)


def clean(text: str) -> str:
    """A text from outside as one line without control characters, of a bearable length."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return text if len(text) <= _CLIP else text[: _CLIP - 1] + "…"


def _body(answer: httpx.Response) -> tuple[int | None, str]:
    """(nRF code, words) of an error body: {"code", "message"}, an array of texts, or anything else."""
    try:
        value = json.loads(answer.content or b"null")
    except (ValueError, RecursionError):
        kind = answer.headers.get("content-type", "")
        return None, "" if "html" in kind else clean(answer.text)
    code, words = None, ""
    if isinstance(value, dict):
        code = value.get("code")
        code = code if isinstance(code, int) and not isinstance(code, bool) else None
        words = value.get("message") or value.get("error") or value.get("errors") or ""
    elif value is not None:
        words = value
    if isinstance(words, list):
        words = "; ".join(str(item) for item in words)
    return code, clean(words if isinstance(words, str) else json.dumps(words))


def _tls_detail(text: str) -> str:
    found = re.search(r"certificate verify failed: ([^(]+)", text) or re.search(r"\] ([^(]+)", text)
    return (found[1] if found else text).strip() or "TLS failed"
