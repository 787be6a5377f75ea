"""The recovery ladder of modems.md 5.1: which reset comes next, when, and what of it outlives a restart. Step of rise.

Rungs 0 to 6 are the levels of modem.reset(), 7 restarts the board. Each is climbed when `_TRIES` attempts after the one
before have failed, and those that cannot help are left out (`link.level`): a modem that does not answer has no sockets
to close. The rungs that cost a registration wait longer each time, so that nobody hammers a network. A run of failures
ends when an uplink got through (tasks/uplink), not when a session was opened: until then it goes on where it was, also
after a restart, and the board restarts itself once a run, then once a day at most. What the network or the SIM refuses
climbs no rung: no reset mends it, and asking often makes it worse.

`state.ladder` is the run, None when all is well. On flash, written when a rung is climbed and when the run ends:
    {"counts": [how often each rung was climbed, ever], "level": highest of this run, "costly": how many from 3 on,
     "boots": restarts by us, "starts": starts since a rung was climbed, "error": the last, "open": not yet over,
     "pin": checksum of a PIN that the SIM refused (or absent)}
"""

import os
from binascii import crc32

from micropython import const

import clock
import log
import store
from modem.base import ATError, SimError
from tasks import explain

_SOCKETS = const(1)
_RADIO = const(3)
_SILENT = const(5)
_BOARD = const(7)
_TRIES = const(2)
_PAUSES_S = (0, 600, 1800, 3600)  # before each further rung that costs a registration, and before starts in a row
_HOUR_S = const(3600)
_DAY_S = const(86400)
_LONG_S = const(43200)  # a subscription, or an identity, that is not in order: 12 to 24 h (modems.md 5.2)
_CONGESTION = const(22)
_T3346_S = const(900)  # its default range is 15 to 30 min (TS 24.008); it runs in the modem
_SIM_TRIES = const(3)
_SIM_S = const(10)
_LONGEST = const(80)  # characters of an error
_FILE = "/ladder.json"
_NUMBERS = ("level", "costly", "boots", "starts")
_NAMES = ("probe", "sockets", "bearer", "radio", "modem", "reset_pin", "power", "board")


def _read(config):
    """-> the ladder as it is on flash; a new one when there is none, or none that can be used."""
    try:
        ladder = store.read_json(config.folder + _FILE)
        counts = ladder["counts"]
        numbers = [ladder[key] for key in _NUMBERS] + counts
        sound = len(counts) == len(_NAMES) and min(numbers) >= 0 and ladder["level"] < len(counts)
        if sound and isinstance(ladder["error"], str) and isinstance(ladder["open"], bool):
            return ladder
    except (OSError, store.StoreError, TypeError, KeyError):
        pass  # damaged: nothing that is worth more than a new start
    ladder = {key: 0 for key in _NUMBERS}
    ladder.update({"counts": [0] * len(_NAMES), "error": "", "open": False})
    return ladder


def _keep(config, ladder):
    """Write it; -> whether flash took it."""
    try:
        store.write_json(config.folder + _FILE, ladder)
        return True
    except OSError as problem:
        log.error("link", "the recovery ladder could not be kept: %s", problem)
        return False


def _below(limit):
    return int.from_bytes(os.urandom(4), "big") % (limit + 1)


def _jitter(seconds):
    """-> `seconds` give or take a fifth: nodes that lost the same cell shall not come back together."""
    return seconds - seconds // 5 + _below(seconds * 2 // 5)


def _pause_s(number):
    """-> seconds to wait before the `number`-th (from 0) in a row of what costs a registration."""
    return _jitter(_PAUSES_S[min(number, len(_PAUSES_S) - 1)])


# --- before an attempt


async def begin(link):
    """Judge the session that was lost, if any, and do what the failures call for. -> 0, or seconds to wait before the
    attempt. Raises OSError, ATError when a probe finds the modem silent."""
    pause = 0
    if link.level is None:
        pause = _first(link)
    elif link.began is not None:
        pause = _judge(link)
    if not pause:
        if link.failures >= _TRIES:
            await _climb(link)
        elif link.failures and link.started:
            await _probe(link)
    return pause


def _first(link):
    """The first attempt since the start: a run that a restart has cut goes on, slower with each start in a row."""
    link.level = 0
    ladder = _read(link.config)
    if not ladder["open"]:
        return 0
    link.state.ladder = ladder
    pause = _pause_s(ladder["starts"])
    ladder["starts"] += 1
    _keep(link.config, ladder)
    log.warn("link", "recovery goes on after level %d: %s", ladder["level"], ladder["error"])
    return pause


def _judge(link):
    """What the session that is over says: nothing heard in it is a failed attempt, no uplink for long is a rung."""
    state = link.state
    began, link.began = link.began, None
    if state.heard is None:  # tasks/health
        link.failures = _TRIES
    elif state.link_error is None or link.cloud.heard > began:
        link.failures = 0
        link.backoff.reset()
        return 0
    else:
        link.failures += 1
    link.level = _SOCKETS
    return _wait(link, _note(link, state.link_error))


