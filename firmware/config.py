"""The node's settings in use: `config["port"]`. What they may be is in schema.py, which is loaded only when needed.

Credentials live in `<root>/data/secrets.json` and are read by `secrets()` when they are needed, never kept.
"""

import log


class Config:
    """Settings of the node whose flash is mounted at `root` ("" on a board)."""

    def __init__(self, root):
        import schema

        self._root = root
        self.folder = root + "/data"
        self._values = schema.load(root)
        self._proven = False
        self._unwritten = False  # keep() has taken something that flash would not

    def __getitem__(self, key):
        return self._values[key]

    def proven(self):
        """The node has reached its cloud with these settings: keep them as the last known good (once a start)."""
        if self._proven or not self["device_id"]:
            return
        self._proven = True
        import schema

        try:
            schema.prove(self._root, self._values)
        except OSError as problem:
            log.error("config", "the good settings could not be kept: %s", problem)

    def apply(self, changes):
        """Take settings from the cloud. -> (accepted, refused): dict of what holds now, dict of what holds instead.

        What was accepted is on flash when this returns; what flash would not take is refused."""
        import schema

        accepted, refused = schema.judge(changes, self._values)
        new = dict(self._values)
        new.update(accepted)
        if new != self._values:
            if not self._write(new):
                refused.update({key: self._values[key] for key in accepted})
                return {}, refused
            self._values = new
        return accepted, refused

    def _write(self, values):
        """Make `values` the settings of the next start; -> whether flash took them."""
        import schema

        try:
            schema.keep(self._root, values)
        except OSError as problem:
            log.error("config", "settings could not be written: %s", problem)
            return False
        return True

    def take(self, texts):
        """Take settings from the cloud that come as texts (dict of str), all of them or none. Raises ValueError."""
        import schema

        changes = {key: schema.from_text(key, texts[key]) for key in texts}
        for key in changes:
            if not schema.SCHEMA[key][4]:
                raise ValueError("%s: not for the cloud to change" % key)
        _, refused = self.apply(changes)
        if refused:
            raise ValueError("flash does not take settings")

    def keep(self, changes):
        """Take settings that are not the cloud's `config` section (dict, checked by the caller) from now on; -> whether
        they are on flash, too."""
        new = dict(self._values)
        new.update(changes)
        if new != self._values or self._unwritten:
            self._values = new
            self._unwritten = not self._write(new)
        return not self._unwritten

    def remote(self):
        """-> dict of every setting that the cloud may change, with the value in use."""
        import schema

        return {key: self._values[key] for key, rule in schema.SCHEMA.items() if rule[4]}

    def secrets(self):
        """-> dict of credentials ({"key": hex of the P-256 private key}), {} when there are none. Never log it."""
        import store

        try:
            return store.read_json(self._root + "/data/secrets.json", {})
        except (OSError, store.StoreError) as problem:
            log.error("config", "credentials unreadable: %s", problem)
            return {}
