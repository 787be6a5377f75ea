"""REST: location services, assistance data, location history (facts 14.2; the specification's Location Services).

What the services compute is what devices get over CoAP; here are the HTTP forms: JSON bodies, Range and HEAD,
device tokens and x-custom-device-id. A fix is written to the history of the device that the request is for; without
one it is only answered.
Called through rest_app.py.
"""

import re
import struct

from starlette.responses import JSONResponse, Response

from . import agnss_api, auth, geocode, ground_fix, location, payload, pgps, pgps_api
from .blocks import Cache
from .errors import NOT_FOUND, RANGE, ApiError, invalid, not_found
from .rest_app import listing, query, query_flag, query_list, read_body, read_json
from .rest_caller import ANYBODY, EVALUATION
from .rest_query import time_range

_RANGE = re.compile(r"bytes=([0-9]{0,9})-([0-9]{0,9})")
_CELLS = ("lte", "ltecatm", "nbiot")
_SINGLE_CELL = struct.Struct("<ddi")
_COORDINATE = re.compile(r"[-+]?[0-9]{1,3}([.][0-9]{1,20})?([eE][-+]?[0-9]{1,3})?")
_OCTETS = "application/octet-stream"


class LocationRoutes:
    """Handlers of /v1/location/*."""

    def __init__(self, store, devices, locations, faults):
        self._store = store
        self._devices = devices
        self._locations = locations
        self._faults = faults
        self._chunked = Cache()  # the whole of what is fetched in ranges, which must not change in between

    def routes(self):
        """(method, path, handler, kinds of callers) or, for operators alone, (method, path, handler)."""
        services = [
            ("POST", "ground-fix", self.ground_fix),
            ("POST", "cell", self.cell),
            ("POST", "wifi", self.wifi),
            ("GET", "single-cell", self.single_cell),
            ("POST", "gnss", self.gnss),
            ("HEAD", "agnss", self.agnss_size),
            ("POST", "agnss", self.agnss),
            ("HEAD", "agps", self.agnss_size),
            ("GET", "agps", self.agps),
            ("GET", "pgnss", self.pgnss),
            ("GET", "pgps", self.pgnss),
            ("GET", "geo", self.geo),
        ]
        return [
            *((method, f"/v1/location/{name}", handler, ANYBODY) for method, name, handler in services),
            ("GET", "/v1/location/history", self.history),
            ("DELETE", "/v1/location/history/{device}/{item}", self.delete_location),
        ]

    async def ground_fix(self, request):
        """A place from cells and access points."""
        return self._fix(request, await read_json(request))

    async def cell(self, request):
        """A place from cells alone."""
        value = await read_json(request)
        return self._fix(request, {name: value[name] for name in _CELLS if name in value})

    async def wifi(self, request):
        """A place from access points alone; the answer does not say by which service."""
        value = await read_json(request)
        return self._fix(request, {"wifi": {"accessPoints": value.get("accessPoints")}}, without=("fulfilledWith",))

    async def single_cell(self, request):
        """A place from one cell in the query, as JSON or as two float64 and an int32, little endian."""
        given = request.query_params
        form = given.get("format", "binary")
        if form not in ("json", "binary"):
            raise invalid("format is json or binary")
        cell = {name: _integer(given.get(name), name) for name in ("mcc", "tac", "eci")}
        cell["mnc"] = given.get("mnc")
        if given.get("rsrp") is not None:
            cell["rsrp"] = _decimal(given["rsrp"], "rsrp")
        fix = self._locate(request, {"lte": [cell]})
        if form == "json":
            return {name: fix[name] for name in ("lat", "lon", "uncertainty")}
        return Response(_SINGLE_CELL.pack(fix["lat"], fix["lon"], fix["uncertainty"]), media_type=_OCTETS)

    async def gnss(self, request):
        """Coordinates that a device found itself."""
        value = await read_json(request)
        for name, limit in (("lat", 90), ("lon", 180)):
            if not payload.is_number(value.get(name)) or abs(value[name]) > limit:
                raise invalid(f"{name} is a number of degrees")
        for name in ("acc", "alt", "hdg", "spd"):
            if name in value and not payload.is_number(value[name]):
                raise invalid(f"{name} is a number")
        device = _device(request)
        if device is not None:
            self._locations.add_gnss(device, value)
        return Response(status_code=202)

    async def agnss(self, request):
        """Assistance data for the JSON body."""
        body = await read_body(request)
        return self._chunk(request, _object(body))

    async def agps(self, request):
        """Assistance data for the query; the older form."""
        return self._chunk(request, _agnss_query(request))

    async def agnss_size(self, request):
        """How long the answer would be, in Content-Length; parameters in the query or the body."""
        body = await read_body(request)
        whole = self._assistance(request, {**_agnss_query(request), **_object(body)})
        return Response(headers={"Content-Length": str(len(whole)), "Content-Type": _OCTETS, "Accept-Ranges": "bytes"})

    async def pgnss(self, request):
        """Where a file of predictions is."""
        host = pgps.OTHER_HOST if self._faults.value("pgnss_host") else pgps.HOST
        return pgps_api.answer(pgps_api.read_query(_lists(request)), self._store.world.now_s(), self._faults, host)

    async def geo(self, request):
        """The address nearest to coordinates."""
        lat, lon = (_degrees(request, name, limit) for name, limit in (("lat", 90), ("lon", 180)))
        found = geocode.address(lat, lon)
        if found is None:
            raise not_found("no address near these coordinates", NOT_FOUND)
        return found

    async def history(self, request):
        """Location history, newest first; latest=true keeps one item per device."""
        where, args = time_range(request, "inserted_at")
        device = request.query_params.get("deviceId") or request.query_params.get("deviceIdentifier")
        if device:
            if not auth.DEVICE_ID.fullmatch(device):
                raise invalid("deviceId not valid")
            where.append("device = ?")
            args.append(device)
        tags = query_list(request, "tags")
        if tags:
            tagged = self._devices.tagged(tags)
            where.append(f"device IN ({', '.join('?' * len(tagged))})")
            args += tagged
        if query_flag(request, "latest"):
            where.append("n IN (SELECT MAX(n) FROM location GROUP BY device)")
        rows, more = self._store.page("location", "n", where, args, query(request))
        return listing([location.location_document(row) for row in rows], more)

    async def delete_location(self, request):
        """Delete one item."""
        device, item = request.path_params["device"], request.path_params["item"]
        if not self._store.run("DELETE FROM location WHERE device = ? AND id = ?", device, item):
            raise not_found("no such location", NOT_FOUND)
        return Response(status_code=202)

    def _fix(self, request, value, without=()):
        options = ground_fix.read_options(_lists(request))
        fix = self._locate(request, value, options)
        if not options["doReply"]:
            return Response(status_code=200)
        return JSONResponse({name: item for name, item in fix.items() if name not in without})

    def _locate(self, request, value, options=None):
        options = options or ground_fix.read_options({})
        cells, points = ground_fix.read_request(value, False)
        suffix = "_EVAL" if request.state.caller.kind == EVALUATION else ""
        return ground_fix.locate(self._locations, _device(request), cells, points, options, suffix)

    def _assistance(self, request, value, fresh=True):
        """The whole body, made once for all ranges that a caller fetches of it."""
        key = (request.state.caller, _device(request), repr(sorted(value.items())))
        whole = None if fresh else self._chunked.get(key)
        if whole is None:
            made = agnss_api.read_request(value, self._store.world.now_s())
            whole = agnss_api.make_body(made, self._faults)
            self._chunked.put(key, whole)
        return whole

    def _chunk(self, request, value):
        """206 for a range, 200 for all of it. Raises ApiError 416."""
        text = request.headers.get("range")
        # who begins wants it of now, who goes on what was begun
        whole = self._assistance(request, value, fresh=text is None or text.startswith("bytes=0-"))
        if text is None:
            return Response(whole, media_type=_OCTETS)
        first, last = _read_range(text, len(whole))
        headers = {"Content-Range": f"bytes {first}-{last}/{len(whole)}", "Accept-Ranges": "bytes"}
        return Response(whole[first : last + 1], 206, headers, _OCTETS)


