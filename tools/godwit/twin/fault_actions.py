"""What a fault switch of kind "once" does, and the job that is cancelled under a download (facts 15.10).

Called by server.py when switches are set and for every block of a file.
"""

from . import fota as jobs
from .store import loads

_INVALID_CONTROL = {"alertsEn": True, "logLvl": 9}  # levels are 0..4 (facts 7.6)


class FaultActions:
    """Acts on the running twin. `dtls` has sessions and drop(), `devices` shadows, `fota` jobs."""

    def __init__(self, faults, dtls, devices, fota, store):
        self._faults = faults
        self._dtls = dtls
        self._devices = devices
        self._fota = fota
        self._store = store
        faults.lose = lambda session: dtls.drop(session, "fault")

    def set(self, changes):
        """Change switches. Raises faults.FaultError."""
        for name, value in self._faults.set(changes).items():
            self._faults.note(name)
            getattr(self, "_" + name)(value)

    def on_block(self, call, host, path, percent):
        """A file went out up to `percent` %: cancel the device's job that asks for it when it is time."""
        if not self._faults.cancel_at or percent < self._faults.cancel_at:
            return
        for row in self._store.all("SELECT * FROM execution WHERE device = ?", call.device):
            document = loads(row["document"])
            if row["status"] in jobs.PENDING and document["host"] == host and path in document["path"].split(" "):
                self._faults.value("cancel_at")
                self._faults.cancel_at = 0
                self._fota.cancel_job(row["job"], "fault")
                return

    def _expire_sessions(self, _):
        """Every session answers 4.01 from now on."""
        for session in self._dtls.sessions.values():
            session.expires_at = 0

    def _drop_sessions(self, _):
        """Every session is forgotten, and nobody told."""
        for session in list(self._dtls.sessions.values()):
            self._dtls.drop(session, "fault")

    def _pad_shadow(self, size):
        """`desired` of every device gets `size` bytes that nobody needs (0: loses them)."""
        self._patch({"padding": "x" * size if size else None})

    def _invalid_control(self, _):
        """`desired` of every device gets a control section that must be refused."""
        self._patch({"control": _INVALID_CONTROL})

    def _patch(self, desired):
        for row in self._store.all("SELECT id FROM device"):
            self._devices.patch(row["id"], {"desired": desired})
