"""Fewer names in the node's RAM: private identifiers of the device's sources become short ones that modules share.

MicroPython interns every name that a loaded .mpy mentions, once for all modules, in pools that double: 640 entries,
then 1280 (8.9 KB at once on 32 bit). The whole firmware, imported on 32 bit, took 1546 names and 176.6 KB; squeezed
1086 and 163.3 KB, of which 1.3 KB come from `module_name`. A private name means something only inside its namespace,
so `_a`, `_b`, ... serve them all: globals, whose namespace is the module; and attributes and methods (after a dot, or
bound in a class body), whose namespace is the package, or all packages whose classes inherit from, or reach into, each
other's. Tokens are replaced in place, so lines and therefore tracebacks stay. What cannot be followed with certainty
keeps its name: see `Source` and `_keep`. `_X = const(..)` goes in the compiler and is left alone. bundle.py calls this.
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
from dataclasses import dataclass, field

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ITSELF = ("self", "cls")
_KNOWN_BASES = {"IOBase"} | set(dir(builtins))  # of C, or without private names: they cannot clash with ours
_DYNAMIC = {"globals", "locals", "vars", "dir", "eval", "exec"}
_BY_NAME = {"getattr", "setattr", "hasattr", "delattr"}
GLOBAL, ATTRIBUTE = "global", "attribute"


class SqueezeError(Exception):
    """A source that cannot be read, or a private name in a place that this module does not understand."""


@dataclass
class Source:
    """One file's private names, by what may happen to them. Positions are (row, column) of a token."""

    path: str
    text: str
    uses: dict[tuple[int, int], tuple[str, str]] = field(default_factory=dict)  # position -> (kind, name)
    bound: set[str] = field(default_factory=set)  # globals that this module makes
    local: set[str] = field(default_factory=set)  # bound in a function, by import or by const(): stay as bare names
    made: set[str] = field(default_factory=set)  # attributes bound in a class body or through self
    read: set[str] = field(default_factory=set)  # attributes used through self
    foreign: set[str] = field(default_factory=set)  # attributes used through anything else
    fixed: set[str] = field(default_factory=set)  # stay everywhere: words in strings, keywords, parts of other modules
    prefixes: set[str] = field(default_factory=set)  # of computed names: what starts so stays everywhere
    words: set[str] = field(default_factory=set)  # every identifier and every word in a string
    classes: set[str] = field(default_factory=set)
    bases: set[str] = field(default_factory=set)  # by their last name
    dynamic: bool = False  # looks into its own globals

    @property
    def unit(self) -> str:
        """The package at the top, or the module itself."""
        return self.path.removesuffix(".py").partition("/")[0]


def squeeze(sources: dict[str, str]) -> dict[str, str]:
    """{"at/client.py": text, ...} of one tree (what runs in one interpreter) -> the same with short private names.

    The result has the same lines with the same tokens on them. SqueezeError names the file and the line.
    """
    files = [_scan(path, text) for path, text in sorted(sources.items())]
    plan = _plan(files)
    return {file.path: _rewrite(file, plan[file.path]) for file in files}


def names(sources: dict[str, str]) -> list[tuple[str, str, str]]:
    """-> sorted list of (path, old name, new name): how to read a traceback, or a dump of the heap."""
    plan = _plan([_scan(path, text) for path, text in sorted(sources.items())])
    return sorted({(path, old, new) for path, table in plan.items() for (_, old), new in table.items()})


