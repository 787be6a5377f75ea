"""Start the application from the slot that boot.py has chosen. Runs after boot.py, as on every MicroPython board.

The selector has done its work: it is dropped before the application is loaded, so that its code does not lie in the
heap for years, and loaded again when an update needs it (app.py).
"""

import sys

import bootsel

running = bootsel.start()
del sys.modules["bootsel"], running["selector"], bootsel

import app  # noqa: E402

app.run(running["root"], running)
