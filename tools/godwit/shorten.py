"""Fewer names in the node's RAM, second part: parameters that nobody names in a call get short names too.

MicroPython keeps the name of every parameter, for calls by keyword; local variables have none at run time. In the
tree as a whole (what runs in one interpreter) it is known which keywords occur. A name becomes a letter, the same in
all files, where it is a parameter without a default, is nowhere in the tree a keyword, a keyword-only parameter or a
word in a string, and is in its file nothing else but parameters and local variables. Tokens are replaced in place, so
lines and tracebacks stay. squeeze.py does private names; bundle.py calls both.
"""

from __future__ import annotations

import ast
import builtins
import io
import itertools
import re
import string
import tokenize

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def shorten(sources: dict[str, str]) -> dict[str, str]:
    """{"at/client.py": text, ...} of one tree -> the same with short parameter names, on the same lines."""
    trees = {path: ast.parse(text) for path, text in sources.items()}
    spoken = set().union(*map(_spoken, trees.values()))
    return {path: _rewrite(text, trees[path], spoken) for path, text in sources.items()}


def _spoken(tree: ast.AST) -> set[str]:
    """Names by which a caller may mean a parameter: keywords, and any word of a string (`**table`)."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword):
            found.add(node.arg)
        elif isinstance(node, _FUNCTIONS):
            found.update(argument.arg for argument in node.args.kwonlyargs)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 40:
            found.update(_WORD.findall(node.value))  # longer ones are sentences, docstrings among them
    return found


def _plain_parameters(tree: ast.AST) -> set[str]:
    """Parameters without a default."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS):
            every = [*node.args.posonlyargs, *node.args.args]
            found.update(argument.arg for argument in every[: len(every) - len(node.args.defaults)])
    return found


def _with_default(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS):
            every = [*node.args.posonlyargs, *node.args.args]
            found.update(argument.arg for argument in every[len(every) - len(node.args.defaults) :])
            found.update(argument.arg for argument in (node.args.vararg, node.args.kwarg) if argument)
    return found


def _elsewhere(tree: ast.Module) -> set[str]:
    """Names that are more than a parameter or a local variable in this file."""
    found = set(dir(builtins)) | _with_default(tree)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            found.update(node.names)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.ExceptHandler):
            found.add(node.name or "")
        elif isinstance(node, ast.JoinedStr):  # Python 3.11 has no tokens inside of an f-string
            found.update(child.id for child in ast.walk(node) if isinstance(child, ast.Name))
    outside = list(tree.body)
    while outside:  # what is not inside of a function: globals, and names of class bodies
        node = outside.pop()
        if isinstance(node, ast.Name):
            found.add(node.id)
        if isinstance(node, _FUNCTIONS):
            outside.extend([*node.args.defaults, *filter(None, node.args.kw_defaults)])
        else:
            outside.extend(ast.iter_child_nodes(node))
    return found


def _rewrite(text: str, tree: ast.Module, spoken: set[str]) -> str:
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    elsewhere = _elsewhere(tree)
    old = {name for name in _plain_parameters(tree) - spoken - elsewhere if len(name) > 1}
    letters = ("".join(x) for n in (1, 2) for x in itertools.product(string.ascii_letters, repeat=n))
    fresh = (name for name in letters if name not in used | elsewhere)
    table = {name: next(fresh) for name in sorted(old)}
    places = {}
    lines = text.split("\n")
    for node in ast.walk(tree):
        name = getattr(node, "id", None) if isinstance(node, ast.Name) else getattr(node, "arg", None)
        if isinstance(node, (ast.Name, ast.arg)) and name in table:
            row = node.lineno
            places[row, len(lines[row - 1].encode()[: node.col_offset].decode())] = name
    every = tokenize.generate_tokens(io.StringIO(text).readline)
    tokens = {token.start: token.string for token in every if token.type == tokenize.NAME}
    for (row, column), name in sorted(places.items(), reverse=True):
        if tokens.get((row, column)) != name:
            raise ValueError(f"line {row}: {name} is not where ast sees it")
        line = lines[row - 1]
        lines[row - 1] = line[:column] + table[name] + line[column + len(name) :]
    return "\n".join(lines)
