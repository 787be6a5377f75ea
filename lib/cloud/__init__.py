"""Cloud backends behind one contract (`cloud.base`), loaded by name so that a node carries only the one it uses.

`cloud.load("nrfcloud")` returns the backend's class. A new cloud is one module or package in this folder that
defines `Cloud` and one name in `BACKENDS`.
"""

BACKENDS = ("nrfcloud", "thingsboard", "exosite")


def load(name):
    """-> the `Cloud` class of backend `name` (one of BACKENDS); ValueError for an unknown name."""
    if name not in BACKENDS:
        raise ValueError("unknown cloud backend %s" % name)
    return __import__("cloud." + name, None, None, ("Cloud",)).Cloud
