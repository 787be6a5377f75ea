"""The operator at the console: everything a person would do in the cloud, through its documented REST API only.

nRF Cloud REST v1 (nrfcloud.md 14): onboarding by public key, desired configuration, firmware upload, FOTA job, and
the listings that the summary is made of. `/twin/records` is the one address the real service does not have.
Called by day.py and factory.py; every call has a timeout and ends in DayError with the service's own words.
"""

from __future__ import annotations

import asyncio
import urllib.parse

import httpx

from .processes import DayError

_TIMEOUT_S = 10.0
_BULK_POLL_S = 0.1
_BULK_POLLS = 100
_PAGE = 100


class Operator:
    """A REST client bound to one account and one device."""

    def __init__(self, base: str, api_key: str, device_id: str):
        self.base = base
        self.device_id = device_id
        self._http = httpx.AsyncClient(
            base_url=base,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=_TIMEOUT_S,
            trust_env=False,  # a proxy of the environment must never see loopback calls
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def onboard(self, public_pem: str) -> None:
        """Register the device's public key (CSV of one row) and wait until the bulk operation is done."""
        pem = public_pem.strip().replace('"', '""')
        row = f'{self.device_id},"{pem}\n"\n'  # the service wants the last line break of the PEM block
        answer = await self._call("POST", "/v1/devices/public-keys", content=row, content_type="text/csv")
        request = answer.get("bulkOpsRequestId")
        for _ in range(_BULK_POLLS):
            bulk = await self._call("GET", f"/v1/bulk-ops-requests/{request}")
            if bulk.get("status") == "SUCCEEDED":
                return
            if bulk.get("status") not in ("IN_PROGRESS", "PENDING"):
                raise DayError(f"cloud: onboarding {self.device_id} ended as {bulk.get('status')}")
            await asyncio.sleep(_BULK_POLL_S)
        raise DayError(f"cloud: onboarding {self.device_id} did not end")

    async def set_desired(self, desired: dict) -> None:
        """Merge `desired` into the device's desired shadow."""
        await self._call("PATCH", f"/v1/devices/{self.device_id}/state", json={"desired": desired})

    async def upload(self, archive: bytes) -> str:
        """Upload a firmware zip; returns the bundleId taken from the returned URI."""
        answer = await self._call("POST", "/v1/firmwares", content=archive, content_type="application/zip")
        uris = answer.get("uris") or []
        if not uris:
            raise DayError("cloud: firmware upload answered without uris")
        return bundle_id(uris[0])

    async def create_job(self, bundle: str, name: str) -> str:
        body = {"bundleId": bundle, "deviceIds": [self.device_id], "name": name, "autoApply": True}
        return (await self._call("POST", "/v1/fota-jobs", json=body))["jobId"]

    async def job(self, job_id: str) -> dict:
        return await self._call("GET", f"/v1/fota-jobs/{job_id}")

    async def execution(self, job_id: str) -> dict:
        return await self._call("GET", f"/v1/fota-job-executions/{self.device_id}/{job_id}")

    async def device(self) -> dict:
        return await self._call("GET", f"/v1/devices/{self.device_id}")

    async def firmwares(self) -> list[dict]:
        return await self._pages("/v1/firmwares", {})

    async def messages(self) -> list[dict]:
        return await self._pages("/v1/messages", {"deviceId": self.device_id, "pageSort": "asc"})

    async def locations(self) -> list[dict]:
        return await self._pages("/v1/location/history", {"deviceId": self.device_id, "pageSort": "asc"})

    async def records(self) -> dict:
        """The twin's own accounts of what reached it, straight from its database."""
        return await self._call("GET", "/twin/records")

    async def _pages(self, path: str, query: dict) -> list[dict]:
        items: list[dict] = []
        token = None
        while True:
            page = dict(query, pageLimit=_PAGE)
            if token:
                page["pageNextToken"] = token
            answer = await self._call("GET", path, params=page)
            items += answer.get("items", [])
            token = answer.get("pageNextToken")
            if not token:
                return items

    async def _call(self, method: str, path: str, *, content=None, content_type=None, json=None, params=None) -> dict:
        headers = {"Content-Type": content_type} if content_type else None
        try:
            answer = await self._http.request(method, path, content=content, headers=headers, json=json, params=params)
        except httpx.HTTPError as error:
            raise DayError(f"cloud: {method} {path}: {type(error).__name__} {error}".rstrip()) from error
        if answer.status_code >= 400:
            raise DayError(f"cloud: {method} {path} answered {answer.status_code}: {answer.text[:200]}")
        try:
            body = answer.json() if answer.content else {}
        except ValueError as error:
            raise DayError(f"cloud: {method} {path} answered something that is not JSON") from error
        return body if isinstance(body, dict) else {"items": body}


def bundle_id(uri: str) -> str:
    """bundleId of a firmware URI: the uuid on the bundles host, `TYPE*hash*version` on the firmware host."""
    parts = [urllib.parse.unquote(part) for part in urllib.parse.urlsplit(uri).path.split("/") if part]
    for part in parts:
        if "*" in part:
            return part
    if not parts:
        raise DayError(f"cloud: no bundle id in {uri}")
    return parts[0]
