"""Cloud backends behind one contract (`cloud.base`), loaded by name so that a node carries only the one it uses.

`cloud.load("nrfcloud")` returns the backend's class. A new cloud is one module or package in this folder that defines
`Cloud`, and a line in tools/godwit/selection.py that says which nodes carry it.
"""


def load(name):
    """-> the `Cloud` class of backend `name`; ValueError when there is none here."""
    try:
        return __import__("cloud." + name, None, None, ("Cloud",)).Cloud
    except (ImportError, AttributeError) as missing:
        raise ValueError("no cloud backend %s: %s" % (name, missing)) from None
