"""How a node's life begins and ends: its tasks, put together once, and what is kept before the board restarts.

Each function takes the App. Loaded then, forgotten after (cold.py), unlike parts.py, which each errand needs.
"""

from micropython import const

import board
import clock
import log
from cloud.base import CloudError

_PATIENCE_S = const(600)  # rather an assisted fix ten minutes later than a cold search now


def tasks(app):
    """-> list of (name, task) that live as long as the node; the order is the order of starting."""
    from errands import Errand, Errands
    from tasks.health import Health
    from tasks.late import Late
    from tasks.sample import Sample

    _finish_report(app)
    state, config, records = app.state, app.config, app.records
    running = app.running
    if running["fault"]:
        log.error("app", "the active slot did not start (%s): this is the other one", running["fault"])
    if running.get("died"):
        log.warn("app", "the last start ended badly: %s", running["died"])
    safe = running.get("safe")
    errands = [
        Errand("shadow", app.part),
        Errand("uplink", app.part, early=state.records),
        Errand("locate", app.part, patience_s=_PATIENCE_S),
        Errand("update", app.part),
    ]
    if safe:
        del errands[2], errands[0]
    prove = running.get("fails") and app.live  # one on trial has its own proof
    found = [
        ("health", Health(state, config, board.feed_watchdog, prove)),
        ("link", app.link),
        ("errands", Errands(state, errands, app.cloud.release)),
    ]
    if safe:
        found.append(("safe", _safe(app)))
    else:
        found.insert(1, ("sample", Sample(state, config, records, board.sensors())))
    if app.running["pending"]:
        found.append(("trial", Late(state.link, app.live, "trial")))
    return found


def _finish_report(app):
    """A report that a power cut kept from the journal gets there now: before anything else may be appended."""
    import parts
    import store

    if store.exists(parts.job_file(app)):
        from tasks.job import finish

        try:
            finish(parts.job_file(app), app.records)
        except CloudError as problem:
            log.error("update", "%s", problem)


def roomy(app):
    """The next start keeps a larger buffer (App.room). Does not return, unless flash fails."""
    try:
        open(app.root + "/data/roomy", "wb").close()
    except OSError as problem:
        log.error("app", "no room, and flash keeps nothing: %s", problem)
        return
    app.restart()


def restart(app, reason, said):
    """What there is to keep before the board restarts: how much of the heap was seen in use, because an update
    ends so; and how this start ended (App.restart), on flash that left the factory with bootsafe.py."""
    import parts

    log.info("app", "restart")
    if clock.now_ms() is not None:
        app.records.add("heap", app.state.heap_peak)
    try:
        if reason and "fails" in app.running:
            parts.factory(app, "bootsafe").fail(app.root, app.running, reason, said)
        elif app.running.get("counted"):
            parts.factory(app, "bootsafe").leave(app.root, app.running)
    except (OSError, MemoryError) as problem:  # it counts as one that ended badly
        log.error("app", "the end of this start is not kept: %s", problem)


def prove(app):
    """This start has proved itself: it, and those before it, no longer count. -> whether flash has taken it."""
    import parts

    try:
        parts.factory(app, "bootsafe").confirm(app.root, app.running)
        return True
    except OSError as problem:
        log.error("app", "not kept that all is well: %s", problem)
        return False


def _safe(app):
    from tasks.safe import Safe

    def again():
        import parts

        parts.factory(app, "bootsafe").leave(app.root, app.running, 2)  # and the start after this will be the third
        app.restart()

    return Safe(app.running, app.records, again)


def trial(app):
    from tasks.trial import Trial

    def give_up(reason):
        import parts

        parts.slots(app).roll_back(reason)
        app.restart()

    return Trial(app.state, app.running, app.records, app.restart, give_up)
