"""House rules that ruff has no words for: sizes of files and functions, broad excepts, words that must not leak."""

import ast
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from tree import DEVICE, REPO, files, parsed, sources

_MAX_FILE = {"lib": 350, "firmware": 350, "boards": 350, "tools": 350, "tests": 400}
_MAX_FUNCTION = 60
_MAY_CATCH_ALL = (
    "firmware/app.py",  # the supervisor: a task that dies is logged, counted and started again
    "firmware/boot.py",  # what fails here must not keep main.py from running
    "firmware/main.py",  # the application is whatever an update has brought; its end is kept, and the board reset
    "lib/coap/transfer.py",  # what a sink raises in the reader task is raised again in its caller's
)


def _sizes():
    for path in sources():
        limit = _MAX_FILE.get(path.parts[0])
        lines = (REPO / path).read_text(encoding="utf-8").count("\n")
        if limit and lines > limit:
            yield path, lines, f"{lines} lines, at most {limit}: one file, one job"
        for node in ast.walk(parsed(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = node.end_lineno - node.lineno + 1
                if length > _MAX_FUNCTION:
                    yield path, node.lineno, f"{node.name} has {length} lines, at most {_MAX_FUNCTION}"


def _broad_excepts():
    """`except Exception` hides bugs; one that ends in a bare `raise` only cleans up and is fine."""
    for path in sources(*DEVICE):
        if str(path) in _MAY_CATCH_ALL:
            continue
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            names = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else {"BaseException"}
            last = node.body[-1]
            cleans_up = isinstance(last, ast.Raise) and last.exc is None
            if names & {"Exception", "BaseException"} and not cleans_up:
                yield path, node.lineno, "catch what you expect; only the supervisor catches everything"


def _asserts():
    for path in sources(*DEVICE):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Assert):
                yield path, node.lineno, "assert is gone under -O: raise a named error"


def _headers():
    for path in sources(*DEVICE):
        if path.name != "manifest.py" and parsed(path).body and not ast.get_docstring(parsed(path)):
            yield path, 1, "no module docstring: what it does, after which document, who calls it, RAM it owns"


def _machine_words():
    """This machine's package mirrors, home and work folder: they differ everywhere and belong in no file."""
    import private_apt

    urls = list(private_apt.archive_uris("/etc/apt"))
    for name, value in os.environ.items():
        if name.startswith(("PIP_", "UV_", "npm_", "NPM_")) or name.lower().endswith("_proxy"):
            urls += re.findall(r"https?://\S+", value)
    hosts = {urlsplit(url).hostname for url in urls} - {None, "localhost", "127.0.0.1"}
    folders = {str(REPO.parent) + "/", str(REPO) + "/", str(Path.home()) + "/", os.path.join(os.sep, "tmp", "")}
    return hosts | {folder for folder in folders if len(folder) > 4}


def _leaks():
    words = re.compile("|".join(re.escape(word) for word in sorted(_machine_words())))
    for path in files():
        data = (REPO / path).read_bytes()
        if b"\0" in data:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            match = words.search(line)
            if match:
                yield path, number, f"'{match.group()}' belongs to this machine, not into a file"


def problems():
    """(path, line, text) of each broken rule."""
    for check in (_sizes, _broad_excepts, _asserts, _headers, _leaks):
        yield from check()
