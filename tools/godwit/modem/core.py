"""The modem without its command language: power, functional modes, identity, and the parts wired together.

A personality (package `sm`) reads the state here, calls the verbs and gets `on_notify(kind, *args)` for everything
unsolicited. What a power cut forgets and what the NVM keeps is decided here and nowhere else.
"""

import asyncio
import uuid

from godwit.modem.cells import Route
from godwit.modem.gnss import Receiver
from godwit.modem.keystore import public_pem
from godwit.modem.radio import TIMING, Radio
from godwit.modem.sockets import SocketTable

# CFUN: value -> (LTE on, GNSS on, UICC on); None leaves as it is.
CFUN_MODES = {
    0: (False, False, False),
    1: (True, True, True),
    2: (False, False, True),
    4: (False, False, False),
    20: (False, None, None),
    21: (True, None, True),
    30: (None, False, None),
    31: (None, True, None),
    40: (None, None, False),
    41: (None, None, True),
    44: (False, False, True),
}

FIRMWARE = "mfw_nrf91x1_2.0.2"
HARDWARE = "nRF9151"

# What a factory-new modem has in its NVM.
FACTORY_SETTINGS = {
    "system_mode": [1, 0, 1, 0],
    "apn": None,
    "pdn_type": "IPV4V6",
    "auth": None,
    "psm": [1, "00100001", "00000101"],
    "edrx": None,
    "rai": 0,
    "coex0": None,
    "magpio": None,
}

# Reporting that every power cycle, CFUN=0 and modem reset switches off again (modems.md 2A.3).
REPORTS = ("cereg", "cgerep", "cscon", "cnec", "xtime", "mdmev", "modemsleep", "cesq", "xsim", "rai", "cedrxp")


class Core:
    """State and verbs of one modem."""

    def __init__(self, clock, log, faults, nvs, resolver, *, imei, fixed_place=False, timing=None, engine="auto"):
        self.clock = clock
        self.log = log
        self.faults = faults
        self.nvs = nvs
        self.imei = imei
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_OID, "godwit modem " + imei))
        self.timing = {**TIMING, **(timing or {})}
        self.settings = nvs.settings(FACTORY_SETTINGS)
        self.on_notify = lambda kind, *args: None
        self.on_power = lambda what: None
        self._route = Route(fixed_place)
        self._tasks = set()
        self.radio = Radio(self)
        self.net = SocketTable(self, resolver, engine)
        self.gnss = Receiver(self)
        self.measurement = None  # the task of a running %NCELLMEAS
        self._forget()
        faults.on_action = self.act

    def _forget(self):
        self.cfun = 0
        self.gnss_on = False
        self.uicc_on = False
        self.time_known = False
        self.boot_ms = self.clock.now_ms()
        self.reports = dict.fromkeys(REPORTS, 0)

    # what is

    def spot(self):
        """Where the node is now."""
        return self._route.spot(self.clock.now_ms())

    def uptime_ms(self):
        """Milliseconds since power-on, in world time."""
        return self.clock.now_ms() - self.boot_ms

    def sim_ready(self):
        """Is there a SIM that answers?"""
        return self.uicc_on and not self.faults.on("no_sim")

    def lte_idle(self):
        """CFUN 0, 4 or LTE deactivated: the only time when modes and credentials may be written."""
        return not self.radio.active

    def waits_for_idle(self):
        """Does something that the host waits for wait for RRC idle?"""
        return self.gnss.searching or self.measurement is not None

    def state(self):
        """For the control socket."""
        cell = self.radio.cell
        return {"cfun": self.cfun, "stat": self.radio.stat, "rrc": self.radio.rrc, "ip": self.radio.ip,
                "eci": cell.eci if cell else None, "place": self.spot().place, "gnss": self.gnss.status,
                "sockets": self.net.describe(), "faults": self.faults.state(), "now_ms": self.clock.now_ms()}

    def identity(self):
        """What the factory wrote down about this modem: UUID, IMEI, and the public half of its identity key (PEM)."""
        return {"uuid": self.uuid, "imei": self.imei, "publicKey": public_pem(self.nvs.identity_key())}

    # what happens

    def notify(self, kind, *args):
        """Something unsolicited, for the personality."""
        self.on_notify(kind, *args)

    def rrc_changed(self):
        """RRC state changed: GNSS gets or loses the antenna."""
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
        elif name == "storm":
            for i in range(200 if arg is None else arg):
                self.notify("storm", i)

    # verbs

    async def set_cfun(self, mode):
        """AT+CFUN=mode; raises KeyError for a mode that does not exist."""
        lte, gnss, uicc = CFUN_MODES[mode]
        await self.clock.sleep(self.timing["cfun"])
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
        elif lte and self.settings["system_mode"][0] | self.settings["system_mode"][1]:
            self.radio.start()
        elif gnss is not None:
            self.gnss.update_blocking()
        if mode == 0:
            self.save()
            self.reports = dict.fromkeys(REPORTS, 0)
        self.log.event("cfun", mode=mode)

    def save(self):
        """Settings go to the NVM (CFUN=0 and orderly shutdowns only)."""
        self.nvs.save_settings(self.settings)

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
        found = await self.radio.measure(kind, gci_count)
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

    def power_cut(self):
        """All RAM is lost. The personality boots afterwards."""
        for task in list(self._tasks):
            task.cancel()
        self.measurement = None
        self.gnss.power_cut()
        self.radio.forget()
        self.net.close_all()
        self._forget()
        self.settings = self.nvs.settings(FACTORY_SETTINGS)
