"""What the boot selector needs of `machine`, on the desk. Stays in sys.modules, in place of the port's own, which has
none of it; small, because on boards it is in ROM.

The watchdog is alarm(2), whose signal ends the process as hardware would: no exception, nothing flushed. It runs in
real time, so that time which a warped desk skips is none to it; making it again feeds it. GODWIT_WDT_S replaces its
period, for tests. Whoever restarts the process says in GODWIT_RESET, as one of these numbers (a hard reset is 2), how
the last one ended (`tools/godwit/day/node.py`); without it, the power has come.
"""

import os

PWRON_RESET = 1
WDT_RESET = 3
DEEPSLEEP_RESET = 4


def _call(name, number):
    import ffi

    ffi.open("libc.so.6").func("I", name, "I")(number)


def reset_cause():
    return int(os.getenv("GODWIT_RESET") or 1)


def reset():
    _call("_exit", 3)  # no finaliser closes, and so commits, a file that is half written


def WDT(timeout):
    _call("alarm", int(os.getenv("GODWIT_WDT_S") or timeout // 1000))
