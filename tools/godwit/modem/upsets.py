"""What a network or a SIM card does to a registered modem all of a sudden (faults)."""

from godwit.modem.radio import DENIED, NO_SIM, NOT_SEARCHING, ROAMING, SEARCHING, UNKNOWN
from godwit.modem.sim import READY


def sim_changed(core):
    """The SIM was taken out, or put back."""
    radio, ready = core.radio, core.sim.kind == READY
    if radio.active and not ready and radio.stat != core.profile.no_sim_stat:
        radio.stop()
        core.notify("sim")
        radio.start()  # to find that there is no card
    elif ready and core.cfun == 1 and radio.stat in (NOT_SEARCHING, NO_SIM) and radio.idle:
        core.notify("sim")
        radio.start()


def judged(core):
    """The network has changed its mind about us."""
    denied = "denied" in core.faults.state()
    if (denied and core.radio.registered) or (not denied and core.radio.stat == DENIED):
        core.radio.stop()
        core.radio.start()


def cycle(core):
    """Registration goes 1 -> 2 -> 4 -> 5."""
    if core.radio.registered:
        core.spawn(_cycle(core))


async def _cycle(core):
    for stat in (SEARCHING, UNKNOWN, ROAMING):
        core.radio.stat = stat
        core.log.event("cereg_cycle", stat=stat)
        core.notify("cereg")
        await core.clock.sleep(core.timing["cereg_cycle"])
