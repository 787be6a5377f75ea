"""The images of test_bad_images.py: what `app.py` does in each, as text that MicroPython runs. Row I2 of fota.md 5.2.

`GOOD` is the old image: it does what the update errand does first after a start (tasks/job), with the firmware's own
code, prints one line of JSON, and restarts. Each of BAD is: (name, source of app.py or bytes of app.mpy, word that the
selector must give as the reason, starts that it may have, beginning of what the crash says).
"""

GOOD = """
import json
import clock, store
import cloud.base as base
import parts
import tasks.job as job
from journal import Journal
from records import Records
from state import State
import board

class Cloud:
    caps = (base.UPDATE,)
    async def update_check(self):
        return {"id": "job-1", "version": "1.1.0", "kind": "APP", "size": 1, "refused": None}

class App:
    room = None

class Update:
    def make_slots(self):
        return parts.slots(self.app)

def run(root, running):
    import asyncio
    u = Update()
    u.app = App()
    u.app.root, u.app.running = root, running
    u.running, u.file, u.state, u.cloud = running, root + "/data/job.json", State(), Cloud()
    u.config = {"update_interval_s": 7200, "update_hours": 72}
    u.records = Records(Journal(board.journal_device()), u.state, 16)
    asyncio.run(job.begin(u))
    told = [value for _, _, name, value in u.records.peek(50) if name == "job"]
    said = {name: running[name] for name in ("version", "slot", "rolled_back", "why", "fails", "safe", "died", "fault")}
    said["told"] = told
    said["bad"] = [digest.hex() for digest in u.make_slots().bad]
    print("GOOD", json.dumps(said))
    board.reset()
"""

_STARTED = """
def run(root, running):
    print("BAD", running["tries"])
"""

# A trial as the application has it, with a cloud that is not reached, or not as it should be.
_TRIAL = (
    """
import asyncio
import board, clock, parts
from cloud.base import AuthError
from journal import Journal
from records import Records
from state import State
from tasks.trial import Trial

class App:
    room = None
"""
    + _STARTED
    + """
    app = App()
    app.root, app.running = root, running
    state = State()
    records = Records(Journal(board.journal_device()), state, 16)
    records.add("temp", 20)
    {how}

    def give_up(reason):
        parts.slots(app).roll_back(reason)
        board.reset()

    async def live():
        clock.configure(board.ticks_ms, board.rest, board.set_rtc)
        clock.enter()
        asyncio.create_task(clock.keep())
        await Trial(state, running, records, board.reset, give_up).run()

    asyncio.run(live())
"""
)
_C = """
    import ffi
    libc = ffi.open("libc.so.6")
"""
_OVERWRITE = """
    with open(root + "/boot.{side}", "wb") as f:
        f.write(b"gone wild" * 10)
    import board
    board.reset()
"""

BAD = (
    ("throws_at_import", 'print("BAD", 0)\nraise ImportError("no module named x")\n', "crashed", 3,
     "ImportError: no module named x"),
    ("throws_later", _STARTED + '    raise ValueError("x" * 300)\n', "crashed", 3, "ValueError: xxxx"),
    ("another_format", b"M\x05\x00\x1f" + bytes(64), "crashed", 3, "ValueError: incompatible .mpy"),
    ("no_python", 'print("BAD", 0)\ndef broken(:\n', "crashed", 3, "SyntaxError"),
    ("no_run", 'print("BAD", 0)\n', "crashed", 3, "AttributeError"),
    ("returns", _STARTED, "crashed", 3, "nothing left to run"),
    ("exits", _STARTED + "    import sys\n    sys.exit(0)\n", "crashed", 3, "SystemExit"),
    ("loops", _STARTED + "    while True:\n        pass\n", "hung", 3, ""),
    ("eats_the_heap", _STARTED + '    hold = []\n    while True:\n        hold.append(bytes(1000))\n', "crashed", 3,
     "MemoryError"),
    # What it holds may be pinned by what lies on the stack: then nobody can write down why.
    ("eats_the_heap_for_good", "hold = []\n" + _STARTED + '    while True:\n        hold.append(bytes(100))\n',
     "crashed tries", 3, ""),
    ("resets", _STARTED + "    import board\n    board.reset()\n", "tries", 3, ""),
    ("sleeps", _STARTED + _C + '    libc.func("v", "_exit", "i")(4)\n', "tries", 3, ""),
    ("segfaults", _STARTED + _C + '    libc.func("i", "raise", "i")(11)\n', "tries", 3, ""),
    ("overwrites_one_record", _STARTED + _OVERWRITE.format(side=0), "tries", 2, ""),  # what is missing counts
    ("overwrites_the_other_record", _STARTED + _OVERWRITE.format(side=1), "tries", 3, ""),
    ("deletes_itself", _STARTED + "    import os, board\n    os.remove(root + '/b/board.mpy')\n    board.reset()\n",
     "damaged", 1, ""),
    ("adds_a_file", _STARTED + "    import board\n    open(root + '/b/log.txt', 'w').close()\n    board.reset()\n",
     "damaged", 1, ""),
    ("resets_after_30_s", _TRIAL.replace("await Trial(state, running, records, board.reset, give_up).run()",
     "await clock.sleep(30)\n        board.reset()").format(how="pass"), "tries", 3, ""),
    ("never_attaches", _TRIAL.format(how="state.problem = OSError(110), 3"), "unreached", 1, ""),
    ("no_answer", _TRIAL.format(how="state.problem = OSError(110), 1"), "unreached", 1, ""),
    ("unauthorised", _TRIAL.format(how='state.problem = AuthError("4.01"), 1'), "unauthorised", 1, ""),
    ("never_reports", _TRIAL.format(how="state.link.set()"), "unreached", 3, ""),
)  # fmt: skip
