"""Files that an answer points at by URL: pictures, what was uploaded, errors of a bulk operation, logs as a zip.

The cloud keeps them in a bucket behind signed URLs; here it is GET /twin/downloads/{id}/{name}, which needs no key.
Called by rest_devices.py, rest_onboard.py, rest_messages.py; served by rest_twin.py.
"""

import secrets

from .errors import NOT_FOUND, not_found


class Downloads:
    """The download table."""

    def __init__(self, store):
        self._store = store

    def add(self, request, name, kind, data, number=None):
        """Keep `data` (bytes of a media type); returns its whole URL, with the host that `request` came to."""
        number = number or secrets.token_hex(16)
        self._store.insert("download", id=number, name=name, type=kind, data=data)
        return self.url(request, number, name)

    def url(self, request, number, name):
        """The URL of a file, "" when there is none."""
        known = self._store.one("SELECT 1 FROM download WHERE id = ? AND name = ?", number, name)
        return f"{request.base_url}twin/downloads/{number}/{name}" if known else ""

    def get(self, number, name):
        """(media type, bytes). Raises ApiError 404."""
        row = self._store.one("SELECT type, data FROM download WHERE id = ? AND name = ?", number, name)
        if row is None:
            raise not_found("no such file", NOT_FOUND)
        return row["type"], row["data"]

    def forget(self, url):
        """Delete the file that a URL of ours names; another one is left alone."""
        parts = (url or "").rsplit("/", 2)
        if len(parts) == 3:
            self._store.run("DELETE FROM download WHERE id = ? AND name = ?", parts[1], parts[2])