def module_name(path: str) -> str:
    """-> "at.client" of "at/client.py": the source name in tracebacks. sys.modules has interned it already."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _private(name: str) -> bool:
    return len(name) > 2 and name[0] == "_" and name[1] != "_"


# --- reading one file


def _scan(path: str, text: str) -> Source:
    file = Source(path, text)
    try:
        tree = ast.parse(text)
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (SyntaxError, tokenize.TokenError) as error:
        line = getattr(error, "lineno", None) or error.args[-1][0]
        raise SqueezeError(f"{path}, line {line}: {type(error).__name__}: {error.args[0]}") from error
    found = {token.start: token.string for token in tokens if token.type == tokenize.NAME}
    file.words.update(found.values())
    _Scan(file, found).visit(tree)
    file.words |= file.fixed
    for (row, column), name in found.items():
        if _private(name) and (row, column) not in file.uses and name not in file.fixed | file.local:
            raise SqueezeError(f"{path}, line {row}: {name} in a place that squeeze.py does not know")
    return file


class _Scan(ast.NodeVisitor):
    """Sorts every private name of a file; "inner" is the scope of a comprehension in a class body."""

    def __init__(self, file: Source, tokens: dict[tuple[int, int], str]):
        self._file = file
        self._tokens = tokens
        self._order = sorted(tokens)
        self._lines = file.text.split("\n")
        self._scopes = ["module"]
        self._globals: list[set[str]] = [set()]  # per scope, of its global statements
        self._imported: dict[str, str] = {}  # name here -> name there

    def _at(self, row: int, byte: int) -> tuple[int, int]:
        """ast counts bytes of UTF-8, tokenize characters."""
        return row, len(self._lines[row - 1].encode()[:byte].decode())

    def _use(self, kind: str, name: str, position: tuple[int, int]) -> None:
        if self._tokens.get(position) != name:
            raise SqueezeError(f"{self._file.path}, line {position[0]}: {name} is not where ast sees it")
        self._file.uses[position] = (kind, name)

    def _bind(self, name: str, position: tuple[int, int]) -> None:
        """`name` gets a value in the innermost scope."""
        if not _private(name):
            return
        if self._scopes[-1] == "class":
            self._file.made.add(name)
            self._use(ATTRIBUTE, name, position)
        elif self._scopes[-1] == "module" or name in self._globals[-1]:
            self._file.bound.add(name)
            self._use(GLOBAL, name, position)
        else:
            self._file.local.add(name)

    def _within(self, scope: str, nodes: list) -> None:
        self._scopes.append(scope)
        self._globals.append(set())
        for node in nodes:
            self.visit(node)
        self._scopes.pop()
        self._globals.pop()

    def visit_Name(self, node):
        position = self._at(node.lineno, node.col_offset)
        if node.id in _DYNAMIC:
            self._file.dynamic = True
        if not isinstance(node.ctx, ast.Load):
            self._bind(node.id, position)
        elif _private(node.id):
            self._use(GLOBAL, node.id, position)
            if self._scopes[-1] in ("class", "inner"):  # the class's, or the module's: not worth finding out
                self._file.fixed.add(node.id)

    def visit_Attribute(self, node):
        self.visit(node.value)
        if not _private(node.attr):
            return
        row, column = self._at(node.end_lineno, node.end_col_offset)
        self._use(ATTRIBUTE, node.attr, (row, column - len(node.attr)))
        if isinstance(node.value, ast.Name) and node.value.id in _ITSELF:
            (self._file.read if isinstance(node.ctx, ast.Load) else self._file.made).add(node.attr)
            return
        self._file.foreign.add(node.attr)
        root = node.value
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(node.ctx, ast.Load) or (isinstance(root, ast.Name) and root.id in self._imported):
            self._file.fixed.add(node.attr)  # set on an object of who knows whose, or a global of another module

    def _name_after(self, node) -> tuple[int, int]:
        """Position of the name in `def name` or `class name`."""
        start = self._at(node.lineno, node.col_offset)
        return next(at for at in self._order if at >= start and self._tokens[at] not in ("async", "def", "class"))

    def visit_FunctionDef(self, node):
        self._bind(node.name, self._name_after(node))
        for child in filter(None, (*node.decorator_list, node.returns)):
            self.visit(child)
        self._function(node, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node):
        self._function(node, [node.body])

    def _function(self, node, body):
        arguments = node.args
        every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
        for argument in filter(None, every):
            self._file.local.add(argument.arg)
            if argument.annotation:
                self.visit(argument.annotation)
        for default in filter(None, (*arguments.defaults, *arguments.kw_defaults)):
            self.visit(default)
        self._within("function", body)

    def visit_ClassDef(self, node):
        self._bind(node.name, self._name_after(node))
        self._file.classes.add(node.name)
        for child in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(child)
        for base in node.bases:
            name = getattr(base, "attr", None) or getattr(base, "id", "?")
            self._file.bases.add(self._imported.get(name, name))
        self._within("class", node.body)

    def _comprehension(self, node):
        inner = "inner" if self._scopes[-1] in ("class", "inner") else "function"
        self._within(inner, list(ast.iter_child_nodes(node)))

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def visit_Global(self, node):
        self._globals[-1].update(node.names)
        start, end = self._at(node.lineno, node.col_offset), self._at(node.end_lineno, node.end_col_offset)
        for position in (at for at in self._order if start < at < end):
            if _private(self._tokens[position]):
                self._use(GLOBAL, self._tokens[position], position)

    def visit_Import(self, node):
        spelled = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            self._file.local.add(name)
            self._imported[name] = alias.name
        self._file.fixed.update(filter(_private, _WORD.findall(" ".join(spelled))))

    visit_ImportFrom = visit_Import

    def visit_ExceptHandler(self, node):
        self._file.local.add(node.name or "")
        self.generic_visit(node)

    def visit_keyword(self, node):
        self._file.fixed.update(filter(_private, [node.arg or ""]))
        self.visit(node.value)

    def visit_Assign(self, node):
        if isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "const":
            stays = self._file.fixed if self._scopes[-1] == "class" else self._file.local
            stays.update(target.id for target in node.targets if isinstance(target, ast.Name))
        self.generic_visit(node)

    def visit_Expr(self, node):
        if not isinstance(node.value, ast.Constant):  # a docstring keeps nothing
            self.visit(node.value)

    def visit_Constant(self, node):
        if isinstance(node.value, (str, bytes)):
            words = _WORD.findall(node.value if isinstance(node.value, str) else node.value.decode("latin-1"))
            self._file.fixed.update(filter(_private, words))
            self._file.words.update(words)

    def visit_JoinedStr(self, node):
        """Python 3.11 has no tokens inside of an f-string: all in it counts as text, and its names stay."""
        for child in ast.walk(node):
            for part in ("id", "attr", "arg", "value"):
                text = getattr(child, part, None)
                if isinstance(text, (str, bytes)):
                    self.visit_Constant(ast.Constant(text))

    def visit_Call(self, node):
        if getattr(node.func, "id", "") in _BY_NAME and not isinstance(node.args[1], ast.Constant):
            parts = (getattr(child, "value", None) for child in ast.walk(node.args[1]))
            texts = (part for part in parts if isinstance(part, str) and part.startswith("_"))
            self._file.prefixes.update(_WORD.match(text).group() for text in texts)
        self.generic_visit(node)


# --- deciding for the whole tree


def _plan(files: list[Source]) -> dict[str, dict[tuple[str, str], str]]:
    """-> path -> {(kind, old name): new name}."""
    kept = _keep(files)
    plan: dict[str, dict[tuple[str, str], str]] = {file.path: {} for file in files}
    for space in _spaces(files, kept):
        made = set().union(*(file.made for file in space)) - kept
        if all(base in _KNOWN_BASES or _owners(files, "classes", base) for file in space for base in file.bases):
            table = _short(ATTRIBUTE, made, set().union(*(file.words for file in space)))
            for file in space:
                plan[file.path].update(table)
    for file in files:
        if not file.dynamic:
            plan[file.path] |= _short(GLOBAL, file.bound - file.local - kept, file.words)
    return plan


def _keep(files: list[Source]) -> set[str]:
    """The names that stay in all files: those that somebody may spell in a way that is not a token here."""
    kept = set().union(*(file.fixed for file in files))
    prefixes = tuple(set().union(*(file.prefixes for file in files)))
    made = set().union(*(file.made for file in files))
    for file in files:
        kept |= (file.foreign | file.read) - made  # of the interpreter's own libraries, or of modules
        kept |= file.foreign & set().union(*(other.bound for other in files if other is not file))
        kept.update(name for name in file.made | file.bound if name.startswith(prefixes))
    return kept


def _owners(files: list[Source], where: str, name: str) -> set[str]:
    return {file.unit for file in files if name in getattr(file, where)}


def _spaces(files: list[Source], kept: set[str]) -> list[list[Source]]:
    """The files by namespace of attributes: units, joined where objects or classes of one are used by another."""
    parent = {file.unit: file.unit for file in files}

    def root(unit):
        while parent[unit] != unit:
            unit = parent[unit]
        return unit

    for file in files:
        joined = {unit for base in file.bases for unit in _owners(files, "classes", base)}
        for name in (file.foreign | file.read) - kept:
            units = _owners(files, "made", name)
            if name in file.foreign or file.unit not in units:
                joined |= units
        for one, other in ((root(unit), root(file.unit)) for unit in joined):
            parent[max(one, other)] = min(one, other)
    spaces = defaultdict(list)
    for file in files:
        spaces[root(file.unit)].append(file)
    return [spaces[unit] for unit in sorted(spaces)]


def _short(kind: str, old: set[str], taken: set[str]) -> dict[tuple[str, str], str]:
    """Pair the names with _a, _b, ..., _Z, _aa, ...: the same ones in every namespace, but none that it has already."""
    every = ("_" + "".join(x) for n in (1, 2, 3) for x in itertools.product(string.ascii_letters, repeat=n))
    fresh = (name for name in every if name not in taken)
    return {(kind, name): next(fresh) for name in sorted(old)}


def _rewrite(file: Source, table: dict[tuple[str, str], str]) -> str:
    """Replace tokens, from the last to the first so that columns stay true."""
    lines = file.text.split("\n")
    for (row, column), use in sorted(file.uses.items(), reverse=True):
        if use in table:
            line = lines[row - 1]
            lines[row - 1] = line[:column] + table[use] + line[column + len(use[1]) :]
    return "\n".join(lines)
