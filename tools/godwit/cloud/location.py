"""`godwit cloud history` and `godwit cloud locate` (nrfcloud.md 5.1, 14.2).

History values are texts in the service's answers; GeoJSON (RFC 7946) has longitude before latitude.
"""

import json
import re
from pathlib import Path

import click

from . import times
from .api import Api
from .command import command
from .errors import CloudError

_MAC = re.compile(r"([0-9a-f]{2})[:-]?" * 5 + "([0-9a-f]{2})", re.I)
_TOKEN = "/account/service-evaluation-token"


@command()
@click.argument("device", required=False)
@click.option("--start", help="From: 2026-11-21, 2026-11-21T15:04:05Z, 2h (ago).")
@click.option("--end", help="Until.")
@click.option("--tag", "tags", multiple=True, help="Devices with one of these tags.")
@click.option("--latest", is_flag=True, help="Only the last one of each device.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@click.option("--all", "everything", is_flag=True, help="No limit.")
@click.option("--geojson", type=click.Path(dir_okay=False, allow_dash=True), help="Write this file (- prints it).")
def history(cloud, device, start, end, tags, latest, limit, everything, geojson):
    """Where DEVICE (or every device) has been, the newest first."""
    query = {"deviceId": device, "start": times.given(start), "end": times.given(end), "tags": list(tags) or None}
    query["latest"] = "true" if latest else None
    found = list(cloud.api.pages("/location/history", None if everything else limit, **query))
    if geojson:
        return _write_geojson(cloud, geojson, found)
    if cloud.as_json:
        return cloud.screen.json(found)
    columns = ("time", "device", "by", "latitude>", "longitude>", "± m>", "more")
    cloud.screen.table(columns, map(_row, found), "no positions")
    if len(found) == limit and not everything:
        cloud.screen.note(f"the first {limit}; --limit or --all for more")


@command()
@click.option("--mcc", type=click.IntRange(0, 999), help="Country of the cell.")
@click.option("--mnc", type=click.IntRange(0, 999), help="Network of the cell.")
@click.option("--tac", type=click.IntRange(0, 65535), help="Tracking area.")
@click.option("--eci", type=click.IntRange(0, 2**28 - 1), help="E-UTRAN cell id, 28 bit.")
@click.option("--rsrp", type=click.FloatRange(-157, -44), help="dBm.")
@click.option("--rsrq", type=click.FloatRange(-34.5, -3.5), help="dB.")
@click.option("--earfcn", type=click.IntRange(0, 262143), help="Channel.")
@click.option("--pci", type=click.IntRange(0, 503), help="Physical cell id.")
@click.option("--adv", type=click.IntRange(0, 20512), help="Timing advance.")
@click.option("--wifi", multiple=True, metavar="MAC[,DBM]", help="An access point; two or more.")
@click.option("--hi-conf", is_flag=True, help="Radius of 95 % in place of 68 %.")
@click.option("--no-fallback", is_flag=True, help="No estimate from the tracking area.")
@click.option("--device", help="Goes along as x-custom-device-id.")
@click.option("--token-file", type=click.Path(dir_okay=False, path_type=Path), help="JWT for the location services.")
@click.option("--evaluation", is_flag=True, help="Use the account's service evaluation token.")
@click.option("--start-evaluation", is_flag=True, help="Make that token first: the 30 days of evaluation begin.")
def locate(cloud, wifi, hi_conf, no_fallback, device, token_file, evaluation, start_evaluation, **cell):
    """Where a cell or access points are (POST location/ground-fix).

    The real service takes a JWT here, not the API key: --evaluation or --token-file.
    """
    body = _request({name: value for name, value in cell.items() if value is not None}, wifi)
    params = {}
    if hi_conf:
        params["hiConf"] = "true"
    if no_fallback:
        params["fallback"] = "false"
    headers = {"x-custom-device-id": device} if device else {}
    evaluation = "POST" if start_evaluation else "GET" if evaluation else None
    api = _location_api(cloud, token_file, evaluation)
    try:
        found = api.call("POST", "/location/ground-fix", json=body, params=params, headers=headers)
    except CloudError as error:
        if error.status in (401, 403) and not (token_file or evaluation):
            text = f"{error.message} Location calls take a JWT: --evaluation or --token-file"
            raise CloudError(text, error.status, error.code) from error
        if error.status == 404:
            raise CloudError("not found: nobody has surveyed this cell or these access points (404)", 404) from error
        raise
    if not isinstance(found, dict):
        raise CloudError("the service answered without a position")
    if cloud.as_json:
        return cloud.screen.json(found)
    words = f"{found.get('lat')}, {found.get('lon')}  ± {found.get('uncertainty')} m"
    cloud.screen.say(f"{words}  by {found.get('fulfilledWith')}", "bold")


def geojson_of(items):
    """A FeatureCollection: a point per item that has numbers, and a line per device in the order of time."""
    features, tracks = [], {}
    for item in sorted(items, key=lambda one: str(one.get("insertedAt"))):
        lat, lon = _number(item.get("lat"), 90), _number(item.get("lon"), 180)
        if lat is None or lon is None:
            continue
        meta = item.get("meta") if isinstance(item.get("meta"), dict) else {}
        altitude = _number(meta.get("alt"), 1e6)
        where = [lon, lat] if altitude is None else [lon, lat, altitude]
        about = {name: item.get(name) for name in ("deviceId", "serviceType", "insertedAt", "id")}
        about["uncertainty"] = _number(item.get("uncertainty"), 1e9)
        features.append(_feature("Point", where, {**about, **meta}))
        tracks.setdefault(str(item.get("deviceId")), []).append([lon, lat])
    for device, line in tracks.items():
        if len(line) > 1:
            features.append(_feature("LineString", line, {"deviceId": device}))
    return {"type": "FeatureCollection", "features": features}


def _feature(kind, coordinates, properties):
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}


