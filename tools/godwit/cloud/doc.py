"""Reading answers that may be anything: the object, list of texts or number that should be there, or an empty one."""


def obj(value, *names):
    """The object at some names below a value; {} when there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def texts(value):
    """The elements of a list as texts; [] when it is no list."""
    return [str(one) for one in value] if isinstance(value, list) else []


def objects(value):
    """The objects of a list; [] when it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def number(value):
    """A finite number, 0 for anything else."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**63
    return value if good else 0


def words(document, *names):
    """Some members of an object that are there, as one text."""
    return " ".join(str(document[name]) for name in names if document.get(name))
