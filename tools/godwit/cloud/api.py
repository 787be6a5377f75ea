"""The REST client below every command: bearer key, time-outs, retries, errors as CloudError, lazy paging.

Repeated are requests that may be: GET, PUT, DELETE and merges always; a POST that makes something only when it cannot
have arrived (no connection, 429). When it may have, the error says so, and the operator decides. Back-off
is exponential with jitter and a cap (nrfcloud.md 14.2: 500, 502, 503, 504).
"""

from __future__ import annotations

import random
import ssl
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from . import places
from .errors import CloudError, clean, from_answer, from_transport, is_tls, not_json

ATTEMPTS = 6
PAGE = 100
_FIRST_S, _CAP_S, _MAX_WAIT_S = 0.5, 4.0, 30.0
_AGAIN = (500, 502, 503, 504)
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class Api:
    """One base address and one key. `note(text)` hears of every wait before a repetition.

    `transport`, `sleep` and `jitter` (0..1) are for tests.
    """

    def __init__(
        self,
        base: str,
        key: str,
        *,
        timeout_s: float = 30.0,
        note: Callable[[str], None] | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ):
        self.base = base
        self.host = httpx.URL(base).netloc.decode()
        self._note = note or (lambda text: None)
        self._sleep = sleep
        self._jitter = jitter
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {key}", "User-Agent": "godwit-cloud"},
            timeout=timeout_s,
            # a proxy of the environment must never see loopback calls
            trust_env=not places.is_loopback(httpx.URL(base).host),
            verify=_trusted(base) if transport is None else True,
            transport=transport,
        )

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, *, makes: str | None = None, **request: Any) -> Any:
        """One call below the base; returns the JSON value, None for an empty answer.

        `makes`: what a POST makes ("a FOTA job"); such a call is not repeated blindly. `request` goes to httpx
        (params, json, content, headers). Raises CloudError.
        """
        answer = self.answer(method, path, makes=makes, **request)
        return None if answer is None else _json(answer, f"{method} {path}")

    def object(self, method: str, path: str, **request: Any) -> dict:
        """Like `call`, for an answer that is a JSON object. CloudError when it is something else."""
        found = self.call(method, path, **request)
        if not isinstance(found, dict):
            raise CloudError(f"{method} {path}: the answer is no object but {clean(str(found))[:60]}")
        return found

    def answer(self, method: str, path: str, *, makes: str | None = None, **request: Any) -> httpx.Response | None:
        """Like `call`, but the whole response (None: a repeated DELETE found it gone)."""
        doing = f"{method} {path}"
        for attempt in range(1, ATTEMPTS + 1):
            wait = None
            try:
                answer = self._http.request(method, self.base + path, **request)
                if answer.is_success:
                    return answer
                if method == "DELETE" and answer.status_code == 404 and attempt > 1:
                    return None  # the answer to an earlier attempt was lost
                failure = from_answer(answer, doing)
                again = answer.status_code in (*_AGAIN, 429)
                unsure = bool(makes) and answer.status_code in _AGAIN
                wait = _retry_after(answer)
            except httpx.HTTPError as error:
                failure = from_transport(error, doing, self.host)
                not_sent = isinstance(error, _NOT_SENT)
                again = not is_tls(error)
                unsure = bool(makes) and not not_sent
            if unsure:
                raise CloudError(
                    f"{failure.message}. Not repeated: the service may have made {makes}; look before you repeat",
                    failure.status,
                    failure.code,
                )
            if not again or attempt == ATTEMPTS:
                break
            wait = self._backoff(attempt) if wait is None else wait
            words = f"{failure.message}; " if attempt == 1 else ""
            self._note(f"{words}again in {wait:.1f} s ({attempt} of {ATTEMPTS - 1})")
            self._sleep(wait)
        raise failure

    def pages(self, path: str, limit: int | None = None, **query: Any) -> Iterator[dict]:
        """The items of a list, page by page as they are asked for, at most `limit` of them."""
        token, left, seen = None, limit, set()
        while left is None or left > 0:
            params = {name: value for name, value in query.items() if value is not None}
            params["pageLimit"] = PAGE if left is None else min(PAGE, left)
            if token:
                params["pageNextToken"] = token
            items, token = _page(self.call("GET", path, params=params), path)
            yield from items if left is None else items[:left]
            left = None if left is None else left - len(items)
            if not token:
                return
            if token in seen:
                raise CloudError(f"GET {path}: the service repeats its pages")
            seen.add(token)

    def download(self, url: str) -> bytes:
        """The bytes at an address that the service gave; the key goes along only to the service itself."""
        target = httpx.URL(self.base).join(url)
        own = httpx.URL(self.base)
        same = (target.scheme, target.netloc) == (own.scheme, own.netloc)
        doing = f"GET {target.host}{target.path}"
        for attempt in range(1, ATTEMPTS + 1):
            request = self._http.build_request("GET", target)
            if not same:
                del request.headers["Authorization"]
            try:
                answer = self._http.send(request)
                if answer.is_success:
                    return answer.content
                failure = from_answer(answer, doing)
                again = answer.status_code in _AGAIN
            except httpx.HTTPError as error:
                failure = from_transport(error, doing, target.host)
                again = not is_tls(error)
            if not again or attempt == ATTEMPTS:
                break
            self._sleep(self._backoff(attempt))
        raise failure

    def wait(self, seconds: float) -> None:
        """Sleep between two looks at something."""
        self._sleep(seconds)

    def _backoff(self, attempt: int) -> float:
        return min(_CAP_S, _FIRST_S * 2 ** (attempt - 1)) * (0.5 + self._jitter() / 2)


def _trusted(base: str) -> ssl.SSLContext | bool:
    """Whom to trust: SSL_CERT_FILE and SSL_CERT_DIR count for loopback as well, which httpx ties to proxies."""
    if not base.startswith("https:"):
        return True
    try:
        return httpx.create_ssl_context(trust_env=True)
    except OSError as error:  # ssl.SSLError is one
        raise CloudError(f"SSL_CERT_FILE or SSL_CERT_DIR cannot be used: {error.strerror or error}") from error


def part(text: str) -> str:
    """A text as one segment of a path: an id typed by hand must not become another address. CloudError if empty."""
    if text in ("", ".", ".."):
        raise CloudError(f"{text!r} is no id")
    return urllib.parse.quote(text, safe="*:@")


def _retry_after(answer: httpx.Response) -> float | None:
    text = answer.headers.get("retry-after", "")
    return min(float(text), _MAX_WAIT_S) if text.isdecimal() else None


def _json(answer: httpx.Response, doing: str) -> Any:
    if not answer.content.strip():
        return None
    try:
        return answer.json()
    except (ValueError, RecursionError) as error:
        raise not_json(answer, doing) from error


def _page(value: Any, path: str) -> tuple[list, str | None]:
    items = value.get("items") if isinstance(value, dict) else value
    if not isinstance(items, list) or not all(isinstance(one, dict) for one in items):
        raise CloudError(f"GET {path}: not a list but {clean(value)[:60]}")
    token = value.get("pageNextToken") if isinstance(value, dict) else None
    return items, token if isinstance(token, str) and token else None
