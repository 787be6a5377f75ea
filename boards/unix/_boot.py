"""What the firmware of a board does before boot.py: mount the flash, then run boot.py and main.py from it.

On a board this is frozen into MicroPython; on the desk it is the program that `godwit run` starts, as
`micropython -X heapsize=160k boards/unix/_boot.py`, with GODWIT_FLASH naming the flash image.
"""

import os
import sys

import vfs

sys.path.insert(0, __file__.rpartition("/")[0] or ".")
import machine  # noqa: F401  in place of the port's own; stays in sys.modules, like a frozen module, when sys.path is rewritten

import flashdev  # the same

if os.getenv("GODWIT_WARP") == "1":
    import skip  # noqa: F401
if os.getenv("GODWIT_MODEM"):
    import modempower  # noqa: F401  the same

ROOT = "/flash"


def _run(name):
    path = ROOT + "/" + name
    with open(path) as script:
        exec(script.read(), {"__name__": "__main__", "__file__": path})


vfs.mount(vfs.VfsLfs2(flashdev.filesystem(os.getenv("GODWIT_FLASH"))), ROOT)
os.chdir(ROOT)
sys.path[:] = [ROOT, ".frozen"]
if os.getenv("GODWIT_WARP") == "1":
    _run("boot.py")
    sys.modules["bootsafe"].sleep_ms = sys.modules.pop("skip").skip_ms
else:
    _run("boot.py")
_run("main.py")
