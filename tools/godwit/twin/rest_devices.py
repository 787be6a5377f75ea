"""REST: devices, their names, tags and pictures, their shadow (facts 14.2, 7).

Called through rest_app.py; onboarding is in rest_onboard.py.
"""

import base64
import binascii
import re

from starlette.responses import Response

from .errors import DEVICE_NOT_FOUND, ApiError, invalid, not_found
from .rest_app import listing, query, read_body
from .store import dumps
from .transform import compiled, transform

_VERSION = re.compile(r'(?:W/)?"?(\d{1,18})"?')
_PICTURES = {b"\xff\xd8\xff": ("picture.jpg", "image/jpeg"), b"\x89PNG\r\n\x1a\n": ("picture.png", "image/png")}
_MAX_PICTURE = 1333333  # as text; a megabyte


class DeviceRoutes:
    """Handlers of /v1/devices and /v1/devices/{deviceId}."""

    def __init__(self, store, devices, products, downloads, fota):
        self._store = store
        self._devices = devices
        self._products = products
        self._downloads = downloads
        self._fota = fota

    def routes(self):
        """(method, path, handler) triples; the fixed paths below /v1/devices come before these."""
        return [
            ("GET", "/v1/devices", self.list),
            ("GET", "/v1/devices/{deviceId}", self.get),
            ("DELETE", "/v1/devices/{deviceId}", self.delete),
            ("PUT", "/v1/devices/{deviceId}/name", self.rename),
            ("PUT", "/v1/devices/{deviceId}/tags", self.retag),
            ("PUT", "/v1/devices/{deviceId}/image", self.set_image),
            ("DELETE", "/v1/devices/{deviceId}/image", self.delete_image),
            ("PATCH", "/v1/devices/{deviceId}/state", self.patch_state),
        ]

    async def list(self, request):
        """Devices, newest first, by all the filters; each one transformed when asked for."""
        asked = request.state.values
        where, args = [], []

        def only(condition, value):
            where.append(condition)
            args.append(value)

        if "deviceIds" in asked:
            only("id IN (SELECT value FROM json_each(?))", dumps(asked["deviceIds"]))
        if "subTypes" in asked:
            only("sub_type IN (SELECT value FROM json_each(?))", dumps(asked["subTypes"]))
        if "tags" in asked:
            only("id IN (SELECT value FROM json_each(?))", dumps(self._devices.tagged(asked["tags"])))
        if asked.get("deviceNameFuzzy"):
            only("instr(lower(name), lower(?))", asked["deviceNameFuzzy"])
        if "firmwareSupport" in asked:
            only("id IN (SELECT value FROM json_each(?))", dumps(self._devices.supporting(asked["firmwareSupport"])))
        if "firmwareSupportExclude" in asked:
            excluded = self._devices.supporting(asked["firmwareSupportExclude"])
            only("id NOT IN (SELECT value FROM json_each(?))", dumps(excluded))
        program = compiled(asked["transform"]) if "transform" in asked else None
        rows, more = self._store.page("(SELECT rowid AS n, * FROM device)", "n", where, args, query(request))
        if program is not None:
            return listing([transform(program, self._devices.render(row, True, True)) for row in rows], more)
        state, meta = asked.get("includeState", False), asked.get("includeStateMeta", False)
        return listing([self._devices.render(row, state, meta) for row in rows], more)

    async def get(self, request):
        """One device with its state, or what a transformation makes of it."""
        document = self._devices.document(request.path_params["deviceId"])
        expression = request.state.values.get("transform")
        return document if expression is None else transform(compiled(expression), document)

    async def delete(self, request):
        """Delete a device; one that is onboarded but not ours needs its ownership code."""
        device = request.path_params["deviceId"]
        code = (await read_body(request)).strip().decode("utf-8", "replace")
        if self._devices.exists(device):
            self._downloads.forget(self._devices.image(device))
            self._devices.delete(device)
            self._fota.forget_device(device)
        elif not self._products.unprovision(device, code):
            raise not_found(f"device {device} not found", DEVICE_NOT_FOUND)
        return Response(status_code=202)

    async def rename(self, request):
        """PUT "name" (or ["name"], as the command line tools send it)."""
        value = request.state.json
        name = value[0] if isinstance(value, list) else value
        self._devices.set(request.path_params["deviceId"], name=name)
        return Response(status_code=202)

    async def retag(self, request):
        """PUT [tag, ...]."""
        tags = list(dict.fromkeys(request.state.json))
        self._devices.set(request.path_params["deviceId"], tags=dumps(tags))
        return Response(status_code=202)

    async def set_image(self, request):
        """A picture from the Web by its URL, or the bytes of one (as they are, or in base64)."""
        device = request.path_params["deviceId"]
        body, url = await read_body(request), request.state.values.get("sourceUrl")
        self._devices.need(device)
        if bool(body) == (url is not None):
            raise invalid("either sourceUrl or a picture in the body")
        if body:
            name, kind, data = _picture(body)
            url = self._downloads.add(request, name, kind, data)
        self._downloads.forget(self._devices.image(device))
        self._devices.set_image(device, url)
        return Response(status_code=202)

    async def delete_image(self, request):
        """No picture any more."""
        device = request.path_params["deviceId"]
        self._devices.need(device)
        self._downloads.forget(self._devices.image(device))
        self._devices.set_image(device, None)
        return Response(status_code=202)

    async def patch_state(self, request):
        """Merge {"desired", "reported"} into the shadow, of the version of If-Match when there is one."""
        changes = {name: request.state.json[name] for name in ("desired", "reported") if name in request.state.json}
        found = _VERSION.fullmatch(request.headers.get("if-match", ""))
        self._devices.patch(request.path_params["deviceId"], changes, int(found[1]) if found else None)
        return Response(status_code=202)


def _picture(body):
    if len(body) > _MAX_PICTURE:
        raise ApiError(413, 40000, f"a picture is at most {_MAX_PICTURE} bytes")
    data = body
    if not body.startswith(tuple(_PICTURES)):
        try:
            data = base64.b64decode(body.strip().strip(b'"'), validate=True)
        except (binascii.Error, ValueError):
            data = b""
    for start, (name, kind) in _PICTURES.items():
        if data.startswith(start):
            return name, kind, data
    raise invalid("a picture is a JPEG or PNG file")
