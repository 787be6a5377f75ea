"""The errands and what they need, put together when they are due. Loaded then, forgotten after (cold.py).

Each function takes the App and returns one part; `shadow`, `uplink`, `locate` and `update` are errands.
"""

import gc
import sys

import board
import cold
import log


def job_file(app):
    """-> path of the record of the firmware job in hand (tasks/job)."""
    return app.root + "/data/job.json"


def shadow(app):
    from tasks.shadow import Shadow

    about = {"appVersion": app.running["version"], "appName": "godwit", "board": board.NAME}
    return Shadow(app.state, app.config, app.cloud, app.records, about, app.running["fault"])


def uplink(app):
    from tasks.uplink import Uplink

    return Uplink(app.state, app.config, app.records, app.cloud, app.logbook, app.heap)


def locate(app):
    from tasks.locate import Locate

    wifi = board.wifi() if hasattr(board, "wifi") else None
    folder = app.root + "/data/pgps"
    if app.receiver is None and hasattr(board, "gnss"):
        app.receiver = board.gnss()  # once: it knows what it has been given
    how = {"link": app.link, "receiver": app.receiver, "moved": getattr(board, "moved", None)}
    return Locate(app.state, app.config, app.records, app.modem, app.cloud, app.heap, app.scratch, wifi, folder, **how)


def update(app):
    if app.state.job is None:
        _trust(app)
    from tasks.update import Update

    file = job_file(app)
    state, config, records, running = app.state, app.config, app.records, app.running
    return Update(state, config, app.cloud, records, app.part, file, running, app.restart, app.heap)


def _trust(app):
    """The update keys of a confirmed image are ours, also when the power was cut right after its confirmation."""
    running = app.running
    if running["pending"]:
        return
    from fota.trust import adopt

    try:
        if adopt(app.root, running["path"], lambda: slots(app).floor > running["sequence"]):
            log.info("fota", "update keys are those of version %s now", running["version"])
    except OSError as problem:
        log.warn("fota", "update keys not renewed: %s", problem)


def slots(app):
    """-> lib/fota Slots, or Partitions on a board that has them, with the boot selector."""
    running = dict(app.running)
    running["selector"] = factory(app, "bootsel")
    if hasattr(board, "partition"):
        return _whole("partitions").Partitions(app.root, running, board.partition())
    from fota.slots import Slots

    return Slots(app.root, running, app.room)


def factory(app, name):
    """-> a factory file: beside the slots, and not on the path while we run."""
    sys.path.append(app.root or "/")
    try:
        return __import__(name)
    finally:
        sys.path.pop()


def _limits(app):
    # A function of its own: the caller's frame would keep the slots, and their code, from being collected.
    found = slots(app)
    return found.floor, found.bad


def fetch(app, job, read, progress, settle=None, room=None):
    """-> lib/fota Fetch for `job`; what installs is forgotten before what downloads is loaded. `settle`, `room`: as
    Fetch has them, of a module that may stay; ours would keep all of this one."""
    floor, bad = _limits(app)
    _settle()
    import store
    from fota.fetch import Fetch

    return Fetch(
        app.root,
        job["id"],
        job["size"],
        read,
        store.read_bytes(app.root + "/data/update.pub", b""),
        board.DEVICE_CLASS,
        floor,
        progress,
        bad,
        room or (lambda manifest: _room(app, manifest)),
        app.scratch,
        settle or _settle,
        *_payload(app),
    )


def _payload(app):
    """-> (where blocks go, which component a node takes): a file and "app", or the partition that is not running."""
    if not hasattr(board, "partition"):
        return None, "app"
    return _whole("partition").PartitionBlocks(board.partition(), app.running["pending"]), "image"


def _whole(name):
    """-> fota.partition or fota.partitions, which only the boards have whose features say so."""
    return getattr(__import__("fota." + name), name)


def _room(app, manifest):
    if hasattr(board, "partition"):
        return _whole("partition").room(app.root, board.partition(), manifest)
    from fota.space import room

    room(app.root, "b" if app.running["slot"] == "a" else "a", manifest)


def _settle():
    cold.forget()
    gc.collect()
