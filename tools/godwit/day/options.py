"""What a day is made of: the choices of the command line, checked once, and the places where things lie."""

from __future__ import annotations

import fcntl
import os
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ..places import BUILD
from .processes import DayError

HOST_NAME = "coap.nrfcloud.com"
COAP_PORT = 5684
STAY_REST_PORT = 8080  # with --stay the addresses are worth remembering
SEC_TAG = 16842753  # nRF Cloud's default for everything (nrfcloud.md 2)
IMEI = "359746166000016"
API_KEY = "desk-operator"
FIRST_VERSION = "1.0.0"
NEXT_VERSION = "1.1.0"
MAX_AGE_S = 8 * 3600  # authentication must be renewed within the day (the real service says 30 days)
JOB_AT = 0.40  # of the day: the operator creates the update job
OUTAGE_AT = 0.20  # of the day: the twin goes away (only with --outage)
PDN_LOSS_AT = 0.15  # of the day: the network takes the bearer away (only with --pdn-loss)
CUT_AT = 0.50  # of the bundle: the power goes
DESIRED = {"sample_interval_s": 900}  # what the operator asks for once the node is up
SETTINGS = {  # what the factory writes into config.json
    "ack_timeout_ms": 250,  # a round trip takes 10 ms here, where LTE-M takes seconds: a loss must not cost them
    "handshake_timeout_s": 3,
    "sample_interval_s": 600,
    "locate_interval_s": 3 * 3600,
    "uplink_interval_s": 1800,
    "shadow_interval_s": 3600,
    "update_interval_s": 2 * 3600,
}


@dataclass(frozen=True)
class Family:
    """What a modem family makes different on the desk."""

    dtls: str = "host"  # who speaks DTLS unless told otherwise
    keeps_keys: bool = False  # signs tokens, and keeps credentials that were put there
    assisted: bool = False  # its receiver takes nRF Cloud's A-GNSS
    power_key: bool = True
    checks_name: bool = True  # its DTLS compares the host name with the certificate


FAMILIES = {
    "nrf91": Family(keeps_keys=True, assisted=True, power_key=False),
    # SARA reads 1,024 bytes of a datagram and no more: a server's certificate in one flight is longer (modems.md 2D.3).
    "sara_r5": Family(dtls="modem", assisted=True),
    "bg95": Family(checks_name=False),
    "sim7080": Family(checks_name=False),
}
SABOTAGE = ("ca", "name", "expired", "future", "key", "onboarding")
_MARKER = ".godwit-day"
_SIX = 6 * 3600 * 1000
_DAY_MS = 86400 * 1000


@dataclass(frozen=True)
class Options:
    """The command line of `godwit run`."""

    bits: int = 64
    heap: int = 1 << 20
    modem: str = "nrf91"
    dtls: str | None = None  # the family's own way
    jwt: str = "host"
    drop: float = 0.0
    seed: int = 1
    hours: float = 24.0
    timeout_s: float = 150.0
    speed: float = 20.0
    plain: bool = False
    verbose: bool = False
    stay: bool = False
    keep: bool = False
    outage: bool = False
    pdn_loss: bool = False
    sabotage: str | None = None
    coap_port: int | None = None
    rest_port: int | None = None
    workdir: Path = BUILD / "day"
    report: Path | None = None

    def __post_init__(self):
        if self.jwt == "modem" and not self.family.keeps_keys:
            raise DayError(f"--jwt modem: {self.modem} keeps no keys, only nrf91 does")
        if not self.dtls:
            object.__setattr__(self, "dtls", self.family.dtls)
        if self.sabotage == "name" and self.dtls == "modem" and not self.family.checks_name:
            raise DayError(f"--sabotage name: DTLS of {self.modem} does not check host names; try --dtls host")

    @property
    def family(self) -> Family:
        return FAMILIES[self.modem]

    @property
    def device_id(self) -> str:
        return f"nrf-{IMEI}"

    @property
    def micropython(self) -> Path:
        return BUILD / "bin" / f"micropython{self.bits}"


@dataclass(frozen=True)
class Places:
    """Files of one day below its work directory."""

    root: Path
    lock: object = field(default=None, compare=False)  # open file that keeps other days out of this folder

    def __getattr__(self, name: str) -> Path:
        try:
            return self.root / _PLACES[name]
        except KeyError:
            raise AttributeError(name) from None


_PLACES = {
    "world": "world",
    "pki": "pki",
    "update_key": "update-key.pem",
    "stage": "stage",
    "flash": "flash.img",
    "nvs": "modem-nvs",
    "database": "twin.db",
    "uart": "uart",
    "control": "modem.sock",
    "logs": "logs",
}


def make_workspace(root: Path) -> Places:
    """A fresh work directory; refuses a folder that no earlier day made, or that another day lives in."""
    marker = root / _MARKER
    if root.exists() and any(root.iterdir()) and not marker.exists():
        raise DayError(f"{root} is not empty and not a day's folder: choose another --workdir")
    root.mkdir(parents=True, exist_ok=True)
    lock = open(marker, "a", encoding="utf-8")  # held until the process ends
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise DayError(f"another day is running in {root}: choose another --workdir") from error
    for entry in root.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry != marker:
            entry.unlink()
    places = Places(root, lock)
    places.logs.mkdir()
    return places


def morning_offset_ms(real_ms: int) -> int:
    """Milliseconds to add to the real clock so that the day starts at the next 06:00 UTC."""
    return (_SIX - real_ms) % _DAY_MS


def day_name(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%A %d %B %Y, %H:%M UTC")


def parse_heap(text: str) -> int:
    """'160k', '1m' or bytes -> bytes; ValueError for anything else or for less than a node can start in."""
    text = text.strip().lower()
    factor = {"k": 1024, "m": 1024 * 1024}.get(text[-1:], 1)
    size = int(text[:-1] if factor > 1 else text) * factor
    if size < 48 * 1024:
        raise ValueError("less than 48k")
    return size


def check_tools(options: Options) -> None:
    """DayError in one line for what is missing on this machine."""
    if not os.access(options.micropython, os.X_OK):
        raise DayError(
            f"no {options.bits}-bit MicroPython at {options.micropython}: run `make run` (it fetches one), "
            "or set MICROPYTHON=/path/to/micropython"
        )