async def _probe(link):
    try:
        await link.modem.reset(0)
    except (OSError, ATError):
        link.level = _SILENT
        link.started = False
        raise


# --- climbing


def _next(link, ladder):
    """-> the rung to climb next. Above the highest it begins again with the first one that costs a registration."""
    level = max(ladder["level"] + 1, link.level)
    may_restart = link.restart and (not ladder["boots"] or clock.uptime_ms() >= _DAY_S * 1000)
    if level < _BOARD or (level == _BOARD and may_restart):
        return level
    return max(_RADIO, link.level)


def _wait(link, ladder):
    """-> seconds to wait before the rung that is next; 0 when it is not time for one, or when it costs nothing."""
    if link.failures < _TRIES or _next(link, ladder) < _RADIO:
        return 0
    return _pause_s(ladder["costly"])


async def _climb(link):
    ladder = link.state.ladder
    level = _next(link, ladder)
    if not _count(link, ladder, level) and level == _BOARD:
        level = _RADIO  # who cannot remember that he restarted must not: he would again
    link.failures = 0
    link.started = False
    log.warn("modem", "recovery level %d (%s): %s", level, _NAMES[level], ladder["error"])
    if level == _BOARD:
        link.restart()
    try:
        await link.modem.reset(level)
    except (OSError, ATError) as problem:  # no such switch, or no help: the attempt that follows finds out
        log.warn("modem", "recovery: %s", explain(problem))


def _count(link, ladder, level):
    ladder["level"] = level
    ladder["counts"][level] += 1
    ladder["costly"] += level >= _RADIO
    ladder["boots"] += level == _BOARD
    ladder["starts"] = 0
    ladder["open"] = True
    return _keep(link.config, ladder)


# --- after an attempt


def _note(link, error):
    """Remember `error` as the last; -> the run, begun now if there is none."""
    state = link.state
    state.heard = clock.uptime_ms()  # no uplink is expected while this lasts
    if state.ladder is None:
        state.ladder = _read(link.config)
    state.ladder["error"] = explain(error)[:_LONGEST]
    return state.ladder


def fail(link, error):
    """An attempt failed with `error`; -> seconds to wait before the next."""
    link.failures += 1
    log.error("link", "failed (%d): %s", link.failures, explain(error))
    return max(link.backoff.next(), _wait(link, _note(link, error)))


async def refused(link, error, pin):
    """The network denied us, or the SIM does not let us in (Denied, SimError); `pin` was offered to the modem, or None.
    -> seconds to wait. The radio is off meanwhile, and the next attach() selects the operator anew."""
    log.error("modem", "%s", error)
    number = link.backoff.attempts
    link.backoff.next()
    before = link.state.ladder
    before = before and before["open"] and before["error"]
    ladder = _note(link, error)
    if isinstance(error, SimError) and error.kind == "pin" and pin and link.modem.pin is None:
        ladder["pin"] = crc32(pin.encode())  # never again: the third wrong one locks the SIM
        before = None
    if ladder["error"] != before:
        ladder["open"] = True
        _keep(link.config, ladder)
    if isinstance(error, SimError):
        await _radio_off(link)
        return _sim_s(error.kind, number + 1)
    if error.cause == _CONGESTION:
        return _T3346_S + _below(_T3346_S)
    await _radio_off(link)
    return _LONG_S + _below(_LONG_S) if error.for_long else _pause_s(number + 1)


def _sim_s(kind, number):
    """-> seconds to wait after the `number`-th (from 1) attempt that the SIM refused."""
    if kind in ("missing", "failure"):  # a bad contact
        return _jitter(_SIM_S if number < _SIM_TRIES else _HOUR_S)
    return _jitter(_DAY_S)  # it takes a person: other settings, or another SIM


async def _radio_off(link):
    try:
        await link.modem.reset(_RADIO)
    except (OSError, ATError) as problem:
        log.warn("modem", "radio: %s", problem)
        link.started = False


def usable(link):
    """-> the PIN of the settings, or None: there is none, or the SIM has refused it once."""
    pin = link.config["pin"]
    if not pin:
        return None
    ladder = link.state.ladder or _read(link.config)
    return None if ladder.get("pin") == crc32(pin.encode()) else pin


# --- when an uplink has got through


def tell(records, ladder):
    """An alert that the node is back, once a run."""
    if ladder["open"] and "told" not in ladder:
        ladder["told"] = True
        text = "recovered by level %d (%s): %s" % (ladder["level"], _NAMES[ladder["level"]], ladder["error"])
        records.alert("recovered", ladder["level"], text)


def proven(state, config):
    """The run is over."""
    ladder = state.ladder
    state.ladder = None
    if ladder["open"]:
        ladder.pop("told", None)
        for key in _NUMBERS:
            ladder[key] = 0
        ladder["open"] = False
        _keep(config, ladder)


def counts(config):
    """-> {name of a rung: how often it was climbed, "error": the last error} of what is on flash, None for nothing."""
    ladder = _read(config)
    if not ladder["error"]:
        return None
    found = {name: count for name, count in zip(_NAMES, ladder["counts"]) if count}
    found["error"] = ladder["error"]
    return found
