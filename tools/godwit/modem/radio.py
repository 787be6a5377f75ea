"""LTE side of the modem: registration, RRC state, the bearer, and the cell that serves it at this time of day.

Model (modems.md 7.4): CFUN=1 -> scan -> cell found (stat 2) -> registered (stat 1) with RRC connected -> bearer with
an address -> the IP stack up (`pdn_up`), at once or when the host asks for it (activate). Without coverage a registered
modem searches and comes back; the bearer survives that. RRC goes idle some seconds after the last packet.
Everything is announced through `core.notify(kind, ...)`, which the personality turns into URCs. Owned by Core; sockets
ask `pdn_up` and report traffic with `activity()`.
"""


import time

from godwit.modem.sim import READY
from godwit.modem.timing import active_time_s, periodic_time_s

NOT_SEARCHING, HOME, SEARCHING, DENIED, UNKNOWN, ROAMING, NO_SIM = 0, 1, 2, 3, 4, 5, 90
_STEP_S = 0.05  # between two looks for the bearer


class Radio:
    """Registration state machine. `stat`, `cell`, `rrc`, `pdn_up`, `ip`, `emm_cause` are read by the personality."""

    def __init__(self, core):
        self._core = core
        self._clock = core.clock
        self._serial = 1  # last octet of our address; a new one with each PDN
        self._history = False
        self._kept = None  # the address, when PSM has ended everything else
        self._task = None
        self._timers = {}
        self._waiting = []  # packets that wait for the RRC connection
        self._connected_since_ms = 0
        self.heard = 0.0  # real time of the last packet
        self._clear()

    def _clear(self):
        self.stat = NOT_SEARCHING
        self.cell = None
        self.emm_cause = None
        self.rrc = False
        self.asleep = False  # in PSM
        self._lost = False  # out of coverage, but known to the network
        self.pdn_up = False
        self.ip = None
        self._waiting.clear()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    @property
    def registered(self):
        """On a network, at home or as a guest?"""
        return self.stat in (HOME, ROAMING)

    @property
    def active(self):
        """Searching or registered: the LTE part is on."""
        return self.stat != NOT_SEARCHING

    def delay(self, name):
        """World seconds of one of the TIMING entries."""
        return self._core.timing[name]

    def start(self):
        """LTE on: begin to search (CFUN=1 or 21)."""
        if self.idle:
            self._task = self._core.spawn(self._attach())

    def stop(self, announce=True):
        """LTE off: everything that hung on it is gone."""
        if self._task:
            self._task.cancel()
            self._task = None
        was_active, was_up = self.active, self.pdn_up
        if self.rrc:
            self.rrc = False
            self._count_connection()
        self._clear()
        if not was_active:
            return
        self._core.log.event("detach")
        self._core.pdn_lost(keep_open=True)
        self._core.rrc_changed()
        if announce:
            if was_up:
                self._core.notify("cgev", f"ME PDN DEACT {self._core.profile.context}")
                self._core.notify("cgev", "ME DETACH")
                self._core.pdn_changed(False)
            self._core.notify("cereg")
            self._core.notify("rrc")

    def forget(self, history=False):
        """Power was off: no search history (but after PSM)."""
        self._kept = self.ip if history else None
        self.stop(announce=False)
        self._history = history and self._history

    async def _attach(self):
        if self._core.sim.kind != READY:
            self._to(self._core.profile.no_sim_stat)
            self._core.notify("cereg")
            return
        self._to(SEARCHING)
        self._core.notify("mdmev", "SEARCH STATUS 1")
        self._core.log.event("search")
        await self._clock.sleep(self.delay("rescan" if self._history else "scan"))
        while not self._covered():
            if self.stat != UNKNOWN:
                self._core.notify("mdmev", "SEARCH STATUS 2")
                self._to(UNKNOWN)
                self._core.notify("cereg")
            await self._clock.sleep(10.0)
        self.cell = self._core.spot().cell
        self._to(SEARCHING)
        self._core.notify("cereg")
        await self._clock.sleep(self.delay("register"))
        cause = self._core.faults.arg("denied", 15)
        if cause is not None:
            self._deny(cause)
            return
        self._history = True
        self._to(HOME)
        if self._core.settings.get("clts", 1):  # SIMCom does not listen to the network's time unless told to
            self._core.time_known = True
        spot = self._core.spot()
        self._core.log.event("attach", stat=HOME, tac=self.cell.tac, eci=self.cell.eci, rat=self.cell.act,
                             plmn=self.cell.plmn, place=spot.place)
        self._set_rrc(True)
        self._core.notify("cereg")
        self._core.notify("xtime")
        self._core.notify("edrx")
        self._later("cell", "cell_poll", self._poll_cell, drives=False)
        await self._clock.sleep(self.delay("pdn"))
        self._pdn_activate()

    def _to(self, stat):
        self.stat = stat

    def _deny(self, cause):
        self.emm_cause = cause
        self._to(DENIED)
        self._core.log.event("denied", cause=cause)
        self._core.notify("cereg")
        self._core.notify("cnec_emm", cause)

    def _pdn_activate(self):
        if self._kept is None:
            self._serial = self._serial % 250 + 1
        self.ip, self._kept = f"10.81.7.{self._serial}", None
        self.pdn_up = self._core.profile.auto_pdn
        self._core.notify("cgev", f"ME PDN ACT {self._core.profile.context}")
        self._core.log.event("pdn_up" if self.pdn_up else "bearer_up", ip=self.ip)

    async def activate(self, patience_s=0):
        """The host wants the IP stack (+CNACT, +QIACT, +UPSDA). Raises OSError when there is no bearer to be had.

        A registered modem whose bearer is still on its way waits for it for `patience_s`.
        """
        end_ms = self._clock.now_ms() + patience_s * 1000
        while self.registered and self.ip is None and self._clock.now_ms() < end_ms:
            await self._clock.sleep(_STEP_S)
        if self.ip is None:
            raise OSError("no bearer")
        if not self.pdn_up:
            await self._clock.sleep(self.delay("pdn_activate"))
            if self.ip is None:
                raise OSError("no bearer")
            self.pdn_up = True
            self._core.log.event("pdn_up", ip=self.ip)
            self._core.rrc_changed()

    def release(self):
        """The host wants it no more: sockets die, the bearer stays."""
        if self.pdn_up:
            self.pdn_up = False
            self._core.log.event("pdn_down")
            self._core.pdn_lost(keep_open=False)
            self._core.rrc_changed()

    def deactivate_pdn(self):
        """The network throws the PDN away; the modem gets a new bearer after a while."""
        if self.ip is None:
            return
        was_up, self.pdn_up, self.ip = self.pdn_up, False, None
        self._core.log.event("pdn_down")
        self._core.notify("cgev", f"NW PDN DEACT {self._core.profile.context}")
        if was_up:
            self._core.pdn_changed(False)
            self._core.rrc_changed()
        self._core.pdn_lost(keep_open=True)
        self._later("reattach", "reattach", self._pdn_activate)

    # RRC

    def activity(self, send=None):
        """A packet goes up (`send` is called once the connection stands) or has come down (no `send`)."""
        self.heard = time.monotonic()
        if not self.pdn_up or not self.registered:
            return
        if send and self._core.lte_blocked():
            self._waiting.append(send)  # until the receiver has found its satellites, or is told to stop
            return
        if self.rrc or self.delay("rrc_setup") <= 0 or send is None:
            self._set_rrc(True)
            if send:
                send()
            return
        self._waiting.append(send)
        if len(self._waiting) == 1:
            self._later("setup", "rrc_setup", self._connected)

    def unblocked(self):
        """The receiver needs the antenna no more."""
        if self._waiting and not self._core.lte_blocked():
            self._later("setup", "rrc_setup", self._connected)

    def _connected(self):
        if self._core.lte_blocked():
            return
        self._set_rrc(True)
        waiting, self._waiting = self._waiting, []
        for send in waiting:
            send()

    def _set_rrc(self, connected):
        if connected:
            # GNSS and a neighbour search wait for idle: then the host waits for this timer too.
            self._later("idle", "rrc_inactivity", self._set_rrc, False, drives=self._core.waits_for_idle)
        if connected == self.rrc:
            return
        self.rrc = connected
        self._count_connection()
        # Timers first: a host that reads the line may move the world's clock in the same breath.
        self._power_saving()
        self._core.rrc_changed()
        self._core.notify("rrc")

    def release_soon(self):
        """Release assistance: the network lets go of the connection early."""
        if self.rrc and self._core.settings["rai"]:
            self._later("idle", "rrc_release", self._set_rrc, False, drives=self._core.waits_for_idle)

    def _count_connection(self):
        now_ms = self._clock.now_ms()
        if self.rrc:
            self._core.log.count("rrc_connections")
            self._connected_since_ms = now_ms
        else:
            # The world may have jumped past the moment at which it ended: it lasted no longer for that.
            idle = self._timers.get("idle")
            end_ms = min(now_ms, idle.due_ms) if idle else now_ms
            self._core.log.count("rrc_connected_ms", max(end_ms - self._connected_since_ms, 0))

    def _power_saving(self):
        """RRC idle for the active time -> PSM; the network keeps the registration, the radio sleeps."""
        mode, tau, active = self._core.settings["psm"]
        active_s = active_time_s(active) if mode == 1 else None
        if "psm" in self._timers:
            self._timers.pop("psm").cancel()
        if self.rrc:
            if self.asleep:
                self.asleep = False
                self._core.notify("sleep", 1, 0)
        elif self.ip and self.registered and active_s is not None:
            self._timers["psm"] = self._clock.later(active_s, self._sleep, periodic_time_s(tau) * 1000, drives=False)

    def _sleep(self, tau_ms):
        self.asleep = True
        self._core.log.event("psm", tau_s=tau_ms // 1000)
        self._core.notify("sleep", 1, tau_ms)
        if self._core.profile.psm_off:
            self._core.deep_sleep(tau_ms // 1000)

    def sleep_now(self):
        """PSM without the active time, where the host has asked for that; nothing when PSM is off or RRC is back."""
        mode, tau, _ = self._core.settings["psm"]
        if mode == 1 and self.ip and self.registered and not self.rrc:
            self._sleep(periodic_time_s(tau) * 1000)

    def power_saving_changed(self):
        """+CPSMS while idle: the active time begins now."""
        if self.registered and not self.rrc:
            self._power_saving()

    def _later(self, key, delay_name, fn, *args, drives=True):
        if key in self._timers:
            self._timers[key].cancel()
        self._timers[key] = self._clock.later(self.delay(delay_name), fn, *args, drives=drives)

    # cells

    def _poll_cell(self):
        self.refresh_cell()
        # A host waits for coverage; nobody waits for the next cell.
        self._later("cell", "cell_poll", self._poll_cell, drives=self._lost)

    def refresh_cell(self):
        """Follow the route: a new serving cell or level is announced. Called before cell queries too."""
        if self.cell is None:
            return
        if not self._covered():
            self._lose()
            return
        old, spot = self.cell, self._core.spot()
        self.cell = spot.cell
        if self._lost:
            self._find()
        if not self.registered:
            return
        if old.eci != self.cell.eci:
            self._core.log.event("cell", tac=self.cell.tac, eci=self.cell.eci, place=spot.place)
            self._core.notify("cereg")
        if old.rsrp != self.cell.rsrp:
            self._core.notify("cesq")

    def _covered(self):
        return not self._core.faults.on("no_coverage") and self._core.spot().cell is not None

    def _lose(self):
        """Registered, and then no cell: the modem searches, the network remembers it."""
        if not self.registered:
            return
        self._lost = True
        self._core.log.event("coverage_lost")
        self._waiting.clear()
        if "idle" in self._timers:
            self._timers["idle"].cancel()
        self._set_rrc(False)
        if "psm" in self._timers:
            self._timers.pop("psm").cancel()
        self._to(SEARCHING)
        self._core.notify("cereg")

    def _find(self):
        self._lost = False
        self._to(HOME)
        self._core.log.event("coverage_found", eci=self.cell.eci)
        self._set_rrc(True)
        self._core.notify("cereg")

    @property
    def idle(self):
        """Neither searching nor registering."""
        return self._task is None or self._task.done()

    def connected_ms(self):
        """Milliseconds of the RRC connection that stands; 0 without one."""
        return self._clock.now_ms() - self._connected_since_ms if self.rrc else 0
