"""Fewer names in the node's RAM, fourth part: what a module offers to others gets a letter, and its users follow.

A public function, class or constant at the top of a module is one interned name for the whole node, however rarely the
module is loaded. Its namespace is the module, so one letter can serve a hundred modules, if everybody who says
`from m import name` or `m.name` is rewritten too. That is done for a name that is nowhere spoken in a string, nor read
from an object that is not plainly a module of the tree (`how.probe`, where `how` came from __import__), and for no
exception, whose name a log shows. Inside of functions an import keeps its local name (`from m import a as name`), which
costs nothing. Lines stay; a traceback has the file and the line, and a letter for such a function. Needs the whole
tree, known by its app.py; bundle.py calls it after squeeze.py and shorten.py.
"""

from __future__ import annotations

import ast
import builtins
import io
import itertools
import re
import string
import tokenize
from collections import defaultdict

from .squeeze import SqueezeError, module_name

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENTRY = {"run"}  # main.py is no part of the tree
_WHOLE = "app.py"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SENTENCE = 40  # longer texts are sentences, docstrings among them


def relabel(sources: dict[str, str], keep: frozenset[str] = frozenset()) -> dict[str, str]:
    """{"at/client.py": text, ...} of a whole tree -> the same, with letters for what its modules share, but for the
    names in `keep`, which somebody outside of the tree uses."""
    if _WHOLE not in sources:
        return dict(sources)
    files = {path: _File(path, text) for path, text in sources.items()}
    modules = {file.module: file for file in files.values()}
    for file in files.values():
        file.resolve(modules)
    kept = _kept(files.values()) | keep
    for file in files.values():
        file.choose(kept)
    return {path: file.rewritten(modules) for path, file in files.items()}


def _kept(files) -> set[str]:
    """Names that stay everywhere: spoken, read from anything that is not a module of ours, exceptions, built in."""
    kept = _ENTRY | set(dir(builtins))
    prefixes = set()
    for file in files:
        kept |= file.read
        for node in ast.walk(file.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)) and len(node.value) < _SENTENCE:
                text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
                kept.update(_WORD.findall(text))
                prefixes.update(word for word in _WORD.findall(text) if word.endswith("_") and len(word) > 1)
    kept |= _exceptions(files)
    kept |= {name for file in files for name in file.bound if name.startswith(tuple(prefixes))}
    return kept


def _exceptions(files) -> set[str]:
    """Classes of exceptions: what inherits, by the last name of a base, from a built-in one."""
    bases = defaultdict(set)
    for file in files:
        for node in ast.walk(file.tree):
            if isinstance(node, ast.ClassDef):
                bases[node.name].update(ast.unparse(base).rpartition(".")[2] for base in node.bases)
    found = {name for name in dir(builtins) if isinstance(getattr(builtins, name), type)
             and issubclass(getattr(builtins, name), BaseException)}
    while True:
        more = {name for name, above in bases.items() if above & found} - found
        if not more:
            return found
        found |= more


