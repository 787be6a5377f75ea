"""Arithmetic of shadow documents: paths, changes as merge patches, values at a path, three sections side by side.

A path is a tuple of keys. On the command line it is `config.interval`, or a JSON pointer (RFC 6901) `/config/a.b` where
keys have dots. Merge semantics: nrfcloud.md 7.4.
"""

from .errors import CloudError
from .values import guess

ABSENT = object()


def path(text):
    """The path that a text names. CloudError when it names none."""
    if text.startswith("/"):
        keys = [key.replace("~1", "/").replace("~0", "~") for key in text[1:].split("/")]
    else:
        keys = text.split(".")
    if not all(keys):
        raise CloudError(f"{text!r} is no path: use config.interval or /config/interval")
    return tuple(keys)


def assignment(text):
    """(path, value) of `config.interval=60`; the value is JSON or else a text. CloudError."""
    name, equals, value = text.partition("=")
    if not equals:
        raise CloudError(f"{text!r}: expected key=value, as in config.interval=60")
    return path(name), guess(value)


def merge_in(patch, keys, value):
    """Put a value at a path of a patch, in place. CloudError when the patch has a value on the way there."""
    for key in keys[:-1]:
        patch = patch.setdefault(key, {})
        if not isinstance(patch, dict):
            raise CloudError(f"{'.'.join(keys)}: {key} is given a value of its own")
    if isinstance(patch.get(keys[-1]), dict):
        raise CloudError(f"{'.'.join(keys)}: parts of it are given values of their own")
    patch[keys[-1]] = value


def leaves(document, keys=()):
    """(path, value) of every leaf of a patch; an empty object is a leaf, so is null."""
    if isinstance(document, dict) and document:
        for key, value in document.items():
            yield from leaves(value, (*keys, key))
    else:
        yield keys, document


def at(document, keys):
    """The value at a path, ABSENT when there is none."""
    for key in keys:
        if not isinstance(document, dict) or key not in document:
            return ABSENT
        document = document[key]
    return document


def reached(document, patch):
    """Does a section hold already what a patch asks for?"""
    for keys, value in leaves(patch):
        present = at(document, keys)
        if value is None:
            if present is not ABSENT:
                return False
        elif value == {}:
            if not isinstance(present, dict):
                return False
        elif present is ABSENT or present != value:
            return False
    return True


def touched(before, after, patch):
    """The paths of a patch whose values differ between two states of a section."""
    return [keys for keys, _ in leaves(patch) if at(before, keys) != at(after, keys)]


def rows(*sections):
    """(path, is a branch, value per section) of the union of some documents, depth first, in the order of keys."""
    yield from _rows((), sections)


def _rows(keys, values):
    names = dict.fromkeys(key for value in values if isinstance(value, dict) for key in value)
    for name in names:
        below = tuple(value.get(name, ABSENT) if isinstance(value, dict) else ABSENT for value in values)
        branch = any(isinstance(value, dict) and value for value in below)
        leaf = tuple(ABSENT if branch and isinstance(value, dict) else value for value in below)
        yield (*keys, name), branch, leaf
        if branch:
            yield from _rows((*keys, name), below)
