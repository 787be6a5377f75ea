"""The SIM card: there or not, PIN and PUK (modems.md 1.10; TS 27.007 +CPIN).

The PIN comes from the fault `sim_pin`; three wrong ones, counted over power cuts, and only the PUK helps.
"""

from godwit.modem.grammar import CmeError

READY, PIN, PUK, MISSING, FAILURE = "ready", "pin", "puk", "missing", "failure"
ICCID, IMSI = "8949020000000000019F", "262010000000001"
_CME = {PIN: 11, PUK: 12, MISSING: 10, FAILURE: 13}
_TRIES = 3
_WRONG, _NOT_ALLOWED = 16, 3


class Sim:
    """Owned by Core; `faults` decides what is wrong with it."""

    def __init__(self, core):
        self._core = core
        self._unlocked = False

    def power_cut(self):
        """The PIN has to be given again."""
        self._unlocked = False

    @property
    def kind(self):
        """READY, PIN, PUK, MISSING or FAILURE."""
        on = self._core.faults.state()
        if "no_sim" in on:
            return MISSING
        if "sim_failure" in on:
            return FAILURE
        if "sim_pin" in on and not self._unlocked:
            return PIN if self._core.nvs.value("pin_tries", _TRIES) else PUK
        return READY

    def check(self):
        """Raises CmeError when the card cannot be read."""
        if self.kind != READY:
            raise CmeError(_CME[self.kind])
        if not self._core.uicc_on:
            raise CmeError(_CME[MISSING])

    def enter(self, pin):
        """+CPIN=pin. Raises CmeError: not asked for, wrong, or no tries left."""
        if self.kind != PIN:
            raise CmeError(_CME.get(self.kind, _NOT_ALLOWED))
        tries = self._core.nvs.value("pin_tries", _TRIES)
        if pin != str(self._core.faults.state()["sim_pin"]):
            self._core.log.event("pin_wrong", left=tries - 1)
            self._core.nvs.keep("pin_tries", tries - 1)
            raise CmeError(_WRONG if tries > 1 else _CME[PUK])
        self._core.nvs.keep("pin_tries", _TRIES)
        self._unlocked = True
        self._core.log.event("pin_accepted")
