"""Fewer names in the node's RAM, third part: short texts of code that is forgotten are forgotten with it.

The compiler makes a name of every text of up to 10 characters, and a name stays in the heap for good. A text inside of
a constant tuple is an object of the module instead, which goes when the module goes. So where only modules of
`cold.COLD` have it, and nothing in the tree is called so, `"alt_mm"` becomes `("alt_mm",)[0]`: about 44 bytes more
while the module is loaded, and one name less in tables that double at 640 and 1280. That is worth it for a text that
occurs once or twice, and for more as the limit comes near (`_MOST_USES`). Lines stay. bundle.py calls it last.
"""

from __future__ import annotations

import ast
from collections import defaultdict

from .squeeze import module_name

_INTERNED = 10  # characters; MICROPY_ALLOC_PARSE_INTERN_STRING_LEN
_MOST_USES = 2
_BLOCKS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_BY_NAME = {"getattr", "setattr", "hasattr", "delattr", "__import__"}
_COLD_FILE = "cold.py"


def unname(sources: dict[str, str]) -> dict[str, str]:
    """{"at/client.py": text, ...} of one tree with a cold.py -> the same with fewer names, on the same lines."""
    if _COLD_FILE not in sources:
        return dict(sources)
    trees = {path: ast.parse(text) for path, text in sources.items()}
    cold = cold_modules(sources[_COLD_FILE])
    taken = set().union(*map(_identifiers, trees.values()))
    places = {path: _texts(tree) for path, tree in trees.items()}
    homes = defaultdict(list)
    for path, nodes in places.items():
        for node in nodes:
            homes[node.value].append(module_name(path) in cold)
    old = {
        text for text, kinds in homes.items() if all(kinds) and len(kinds) <= _MOST_USES and text not in taken
    }
    return {
        path: _rewrite(sources[path], [node for node in nodes if node.value in old]) for path, nodes in places.items()
    }


def cold_modules(text: str) -> set[str]:
    """Names of the modules that a cold.py lists: COLD is pairs of a package and the modules in it, between blanks."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "COLD":
            pairs = ast.literal_eval(node.value)
            return {f"{package}.{leaf}".lstrip(".") for package, leaves in pairs for leaf in leaves.split()}
    return set()


def _identifiers(tree: ast.AST) -> set[str]:
    """Everything in the tree that the compiler makes a name of because of what it is."""
    found = set()
    for node in ast.walk(tree):
        for attribute in ("id", "attr", "arg", "name"):
            found.add(getattr(node, attribute, None))
        if isinstance(node, ast.alias):
            found.update(node.name.split("."))
        elif isinstance(node, ast.Call) and getattr(node.func, "id", None) in _BY_NAME:
            found.update(part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
    return found


def _constant(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) or isinstance(node, ast.Tuple) and all(map(_constant, node.elts))


def _texts(tree: ast.AST) -> list[ast.Constant]:
    """The short texts that the compiler makes names of: not docstrings, not members of constant tuples."""
    apart = set()
    for node in ast.walk(tree):
        if isinstance(node, _BLOCKS):
            apart.update(item.value for item in node.body if isinstance(item, ast.Expr))
        elif isinstance(node, ast.JoinedStr) or isinstance(node, ast.Tuple) and _constant(node):
            apart.update(ast.walk(node))
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and 0 < len(node.value) <= _INTERNED
        and node.lineno == node.end_lineno
        and node not in apart
    ]


def _rewrite(text: str, nodes: list[ast.Constant]) -> str:
    lines = text.split("\n")
    for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        line = lines[node.lineno - 1].encode()
        start, end = node.col_offset, node.end_col_offset
        lines[node.lineno - 1] = (line[:start] + b"(" + line[start:end] + b",)[0]" + line[end:]).decode()
    return "\n".join(lines)