def _read_range(text, size):
    """(first, last) byte of a Range header. Raises ApiError 416."""
    found = _RANGE.fullmatch(text.replace(" ", ""))
    if not found or not (found[1] or found[2]):
        raise ApiError(416, RANGE, "Range is bytes=first-last")
    if not found[1]:
        first, last = max(0, size - int(found[2])), size - 1
    else:
        first, last = int(found[1]), min(int(found[2] or size), size - 1)
    if first > last:
        raise ApiError(416, RANGE, f"the body has {size} bytes")
    return first, last


def _device(request):
    """The device that a request is for: of the token, else of the header x-custom-device-id, or None.

    Raises ApiError 422 when the header is no device id.
    """
    device = request.state.caller.device
    name = request.headers.get("x-custom-device-id")
    if device is None and name is not None:
        if not auth.DEVICE_ID.fullmatch(name):
            raise invalid("x-custom-device-id is not a device id")
        device = name
    return device


def _lists(request):
    """Query parameters as {name: [text, ...]}, as CoAP handlers have them."""
    return {name: request.query_params.getlist(name) for name in request.query_params}


def _agnss_query(request):
    return agnss_api.read_query(_lists(request))


def _object(body):
    """The JSON object of a body that may be missing."""
    value = payload.load_json(body) if body.strip() else {}
    if not isinstance(value, dict):
        raise invalid("the body is not an object")
    return value


def _integer(text, name):
    if text is None or not re.fullmatch(r"-?[0-9]{1,10}", text):
        raise invalid(f"{name} is a number")
    return int(text)


def _decimal(text, name):
    if not _COORDINATE.fullmatch(text):
        raise invalid(f"{name} is a number")
    return float(text)


def _degrees(request, name, limit):
    text = request.query_params.get(name, "")
    if not _COORDINATE.fullmatch(text) or abs(float(text)) > limit:
        raise invalid(f"{name} is a number of degrees")
    return float(text)
