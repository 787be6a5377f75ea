"""Start the application from the slot that boot.py has chosen, and be there when it ends. A factory file.

The selector has done its work: it is dropped before the application is loaded, so that its code does not lie in the
heap for years, and loaded again when an update or an end needs it. An application that ends, by an exception or
without one, is a start that went badly (bootsafe.py); Ctrl-C is not, and ends in the prompt.
"""

import gc
import sys

import bootsel

_running = bootsel.start()
del sys.modules["bootsel"], sys.modules["bootsafe"], _running["selector"], bootsel

try:
    import app

    app.run(_running["root"], _running)
    _ended = RuntimeError("nothing left to run")
except KeyboardInterrupt:
    print("godwit: stopped at the terminal; a reset goes on")
    _ended = None
except BaseException as error:
    sys.print_exception(error)
    _ended = error

if _ended is not None:
    app = None
    for _name in list(sys.modules):  # an application that has filled the heap must leave room for what follows
        if getattr(sys.modules[_name], "__file__", "").startswith(_running["path"]):
            del sys.modules[_name]
    gc.collect()
    sys.path[:] = [".frozen", _running["root"] or "/"]
    import bootsafe

    bootsafe.crashed(_running, _ended)
