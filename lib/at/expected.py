"""A URC that somebody waits for, made before the command that causes it is sent (modems.md 1.3).

Made by Client.expect, for seconds; an application may drop this module from sys.modules in between.
RAM: 150 bytes while it waits.
"""

from at.wait import Waiter


class Expected(Waiter):
    """The next URC with `prefix`: wait() for it."""

    def __init__(self, client, prefix):
        super().__init__(client.deadlines)
        self._client = client
        self._entry = client.urc(prefix, self.put)
        client.expected.append(self)

    def close(self):
        """Stop waiting; must be called, also after a timeout (try/finally)."""
        if self._entry:
            self._client.expected.remove(self)
            self._client.forget(self._entry)
            self._entry = None
