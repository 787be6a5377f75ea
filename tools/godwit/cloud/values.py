"""JSON from the command line, a file or standard input; short forms of JSON for a line of a table."""

import json
import sys
from pathlib import Path

from .errors import CloudError
from .screen import plain

_CLIP = 160


def read_text(argument, what):
    """The text that an argument names: itself, "-" for standard input, "@file" for a file. CloudError."""
    try:
        if argument == "-":
            return sys.stdin.read()
        if argument.startswith("@"):
            return Path(argument[1:]).read_text(encoding="utf-8")
    except OSError as error:
        raise CloudError(f"{what} {argument}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CloudError(f"{what} {argument}: not a text") from error
    return argument


def load(text, what):
    """JSON of a text. CloudError with the place where it goes wrong."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise CloudError(f"{what} is no JSON: {error.msg} (line {error.lineno}, column {error.colno})") from error
    except (ValueError, RecursionError) as error:
        raise CloudError(f"{what} is no JSON: {error or 'too deep'}") from error


def guess(text):
    """A value as typed: JSON when it is JSON (60, true, null, [1, 2]), else the text itself."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def short(value):
    """A value in one line of bearable length."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = plain(text)
    return text if len(text) <= _CLIP else text[: _CLIP - 1] + "…"


def _no_constant(name):
    raise ValueError(f"{name} is no number of JSON")