class _File:
    """One module: what it binds, what it imports, and where its names stand."""

    def __init__(self, path: str, text: str):
        self.path, self.text = path, text
        self.module = module_name(path)
        self.tree = ast.parse(text)
        self.bound: set[str] = set()  # public globals made here
        self.imports: dict[tuple, str] = {}  # (row, column) of an alias -> module of ours that it comes from
        self.read: set[str] = set()  # attributes of what may be anything
        self.table: dict[str, str] = {}  # public global -> letter
        self._places: dict[tuple, tuple] = {}  # (row, column) of a token -> (kind, owning module or None, name)
        self._aliases: dict[str, str] = {}  # name in this file -> module of ours, where it is that and nothing else
        self._used = {node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)}
        self._used |= {node.arg for node in ast.walk(self.tree) if isinstance(node, ast.arg)}
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                self._used.add(node.name)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                self._used.add(node.name)
            elif isinstance(node, ast.alias):
                self._used.update([node.asname or node.name.partition(".")[0], *node.name.split(".")])
            elif isinstance(node, (ast.Global, ast.Nonlocal)):
                self._used.update(node.names)

    # --- what is what

    def resolve(self, modules: dict[str, _File]) -> None:
        """Find globals, imports of the tree's modules, and every place where one of them is named."""
        self._find_modules(modules)
        self._scope(self.tree.body, [], top=True)

    def _find_modules(self, modules) -> None:
        candidates, others = defaultdict(set), set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    candidates[name].add(alias.name if alias.asname else name)
            elif isinstance(node, ast.ImportFrom):
                for name, module in self._imported(node, modules):
                    if module:
                        candidates[name].add(module)
                    else:
                        others.add(name)
            elif isinstance(node, ast.arg):
                others.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
                others.add(node.id)
        for name, found in candidates.items():
            if len(found) == 1 and name not in others and next(iter(found)) in modules:
                self._aliases[name] = next(iter(found))
        self._modules = modules

    def _imported(self, node: ast.ImportFrom, modules):
        """(name here, the module of the tree that it is, or None) of each; notes where names of the tree come from."""
        source = self._absolute(node)
        for alias in node.names:
            if alias.name == "*":
                raise SqueezeError(f"{self.path}: import *")
            whole = f"{source}.{alias.name}"
            if whole not in modules and source in modules:
                self.imports[alias.lineno, alias.col_offset] = source
            yield alias.asname or alias.name, whole if whole in modules else None

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.module.split(".")
        parts = parts[: len(parts) - node.level + self.path.endswith("__init__.py")]
        return ".".join([*parts, *filter(None, [node.module])])

    def _module_of(self, node: ast.expr) -> str | None:
        """-> the module of the tree that an expression plainly is."""
        if isinstance(node, ast.Name):
            return self._aliases.get(node.id)
        if isinstance(node, ast.Attribute):
            above = self._module_of(node.value)
            name = f"{above}.{node.attr}"
            return name if above and name in self._modules else None
        return None

    def _scope(self, body, locals_, top=False, in_class=None) -> None:
        """Walk the statements of one scope; `locals_`: the sets of names of the functions around it."""
        if top:
            self.bound = {name for name in _bindings(body) if not name.startswith("_")}
            self.bound |= {name for node in ast.walk(self.tree) if isinstance(node, ast.Global) for name in node.names}
        hidden = [*locals_, in_class] if in_class is not None else locals_
        for statement in body:
            self._visit(statement, locals_, hidden, top)

    def _visit(self, node, locals_, hidden, top) -> None:
        if isinstance(node, _FUNCTIONS):
            self._function(node, locals_, hidden)
            return
        if isinstance(node, ast.ClassDef):
            self._definition(node, hidden)
            for child in [*node.decorator_list, *node.bases, *node.keywords]:
                self._visit(child, locals_, hidden, top)
            self._scope(node.body, locals_, in_class=_bindings(node.body))
            return
        if isinstance(node, _COMPREHENSIONS):
            targets = [name for comp in node.generators for name in ast.walk(comp.target)]
            inner = {name.id for name in targets if isinstance(name, ast.Name)}
            for child in ast.iter_child_nodes(node):
                self._visit(child, [*locals_, inner], [*hidden, inner], top)
            return
        if isinstance(node, ast.Name) and not any(node.id in names for names in hidden):
            self._place(node.lineno, node.col_offset, ("name", None, node.id))
        elif isinstance(node, ast.Attribute):
            owner = self._module_of(node.value)
            if owner is None:
                self.read.add(node.attr)
            else:
                column = self._column(node.end_lineno, node.end_col_offset) - len(node.attr)
                self._places[node.end_lineno, column] = ("attribute", owner, node.attr)
        elif isinstance(node, ast.ImportFrom):
            self._import(node, bool(hidden))
        elif isinstance(node, ast.ExceptHandler) and node.name and not hidden:
            raise SqueezeError(f"{self.path}: {node.name} of an except at module level")
        for child in ast.iter_child_nodes(node):
            self._visit(child, locals_, hidden, top)

    def _function(self, node, locals_, hidden) -> None:
        arguments = node.args
        for child in [*arguments.defaults, *filter(None, arguments.kw_defaults), *getattr(node, "decorator_list", ())]:
            self._visit(child, locals_, hidden, False)
        names = {argument.arg for argument in ast.walk(arguments) if isinstance(argument, ast.arg)}
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        names |= _bindings(body)
        names -= {name for child in ast.walk(node) if isinstance(child, ast.Global) for name in child.names}
        if not isinstance(node, ast.Lambda):
            self._definition(node, hidden)
        self._scope(body, [*locals_, names])

    def _definition(self, node, hidden) -> None:
        if any(node.name in names for names in hidden):
            return
        line = self.text.split("\n")[node.lineno - 1]
        column = line.index(node.name, self._column(node.lineno, node.col_offset) + 4)
        self._places[node.lineno, column] = ("name", None, node.name)

    def _import(self, node, inside) -> None:
        for alias in node.names:
            source = self.imports.get((alias.lineno, alias.col_offset))
            column = self._column(alias.lineno, alias.col_offset)
            if source:
                self._places[alias.lineno, column] = ("inside" if inside else "import", source, alias.name)
                if alias.asname:
                    self._places[alias.lineno, column] = ("source", source, alias.name)
            elif not inside and not alias.asname and self._absolute(node) not in self._modules:
                self.read.add(alias.name)  # of a module that is not ours, under its own name
            if alias.asname and not inside:
                end = self._column(alias.end_lineno, alias.end_col_offset) - len(alias.asname)
                self._places[alias.end_lineno, end] = ("name", None, alias.asname)

    def _place(self, row, offset, what) -> None:
        self._places[row, self._column(row, offset)] = what

    def _column(self, row, offset) -> int:
        """ast counts bytes."""
        return len(self.text.split("\n")[row - 1].encode()[:offset].decode())

    # --- what becomes of it

    def choose(self, kept: set[str]) -> None:
        """Give each global of this module that may change its letter."""
        letters = ("".join(x) for n in (1, 2) for x in itertools.product(string.ascii_letters, repeat=n))
        fresh = (name for name in letters if name not in self._used | kept)
        # `global name` has no place for each name in the syntax tree, and is rare.
        whole = {name for node in ast.walk(self.tree) if isinstance(node, ast.Global) for name in node.names}
        whole |= {alias.asname or alias.name.partition(".")[0] for node in ast.walk(self.tree)
                 if isinstance(node, ast.Import) for alias in node.names}
        own = {name for name in self.bound - kept - whole if name not in self._aliases and len(name) > 2}
        self.table = {name: next(fresh) for name in sorted(own)}

    def rewritten(self, modules: dict[str, _File]) -> str:
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        found = {token.start: token.string for token in tokens if token.type == tokenize.NAME}
        lines = self.text.split("\n")
        for (row, column), (kind, owner, name) in sorted(self._places.items(), reverse=True):
            new = self._new(kind, name, modules[owner].table if owner else {})
            if new == name:
                continue
            if found.get((row, column)) != name:
                raise SqueezeError(f"{self.path}, line {row}: {name} is not where ast sees it")
            line = lines[row - 1]
            lines[row - 1] = line[:column] + new + line[column + len(name) :]
        return "\n".join(lines)

    def _new(self, kind: str, name: str, theirs: dict[str, str]) -> str:
        if kind == "name":
            return self.table.get(name, name)
        there = theirs.get(name, name)
        here = {"import": self.table.get(name, name), "inside": name}.get(kind)
        return there if here is None or here == there else f"{there} as {here}"


def _bindings(body) -> set[str]:
    """Names that the statements of one scope bind, without what is inside of functions, classes, comprehensions."""
    found, nodes = set(), list(body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
            nodes.extend(getattr(node, "decorator_list", ()))
            continue
        if isinstance(node, (ast.Lambda, *_COMPREHENSIONS)):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            found.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
        nodes.extend(ast.iter_child_nodes(node))
    return found
