"""Shadow: tell the cloud what this node is, and take the settings it wants changed.

Once a boot: the control section and the device information are reported (`state.reported` is set when the cloud has
accepted the latter, which is what confirms an update). Then, and as an errand every `shadow_interval_s`: fetch the
delta, apply it, answer it. What is refused is answered through the desired state, or it would come back at every poll
(nrfcloud.md 7.5-7.6).
"""

import log
import shadow


class Shadow:
    """`about` is a dict of fixed facts: {"appVersion", "appName", "board", ...}."""

    def __init__(self, state, config, cloud, about):
        self._state = state
        self._config = config
        self._cloud = cloud
        self._about = about

    async def visit(self):
        """Introduce the node if the cloud has not heard of it since it started, then look for wanted settings;
        -> seconds until the next time."""
        if not self._state.control:
            self._state.control = {"alertsEn": self._config["alerts"], "logLvl": self._config["log_level"]}
        if not self._state.reported.is_set():
            await self._introduce()
        await self.poll()
        return self._config["shadow_interval_s"]

    async def _introduce(self):
        """Control section, then device information, then the settings in use: once a boot (nrfcloud.md 7.7)."""
        await self._cloud.report({"control": self._state.control})
        await self._cloud.report({"device": await self._device()})
        await self._cloud.report({"config": self._config.remote()})
        log.info("shadow", "reported version %s and settings", self._about["appVersion"])
        self._state.reported.set()

    async def _device(self):
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
        return {
            "deviceInfo": info,
            "networkInfo": network,
            "simInfo": {"iccid": identity.get("iccid") or "", "imsi": identity.get("imsi") or ""},
            "serviceInfo": {"fota_v2": ["APP"]},
            "connectionInfo": {"protocol": "CoAP", "method": "LTE"},
        }

    async def poll(self):
        """Fetch the delta and answer every part of it."""
        delta = await self._cloud.fetch_config()
        if not delta:
            return
        parts = shadow.split_delta(delta)
        if parts.echo:
            await self._cloud.report(parts.echo)
        if parts.control is not None:
            await self._answer_control(parts.control)
        if parts.app:
            await self._answer_app(parts.app)

    async def _answer_control(self, wanted):
        accepted, refused = shadow.check_control(wanted, self._state.control)
        if accepted is not None:
            self._state.control = accepted
            log.level = accepted["logLvl"]
            await self._cloud.report({"control": accepted})
            log.info("shadow", "control: alerts %s, log level %d", accepted["alertsEn"], accepted["logLvl"])
        if refused is not None:
            await self._cloud.request_desired({"control": refused})
            log.warn("shadow", "control settings refused")

    async def _answer_app(self, wanted):
        config = wanted.pop("config", None)
        if isinstance(config, dict):
            accepted, refused = self._config.apply(config)
            if accepted:
                await self._cloud.report({"config": accepted})
                log.info("shadow", "applied %s", " ".join("%s=%s" % item for item in accepted.items()))
            if refused:
                await self._cloud.request_desired({"config": refused})
        if wanted:
            # Nobody here wants these: delete them from the desired state, or they come back at every poll.
            await self._cloud.request_desired({key: None for key in wanted})
            log.warn("shadow", "unknown sections refused: %s", " ".join(wanted))