def _write_geojson(cloud, path, found):
    document = geojson_of(found)
    points = sum(one["geometry"]["type"] == "Point" for one in document["features"])
    text = json.dumps(document, ensure_ascii=False)
    if path == "-":
        return click.echo(text)
    try:
        Path(path).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise CloudError(f"{path}: {error.strerror}") from error
    if cloud.as_json:
        return cloud.screen.json({"file": path, "points": points})
    cloud.screen.say(f"{path}: {points} points", "green")
    if points < len(found):
        cloud.screen.note(f"{len(found) - points} without numbers are left out")


def _row(item):
    meta = item.get("meta")
    more = "  ".join(f"{key} {value}" for key, value in meta.items()) if isinstance(meta, dict) else ""
    place = (item.get("lat"), item.get("lon"), item.get("uncertainty"))
    return times.show(item.get("insertedAt")), item.get("deviceId"), item.get("serviceType"), *place, more


def _number(value, limit):
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) <= limit else None


def _request(cell, wifi):
    """The JSON body; CloudError when it is not enough to find a place."""
    body = {}
    missing = [name for name in ("mcc", "mnc", "tac", "eci") if name not in cell]
    if cell and missing:
        raise CloudError(f"a cell is --mcc --mnc --tac --eci: {', '.join(missing)} missing")
    if cell:
        body["lte"] = [cell]
    if wifi:
        if len(wifi) < 2:
            raise CloudError("one access point is not enough: two or more")
        body["wifi"] = {"accessPoints": [_access_point(text) for text in wifi]}
    if not body:
        raise CloudError("nothing to locate: --mcc --mnc --tac --eci, or --wifi twice")
    return body


def _access_point(text):
    address, _, strength = text.partition(",")
    found = _MAC.fullmatch(address.strip())
    if not found or strength and not re.fullmatch(r"\s*-\d{1,3}\s*", strength):
        raise CloudError(f"--wifi {text}: expected 00:11:22:33:44:55 or 00:11:22:33:44:55,-67")
    point = {"macAddress": ":".join(found.groups()).lower()}
    if strength:
        point["signalStrength"] = int(strength)
    return point


def _location_api(cloud, token_file, evaluation) -> Api:
    if token_file and evaluation:
        raise click.UsageError("--token-file or --evaluation, not both")
    if token_file:
        from .places import api_key

        return cloud.client(cloud.base, api_key(None, str(token_file)))
    return cloud.client(cloud.base, _evaluation_token(cloud, evaluation)) if evaluation else cloud.api


def _evaluation_token(cloud, method):
    """The account's token (GET), or a new one (POST, which starts the evaluation period when there was none)."""
    try:
        token = cloud.api.object(method, _TOKEN).get("token")
    except CloudError as error:
        if error.status != 404:
            raise
        token = None
    if not isinstance(token, str) or not token:
        raise CloudError("the account has no service evaluation token; --start-evaluation makes one", 404)
    return token
