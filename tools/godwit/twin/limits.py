"""Plan limits: how much of what the account may have, nRF code 40005 beyond it (facts 14.1). Off unless switched on.

PUT /twin/limits {"devices": 10} switches one on, null off; counts are of the database, and of the calendar month (UTC)
where the plan says so. A fix counts when it is written to a device's history, and counts on as long as it is there.
Called by devices.py, fota.py, inbox.py and ground_fix.py before they add something, and by rest_account.py.
"""

import datetime
import json

from .errors import USAGE_LIMIT, ApiError, invalid

# name: (the developer plan's figure, table, its column of time where it counts per month)
PLAN = {
    "devices": (10, "device", None),
    "monthlyLocationServiceRequests": (500, "(SELECT * FROM location WHERE service != 'GNSS')", "inserted_at"),
    "monthlyFOTAJobExecutions": (50, "execution", "created_at"),
    "monthlyStoredDeviceMessages": (3000, "message", "received_at"),
}


class Limits:
    """The limits that are on, in the store."""

    def __init__(self, store):
        self._store = store

    def get(self):
        """{name: number} of the limits that are on."""
        return json.loads(self._store.kept("limits") or "{}")

    def set(self, changes):
        """Switch limits: {name: number or None}. Raises ApiError 422."""
        limits = self.get()
        for name, number in changes.items():
            if name not in PLAN:
                raise invalid(f"no such limit: {name}; there are {', '.join(PLAN)}")
            if number is None:
                limits.pop(name, None)
            elif isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**31:
                raise invalid(f"{name} is a number or null")
            else:
                limits[name] = number
        self._store.keep("limits", json.dumps(limits))
        return limits

    def check(self, name, more=1):
        """Raises ApiError 400 with 40005 when `more` of something would be beyond its limit."""
        limit = self.get().get(name)
        if limit is None:
            return
        _, table, column = PLAN[name]
        where = f" WHERE {column} >= {self._month_start()}" if column else ""
        if self._store.value(f"SELECT COUNT(*) FROM {table}{where}") + more > limit:
            raise ApiError(400, USAGE_LIMIT, f"usage limit of the plan exceeded: {name} {limit}")

    def _month_start(self):
        now = datetime.datetime.fromtimestamp(self._store.now_ms() / 1000, datetime.timezone.utc)
        return int(now.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)
