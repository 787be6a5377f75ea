"""Shadow: tell the cloud what this node is, and take the settings it wants changed.

Once a boot: the control section and the device information are reported (`state.reported` is set when the cloud has
accepted the latter, which is what confirms an update). Then, and as an errand every `shadow_interval_s`: report what of
the device information has changed; fetch the delta, apply it, answer it. What is refused is answered through the
desired state, or it would come back at every poll (nrfcloud.md 7.5-7.6).
"""

from binascii import crc32

from micropython import const

import coap
import log
import shadow
from cloud.base import CONFIG, CloudError

_PROVISION = const(1)  # first member of a command
_ROUNDS = const(8)  # parts of a delta that is too large to be had at once, in one visit


class Shadow:
    """`about` is a dict of fixed facts: {"appVersion", "appName", "board", ...}; `fault` why the active slot did not
    start, or None."""

    def __init__(self, state, config, cloud, records, about, fault):
        self._state = state
        self._config = config
        self._cloud = cloud
        self._records = records
        self._about = about
        self._fault = fault

    async def visit(self):
        """Introduce the node if the cloud has not heard of it since it started, then look for wanted settings;
        -> seconds until the next time. A cloud without settings has heard the version as its session began."""
        if CONFIG not in self._cloud.caps:
            self._state.reported.set()
            return self._config["shadow_interval_s"]
        if self._state.reported.is_set():
            await self._tell_device()
        else:
            await self._introduce()
        await self._tell_recovery()
        await self.poll()
        if self._state.provision.is_set():
            self._state.fail(CloudError("provisioning was asked for"))  # tasks/link comes round to it
        return self._config["shadow_interval_s"]

    async def _introduce(self):
        """Control section, then device information, then the settings in use: once a boot (nrfcloud.md 7.7)."""
        await self._cloud.report({"control": self._state.control})
        await self._tell_device()
        await self._cloud.report({"config": self._config.remote()})
        log.info("shadow", "reported version %s and settings", self._about["appVersion"])
        self._state.reported.set()
        self._records.alert("online", 0, "online, version " + self._about["appVersion"])
        if self._fault:
            self._records.alert("fault", 0, "the active slot did not start: " + self._fault)

    async def _tell_device(self):
        """Report the sections of the device information that the cloud does not have as they are."""
        told = self._state.told
        news = {}
        marks = {}
        for name, section in self._device().items():
            mark = crc32(repr(section).encode())
            if told.get(name) != mark:
                news[name] = section
                marks[name] = mark
        if news:
            await self._cloud.report({"device": news})
            told.update(marks)

    async def _tell_recovery(self):
        """How often each rung of the recovery ladder was climbed, and the last error: a section of our own, which a
        cloud need not take."""
        from tasks.ladder import counts

        found = counts(self._config)
        mark = crc32(repr(found).encode())
        if found is None or self._state.told.get("recovery") == mark:
            return
        try:
            await self._cloud.report({"recovery": found})
        except coap.Refused as refused:
            log.warn("shadow", "recovery: %s", refused)
        self._state.told["recovery"] = mark

    def _device(self):
        """-> the device section (nrfcloud.md 7.1) from what the modem and the slot say."""
        identity = self._state.identity
        info = dict(self._about)
        info["modemFirmware"] = identity.get("firmware") or ""
        info["imei"] = identity.get("imei") or ""
        where = self._state.registration
        network = {
            "areaCode": where.get("tac"),
            "cellID": where.get("eci"),
            "networkMode": "NB-IoT" if where.get("rat") == "nbiot" else "LTE-M",
        }
        cell = self._state.cell
        if cell:
            network["mccmnc"] = "%d%02d" % (cell["mcc"], cell["mnc"])
        return {
            "deviceInfo": info,
            "networkInfo": network,
            "simInfo": {"iccid": identity.get("iccid") or "", "imsi": identity.get("imsi") or ""},
            "serviceInfo": {"fota_v2": ["APP"]},
            "connectionInfo": {"protocol": "CoAP", "method": "LTE"},
        }

    async def poll(self):
        """Fetch the delta and answer every part of it, until none is left, or what is left has been seen already."""
        before = None
        for _ in range(_ROUNDS):
            delta = await self._cloud.fetch_config()
            if not delta or delta == before:
                return
            before = dict(delta)
            parts = shadow.split_delta(delta)
            if parts.echo:
                await self._cloud.report(parts.echo)
            if parts.control is not None or "control" in delta:
                await self._answer_control(parts.control)
            if parts.app:
                await self._answer_app(parts.app)

    async def _answer_control(self, wanted):
        accepted, refused = shadow.check_control(wanted, self._state.control)
        if accepted is not None:
            self._state.control = accepted
            log.sent = accepted["logLvl"]
            self._config.keep({"alerts": accepted["alertsEn"], "log_upload": accepted["logLvl"]})
            await self._cloud.report({"control": accepted})
            log.info("shadow", "control: alerts %s, log level %d", accepted["alertsEn"], accepted["logLvl"])
        if refused is not None:
            await self._cloud.request_desired({"control": refused})
            log.warn("shadow", "control settings refused")

    async def _answer_app(self, wanted):
        config = wanted.get("config")
        if isinstance(config, dict):
            del wanted["config"]
            accepted, refused = self._config.apply(config)
            if accepted:
                await self._cloud.report({"config": accepted})
                log.info("shadow", "applied %s", " ".join("%s=%s" % item for item in accepted.items()))
            if refused:
                await self._cloud.request_desired({"config": refused})
        command = wanted.pop("command", None)
        if command is not None:
            await self._take_command(command)
        if wanted:
            # Nobody here wants these: delete them from the desired state, or they come back at every poll.
            await self._cloud.request_desired({key: None for key in wanted})
            log.warn("shadow", "unknown sections refused: %s", " ".join(wanted))

    async def _take_command(self, command):
        """`command` is [what, id], as Nordic's asset tracker has it (nrfcloud.md 7.7): it is reported as it came, which
        makes it go away, and then done; one that nobody here knows is deleted."""
        what = command[0] if isinstance(command, list) and len(command) == 2 else None
        if what != _PROVISION:
            await self._cloud.request_desired({"command": None})
            log.warn("shadow", "unknown command refused: %s", command)
            return
        await self._cloud.report({"command": command})
        log.info("shadow", "command %d: provision", command[1])
        self._state.provision.set()
