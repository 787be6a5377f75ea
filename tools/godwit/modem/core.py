"""The modem without its command language: power, functional modes, identity, and the parts wired together.

A personality (a subclass of Line) reads the state here, calls the verbs and gets `on_notify(kind, *args)` for
everything unsolicited. What a power cut forgets and what the NVM keeps is decided here and nowhere else.
"""

import asyncio
import dataclasses
import uuid

from godwit.modem import upsets
from godwit.modem.cells import Route, rsrp_index
from godwit.modem.gnss import Receiver
from godwit.modem.keystore import public_pem
from godwit.modem.measure import measure
from godwit.modem.radio import Radio
from godwit.modem.scenario import Scenario
from godwit.modem.sim import READY, Sim
from godwit.modem.sockets import SocketTable
from godwit.modem.timing import TIMING


class Core:
    """State and verbs of one modem."""

    def __init__(self, clock, log, faults, nvs, resolver, *, profile, imei, fixed_place=False, route=None, timing=None,
                 engine="auto", nat_timeout_s=0):
        self.clock = clock
        self.log = log
        self.faults = faults
        self.nvs = nvs
        self.profile = profile
        self.imei = imei
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_OID, "godwit modem " + imei))
        self.timing = {**TIMING, **profile.timing, **(timing or {})}
        self.settings = nvs.settings(profile.settings)
        self.on_notify = lambda kind, *args: None
        self.on_power = lambda what: None
        self.on_key = lambda what, arg: None
        self.scenario = None
        self._route = route or Route(fixed_place)
        self.nat_timeout_s = nat_timeout_s  # world seconds after which the network forgets where we are; 0 never
        self._tasks = set()
        self.sim = Sim(self)
        self.radio = Radio(self)
        self.net = SocketTable(self, resolver, engine)
        self.gnss = Receiver(self)
        self.measurement = None  # the task of a running %NCELLMEAS
        self._tau = None  # the timer of the sleep that has ended the UART
        self._forget()
        faults.on_action = self.act
        faults.on_change = self.fault_changed

    def _forget(self):
        self.cfun = 0
        self.gnss_on = False
        self.uicc_on = False
        self.time_known = False
        self.boot_ms = self.clock.now_ms()
        self.reports = dict.fromkeys(self.profile.reports, 0)

    # what is

    def spot(self):
        """Where the node is now."""
        spot, dbm = self._route.spot(self.clock.now_ms()), self.faults.state().get("signal")
        if dbm is None or spot.cell is None:
            return spot
        return dataclasses.replace(spot, cell=dataclasses.replace(spot.cell, rsrp=rsrp_index(dbm)))

    @property
    def time_known(self):
        """Does the modem's clock know the time? Set it when network or sky have told it: then it is right."""
        return self._rtc_error_s is not None

    @time_known.setter
    def time_known(self, known):
        self._rtc_error_s = 0.0 if known else None

    def set_rtc(self, unix_s):
        """The host sets the modem's clock, right or wrong."""
        self._rtc_error_s = unix_s - self.clock.now_ms() / 1000

    def rtc_s(self):
        """Unix seconds as the modem's clock has them; None when it does not know the time."""
        return self.clock.now_ms() / 1000 + self._rtc_error_s if self.time_known else None

    def uptime_ms(self):
        """Milliseconds since power-on, in world time."""
        return self.clock.now_ms() - self.boot_ms

    def sim_ready(self):
        """Is there a SIM that answers?"""
        return self.uicc_on and self.sim.kind == READY

    def lte_idle(self):
        """CFUN 0, 4 or LTE deactivated: the only time when modes and credentials may be written."""
        return not self.radio.active

    def gnss_blocked(self):
        """Does LTE have the antenna?"""
        radio, how = self.radio, self.profile.gnss
        if how == "exclusive":
            return radio.pdn_up or radio.rrc
        if how == "priority":
            return radio.rrc and self.settings["gnss_priority"] == 1
        return radio.rrc and how == "shared"

    def lte_blocked(self):
        """Does the receiver have it?"""
        return self.profile.gnss == "priority" and self.settings["gnss_priority"] == 0 and self.gnss.searching

    def waits_for_idle(self):
        """Does something that the host waits for wait for RRC idle?"""
        return self.gnss.searching or self.measurement is not None

    def state(self):
        """For the control socket."""
        cell = self.radio.cell
        return {"cfun": self.cfun, "stat": self.radio.stat, "rrc": self.radio.rrc, "ip": self.radio.ip,
                "eci": cell.eci if cell else None, "place": self.spot().place, "gnss": self.gnss.status,
                "sockets": self.net.describe(), "faults": self.faults.state(), "now_ms": self.clock.now_ms()}

    def pdn_changed(self, up):
        """The IP stack came up or went down by itself."""
        self.notify("pdn", up)

    def play(self, rules):
        """Follow a scenario (scenario.load)."""
        self.scenario = Scenario(rules, self.faults, self.clock)
        self.log.on_event = self.scenario.on_event

    def counters(self):
        """What has been counted, with what is still going on: bytes, radio-on milliseconds, events."""
        counted = dict(self.log.counters)
        counted["rrc_connected_ms"] = counted.get("rrc_connected_ms", 0) + self.radio.connected_ms()
        counted["gnss_on_ms"] = counted.get("gnss_on_ms", 0) + self.gnss.on_ms()
        return counted

    def identity(self):
        """What the factory wrote down about this modem: UUID, IMEI, and the public half of its identity key (PEM)."""
        return {"uuid": self.uuid, "imei": self.imei, "publicKey": public_pem(self.nvs.identity_key())}

    # what happens

    def notify(self, kind, *args):
        """Something unsolicited, for the personality."""
        self.on_notify(kind, *args)

    def rrc_changed(self):
        """RRC or the IP stack changed: GNSS gets or loses the antenna."""
        self.gnss.update_blocking()

    def pdn_lost(self, keep_open=False):
        """Sockets die with their PDN, but for those that asked to be kept."""
        self.net.pdn_lost(keep_open)

    def spawn(self, coroutine):
        """A task that dies with the next reboot."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task):
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            # A bug of the simulator: said at once on standard error, counted, and the modem goes on.
            self.log.event("bug", what=repr(task.exception()))
            asyncio.get_running_loop().call_exception_handler(
                {"message": "modem simulator", "exception": task.exception(), "task": task})

    def act(self, name, arg):
        """A fault action (faults.CATALOGUE)."""
        self.log.event("fault", fault=name, arg=arg)
        if name in ("reboot", "crash"):
            self.on_power(name)
        elif name == "pdn_deact":
            self.radio.deactivate_pdn()
        elif name == "nat_rebind":
            self.net.rebind()
        elif name == "remote_close":
            self.net.close_by_peer()
        elif name == "poison":
            self.net.poison()
        elif name == "cereg_cycle":
            upsets.cycle(self)
        elif name == "brownout":
            self.notify("brownout")
            self.on_power("off")
        elif name in ("pwrkey", "dtr"):
            self.on_key(name, arg)
        elif name == "storm":
            for i in range(200 if arg is None else arg):
                self.notify("storm", i)

    def fault_changed(self, name):
        """A fault has been set or cleared: the world takes notice where it would, as soon as it is not busy."""
        asyncio.get_running_loop().call_soon(self._take_notice, name)

    def _take_notice(self, name):
        if name in ("no_coverage", "signal", None):
            self.radio.refresh_cell()
        if name in ("no_sim", "sim_failure", None):
            upsets.sim_changed(self)
        if name in ("denied", None):
            upsets.judged(self)

    # verbs

    async def set_cfun(self, mode):
        """AT+CFUN=mode; raises KeyError for a mode that does not exist."""
        if mode not in self.profile.cfun_modes:
            raise KeyError(mode)
        await self.clock.sleep(self.timing["cfun"])
        self._switch(mode)
        self.log.event("cfun", mode=mode)

    def powered(self):
        """The modem has started: it takes up the functional mode that its kind has then."""
        mode = self.profile.cfun_at_boot
        if mode:
            self._switch(mode)

    def lte_wanted(self):
        """Does the system mode have LTE in it?"""
        mode = self.settings.get("system_mode", [1])
        return any(mode[:2])

    def _switch(self, mode):
        lte, gnss, uicc = self.profile.cfun_modes[mode]
        self.cfun = mode if mode < 20 or mode == 44 else self.cfun
        if uicc is not None:
            self.uicc_on = uicc
        if gnss is not None:
            self.gnss_on = gnss
        if gnss is False:
            self.gnss.stop()
        if lte is False:
            self.cancel_measurement()
            self.radio.stop()
        elif lte and self.lte_wanted():
            self.radio.start()
        elif gnss is not None:
            self.gnss.update_blocking()
        if mode == 0:
            self.save()
            if not self.profile.saves_at_once:
                self.reports = dict.fromkeys(self.profile.reports, 0)

    def save(self):
        """Settings go to the NVM (nRF91: at CFUN=0 and orderly shutdowns only)."""
        self.nvs.save_settings(self.settings)

    def set(self, name, value):
        """Change one setting; most families keep it at once."""
        self.settings[name] = value
        if self.profile.saves_at_once:
            self.save()

    def measure(self, kind, gci_count):
        """Start %NCELLMEAS; False when one is running."""
        if self.measurement is not None:
            return False
        self.measurement = self.spawn(self._measure(kind, gci_count))
        return True

    def cancel_measurement(self):
        """%NCELLMEASSTOP."""
        if self.measurement is not None:
            self.measurement.cancel()
            self.measurement = None

    async def _measure(self, kind, gci_count):
        found = await measure(self, kind, gci_count)
        self.measurement = None
        self.log.event("ncellmeas", kind=kind, cells=len(found or ()))
        self.notify("ncellmeas", kind, found)

    def modem_reset(self):
        """The modem part starts again, the application part does not: CFUN 0, no sockets."""
        self.cancel_measurement()
        self.gnss.stop()
        self.radio.forget()
        self.net.close_all()
        self._forget()

    def deep_sleep(self, seconds):
        """PSM: nothing answers until PWRKEY, or until the TAU timer has run out."""
        self.on_power("psm")
        self._tau = self.clock.later(seconds, self.on_key, "tau", None, drives=False)

    def power_cut(self, history=False):
        """All RAM is lost. The personality boots afterwards. `history`: the network still knows us (PSM)."""
        for task in list(self._tasks):
            task.cancel()
        if self._tau:
            self._tau.cancel()
        self.measurement = None
        self.gnss.power_cut()
        self.radio.forget(history)
        self.sim.power_cut()
        self.net.close_all()
        self._forget()
        self.settings = self.nvs.settings(self.profile.settings)
