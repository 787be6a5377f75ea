"""Start the application from the slot that boot.py has chosen, and be there when it ends. A factory file.

The selector is dropped before the application is loaded, so that its code does not lie in the heap for years, and
loaded again when an update or an end needs it. As short as can be: this is compiled on the board, and stays.
"""

import sys

import bootsel

r = bootsel.start()
del sys.modules["bootsel"], sys.modules["bootsafe"], r["selector"], bootsel
e = None
try:
    __import__("app").run(r["root"], r)
except BaseException as error:
    e = error
try:
    sys.modules.pop("app", None)  # an application that has filled the heap must leave room for what follows
    for n in list(sys.modules):
        if n != "machine":
            del sys.modules[n]
    sys.path[:] = [".frozen", r["root"] or "/"]
    __import__("bootsafe").crashed(r, e)
except Exception:  # it has not, or flash is not read, or an error cannot say what it is: only Ctrl-C leads out of here
    __import__("machine").reset()
