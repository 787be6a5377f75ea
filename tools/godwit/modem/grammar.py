"""AT command lines: from the text after `AT` to name, operation and parameters (modems.md 1.1).

Parameters are None (left empty), int, quoted str or Bare (anything else, for the handler to refuse or read).
Basic commands have their number in the name (`E0`, `I9`, `&K0`). One command per line: `;` is refused by all families.
"""

import re

_EXTENDED = re.compile(r"([+%#*][A-Z][A-Z0-9]*)(=\?|\?|=(.*))?", re.IGNORECASE | re.DOTALL)
_BASIC = re.compile(r"(&?[A-Z]\d?|)", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+")


class CommandError(Exception):
    """ERROR; `lines` come before it."""

    def __init__(self, *lines):
        super().__init__(*lines)
        self.lines = lines


class CmeError(CommandError):
    """+CME ERROR: <code>, or ERROR when +CMEE is 0."""

    def __init__(self, code):
        super().__init__()
        self.code = code


class Bare(str):
    """An unquoted parameter that is not a decimal number."""


class Params(list):
    """Parameters with typed access; everything that does not fit is a CommandError."""

    def number(self, i, low=0, high=2**31 - 1, default=None):
        """Parameter i as an int within bounds; without it `default`, and an error when that is None."""
        value = self[i] if i < len(self) else None
        if value is None:
            if default is None:
                raise CommandError
            return default
        if not isinstance(value, int) or not low <= value <= high:
            raise CommandError
        return value

    def text(self, i, default=None):
        """Parameter i as a quoted string."""
        value = self[i] if i < len(self) else None
        if value is None:
            if default is None:
                raise CommandError
            return default
        if not isinstance(value, str) or isinstance(value, Bare):
            raise CommandError
        return value

    def given(self, i):
        """Is parameter i there and not empty?"""
        return i < len(self) and self[i] is not None

    def at_most(self, n):
        """No more than n parameters."""
        if len(self) > n:
            raise CommandError


def parse(line):
    """(name, operation, Params) of the text after AT; operation is exec, set, read or test. Raises CommandError."""
    line = line.strip(" ")
    if _BASIC.fullmatch(line):
        return line.upper(), "exec", Params()
    match = _EXTENDED.fullmatch(line)
    if not match:
        raise CommandError
    name, tail, body = match.group(1).upper(), match.group(2), match.group(3)
    if tail is None:
        return name, "exec", Params()
    if tail in ("?", "=?"):
        return name, "read" if tail == "?" else "test", Params()
    return name, "set", Params(_values(body))


def _values(body):
    values, pos = [], 0
    while True:
        if body[pos : pos + 1] == '"':
            end = body.find('"', pos + 1)
            if end < 0 or body[end + 1 : end + 2] not in ("", ","):
                raise CommandError
            values.append(body[pos + 1 : end])
            pos = end + 1
        else:
            end = body.find(",", pos)
            end = len(body) if end < 0 else end
            values.append(_unquoted(body[pos:end].strip(" ")))
            pos = end
        if pos >= len(body):
            return values
        pos += 1  # the comma
        if pos == len(body):
            values.append(None)
            return values


def _unquoted(text):
    if not text:
        return None
    if '"' in text or ";" in text:
        raise CommandError
    return int(text) if _NUMBER.fullmatch(text) else Bare(text)
