"""One stored message as a line or a row: what it is about first, the JSON only where nothing better is known.

appIds and their data: nrfcloud.md 6.2 to 6.4.
"""

from rich.text import Text

from . import times
from .screen import plain, size
from .values import short

COLUMNS = ("received", "device", "what", "content", "measured")
_LEVELS = {0: "", 1: "ERR", 2: "WRN", 3: "INF", 4: "DBG"}
_LEVEL_STYLES = {1: "bold red", 2: "yellow", 3: "", 4: "dim"}
_ALERTS = {
    1: "online",
    2: "online after a watchdog reset",
    3: "going offline",
    4: "message",
    5: "temperature",
    6: "humidity",
    7: "battery",
    8: "shock",
}
_AT_ONCE_MS = 5000
_UNITS = {"TEMP": " °C", "HUMID": " %", "AIR_PRESS": " kPa", "RSRP": " dBm"}
_STYLES = {"ALERT": "bold red", "GNSS": "green", "GROUND_FIX": "green", "LOG": "dim", "DEVICE": "blue"}


def row(item):
    """A row of COLUMNS."""
    what, content, measured = describe(item)
    received = times.show(item.get("receivedAt"))
    return received, item.get("deviceId"), Text(plain(what), _STYLES.get(what, "cyan")), content, measured


def line(item, with_device=False):
    """A line for watching."""
    what, content, measured = describe(item)
    text = Text(times.show(item.get("receivedAt")).removesuffix(" UTC") + "Z ", "dim")
    if with_device:
        text.append(plain(str(item.get("deviceId"))) + " ", "bold")
    text.append(f"{plain(what):<10} ", _STYLES.get(what, "cyan"))
    text.append_text(content if isinstance(content, Text) else Text(content))
    if measured and _late(item):
        text.append(f"  (of {measured.removesuffix(' UTC')}Z)", "dim")
    return text


def describe(item):
    """(what, content, time of measurement or "") of a stored message."""
    message = item.get("message")
    if not isinstance(message, dict):
        return _opaque(message, str(item.get("topic") or ""))
    app_id = message.get("appId")
    what = app_id if isinstance(app_id, str) and app_id else "–"
    return what, _content(what, message), times.show_ms(message.get("ts"))


def alert_words(message):
    """What an alert says in words."""
    kind = message.get("type")
    name = _ALERTS.get(kind, f"alert {kind}") if isinstance(kind, int) else "alert"
    words = [name]
    if message.get("value") not in (None, 0):
        words.append(short(message["value"]))
    if message.get("desc"):
        words.append(short(message["desc"]))
    return " · ".join(words)


def _late(item):
    """Did it take the message long to come in?"""
    received = times.moment(item.get("receivedAt"))
    return received is None or abs(received.timestamp() * 1000 - item["message"]["ts"]) > _AT_ONCE_MS


def _opaque(message, topic):
    if isinstance(message, str):
        what = "BIN" if topic.endswith("/bin") else "RAW" if topic.endswith("/raw") else "TEXT"
        if what == "TEXT":
            return what, short(message), ""
        return what, f"{size(len(message) * 3 // 4 - message[-2:].count('='))}, base64: {short(message)[:48]}", ""
    return "–", short(message), ""


def _content(what, message):
    data = message.get("data")
    if what == "ALERT":
        return alert_words(message)
    if what == "LOG":
        level = message.get("lvl")
        level = level if isinstance(level, int) else None
        return Text(f"{_LEVELS.get(level, '')} {short(message.get('msg', ''))}".strip(), _LEVEL_STYLES.get(level, ""))
    if isinstance(data, dict) and "lat" in data and ("lng" in data or "lon" in data):
        return _position(data)
    if "data" in message:
        return short(data) + (_UNITS.get(what, "") if not isinstance(data, (dict, list)) else "")
    return short({key: value for key, value in message.items() if key not in ("appId", "messageType", "ts")})


def _position(data):
    words = [f"{short(data['lat'])}, {short(data.get('lng', data.get('lon')))}"]
    for key, form in (("acc", "± {} m"), ("alt", "{} m up"), ("spd", "{} m/s"), ("hdg", "to {}°")):
        if data.get(key) is not None:
            words.append(form.format(short(data[key])))
    return "  ".join(words)
