"""Provisioning: what the cloud's service wants done to the modem's credential store and to our settings, done.

Called by tasks/rise when the shadow asked for it, or when the cloud did not accept who we are and the setting
`provisioning` allows it. The keys stay in the modem; when it has made one at `sec_tag` and all is answered, the node
goes on as the modem's UUID with that key. What must outlive a power cut is in `provision.json`: that the key at
`sec_tag` was touched, which command was making one (the modem refuses to make it twice, and only ours may be deleted),
and whether one was made at `sec_tag`. While it is there, a node that the cloud does not accept asks the service,
whatever the setting says.
"""

import gc

from micropython import const

import clock
import cold
import log
import store
from cloud.base import AuthError, CloudError
from modem.base import ATError

_TOKEN_S = const(300)  # what the service's own clients ask for (nrfcloud.md 3.1)
_LAG_S = const(10)  # from the registration of a key until it is accepted (nrfcloud.md 13.1)
_FILE = "/provision.json"
_KEYGEN = "%KEYGEN"
_STORE = "%CMNG"


def unfinished(config):
    """-> whether our key was being replaced, or has been, and the cloud may not have heard of it."""
    return store.exists(config.folder + _FILE)


class Provision:
    """The `node` of cloud.base's provision(). `online` is a coroutine that brings the modem up, with the time known."""

    def __init__(self, modem, config, cloud, online):
        self._modem = modem
        self._config = config
        self._cloud = cloud
        self._online = online
        self._path = config.folder + _FILE
        self._known = self._read()  # {"begun": True, "making": correlation, "made": True}

    def _read(self):
        try:
            known = store.read_json(self._path)
        except (OSError, store.StoreError):
            known = None
        return known if isinstance(known, dict) else {}

    async def run(self):
        """-> whether the node is somebody else now. Raises what the verb provision raises."""
        if "KEYGEN" not in self._modem.caps:
            raise CloudError("the modem makes no keys")
        try:
            count = await self._cloud.provision(self)
        except AuthError:
            log.info("modem", "its owner claims it with %s", await self._modem.attestation())
            raise
        log.info("cloud", "provisioning: %d commands run", count)
        if not self._known.get("made"):
            return False
        if self._config.keep({"device_id": "{uuid}", "auth": "jwt", "jwt": "modem"}):
            store.remove(self._path)  # else a restart knows by it who we are: it asks the service, and does this, again
        await clock.sleep(_LAG_S)
        return True

    def step(self):
        """Forget the code that the step before needed: handshake, attaching, the key store."""
        cold.forget()
        gc.collect()

    async def offline(self):
        """Radio off, as the key store asks for."""
        await self._modem.detach()
        self.step()

    async def online(self):
        """Radio on."""
        self.step()
        await self._online()

    async def token(self):
        """-> Identity JWT of the modem."""
        token = await self._modem.jwt("", _TOKEN_S, None)
        self.step()
        return token

    async def execute(self, correlation, command, parameters):
        """Run one command of the service; -> (None, reply), or (CME code, text) when it was refused."""
        try:
            if command == _KEYGEN:
                reply = await self._make_key(correlation, parameters)
            else:
                if not self._known and parameters[1:].startswith(",%d,2" % self._config["sec_tag"]):
                    self._remember("begun", True)  # the key that the cloud knows us by may go
                doing = self._modem.execute(command, parameters)
                parameters = None
                reply = await doing
        except (ATError, ValueError) as refused:
            log.error("modem", "provisioning: %s", refused)
            return getattr(refused, "code", 0) or 0, str(refused)
        return None, reply

    async def _make_key(self, correlation, parameters):
        """Make a key, for this correlation as often as it is asked for; -> the modem's reply. One that was there before
        is not ours to delete: the modem says 519."""
        run = self._modem.execute
        where = ",".join(parameters.split(",")[:2])
        again = self._known.get("making") == correlation
        there = "%CMNG:" in await run(_STORE, "1," + where)
        if not there and not again:
            self._remember("making", correlation)
        if there and again:  # we had made it when the power went, and nobody has been told
            await run(_STORE, "3," + where)
        reply = await run(_KEYGEN, parameters)
        if where == "%d,2" % self._config["sec_tag"]:
            self._remember("made", True)
        return reply

    def _remember(self, what, value):
        self._known[what] = value
        store.write_json(self._path, self._known)

    def configure(self, texts):
        """Take settings that the service gives as texts, all of them or none. Raises ValueError."""
        self._config.take(texts)
