"""Test helpers that run on MicroPython and CPython alike; no product code in here.

`unittest` in this folder is MicroPython's only (CPython keeps its own: this folder itself is never on its
path). The rest is imported as `harness.<name>`: `aio.run`, `rng.Rng`, and what each area adds for its own
tests.
"""


def data_path(name):
    """Path of the file `name` in tests/data, wherever the tests are started from."""
    return __file__.rsplit("/", 2)[0] + "/data/" + name
