"""Where each verb of modem.base lives. Most are needed for seconds a day, and are loaded for these only.

Called by modem.family.Family for a verb that it has not: first the family's own table (`HOMES` in its verbs.py, file of
its package), then the one here, whose files work from the family's `steps`. An application may drop this module, and
those that it names, from sys.modules in between. RAM: none.
"""

_HOMES = {
    "start": "link",
    "attach": "link",
    "detach": "link",
    "registered": "link",
    "reset": "ladder",
    "identity": "info",
    "time": "info",
    "signal": "info",
    "battery_mv": "info",
    "power_save": "power",
    "sleep": "power",
    "wake": "power",
}


def find(family, verb):
    """-> the function `verb`(modem, ...) of `family`, its file loaded. AttributeError when there is no such verb."""
    package = "modem." + family
    home = __import__(package + ".verbs", None, None, ("HOMES",)).HOMES.get(verb)
    if home is None:
        package = "modem"
        home = _HOMES.get(verb)
        if home is None:
            raise AttributeError(verb)
    return getattr(__import__(package + "." + home, None, None, (verb,)), verb)


def steps(modem):
    """-> the module that says how the family does what link, ladder and info do in its name (modem/README.md)."""
    return __import__("modem.%s.steps" % modem.family, None, None, ("SETTINGS",))
