"""Small trees for test_squeeze.py: each is a way in which a private name can be more than it looks."""

# name -> (files, names that must go, names that must stay); main.py prints what it computes
TREES = {
    "globals, functions, classes, constants": (
        {
            "main.py": """
from micropython import const
_WIDE = const(40)
_table = {1: "one"}
_count = 0
class _Box:
    def __init__(self, n):
        self.n = n + _WIDE
def _get(n): return _table.get(n)
def _add():
    global _count
    _count += 1
    return _Box(_count).n
print(_get(1), _add(), _add(), _count)
"""
        },
        {"_table", "_count", "_Box", "_get", "_add"},
        {"_WIDE"},
    ),
    "inheritance across packages": (
        {
            "base/__init__.py": "",
            "base/core.py": """
class Layer:
    def __init__(self):
        self._next = 7
    def _step(self): return "base"
    def go(self): return self._step(), self._next
""",
            "top/layer.py": """
from base.core import Layer as Below
class Upper(Below):
    def __init__(self):
        super().__init__()
        self._extra = 1
        self._aside = 2
    def _step(self): return "upper", super()._step(), self._extra, self._aside, self._next
""",
            "main.py": "from top.layer import Upper\nprint(Upper().go())\n",
        },
        {"_next", "_step", "_extra", "_aside"},
        set(),
    ),
    "a subclass that overrides only, through a module": (
        {
            "base.py": "class Layer:\n    def _step(self): return 1\n    def go(self): return self._step()\n",
            "zoo.py": """
import base
class A:
    def _eat(self): return "a"
    def _zap(self): return "z"
class B(base.Layer):
    def _step(self): return 2
print(B().go(), A()._eat(), A()._zap())
""",
            "main.py": "import zoo\n",
        },
        {"_step", "_eat", "_zap"},
        set(),
    ),
    "reaching into another package": (
        {
            "one.py": """
class One:
    def __init__(self):
        self._kept = 3
        self._also = 4
""",
            "two.py": """
class Two:
    def __init__(self):
        self._best = 5
        self._also = 6
    def sum(self, one): return one._kept + one._also + self._best + self._also
""",
            "main.py": "import one, two\nprint(two.Two().sum(one.One()))\n",
        },
        {"_kept", "_also", "_best"},
        set(),
    ),
    "the same spelling as global, attribute, argument and local": (
        {
            "main.py": """
_size = 1
_other = 2
class C:
    _size = 3
    def size(self): return self._size, _size
def shadow(_other): return _other
def inner():
    _size = 5
    def deeper(): return _size
    return deeper()
print(C().size(), shadow(9), shadow(_other=8), inner(), _size, _other)
"""
        },
        set(),
        {"_size", "_other"},
    ),
    "global and attribute of one spelling": (
        {
            "main.py": """
def _check(x): return x + 1
class C:
    def _check(self, x): return _check(x) * 10
    def run(self): return self._check(4)
print(C().run(), _check(1))
""",
        },
        {"_check"},
        set(),
    ),
    "decorators, properties, defaults and names in a class body": (
        {
            "main.py": """
def _twice(f):
    def run(*args, **kw): return f(*args, **kw) * 2
    return run
_start = 5
class C:
    _kinds = (1, 2)
    both = [k for k in _kinds] if True else None
    def __init__(self): self._level = 1
    @property
    def level(self): return self._level
    @staticmethod
    def _fixed(a, *rest, **options): return a, rest, sorted(options.items())
    @_twice
    def _pair(self, n=_start): return n
    def run(self): return self._pair(), self._fixed(1, 2, *[3], _key=4, **{"b": 5})
_plain = _twice(lambda _arg: _arg)
print(C().run(), C().level, C.both, _plain(4))
""",
        },
        {"_level", "_fixed", "_pair", "_plain"},
        {"_kinds", "_start", "_key", "_arg"},
    ),
    "comprehensions, closures and except": (
        {
            "main.py": """
_rows = [[1, 2], [3]]
_none = None
def _flat(): return [x for row in _rows for x in row if x is not _none]
def _closure():
    _held = 1
    def bump():
        nonlocal _held
        _held += 1
        return _held
    return bump
try:
    _missing[0]
except NameError as _problem:
    print(type(_problem).__name__)
print(_flat(), _closure()(), {k: v for k, v in zip("ab", _rows)}, (lambda: _rows[0])())
""",
        },
        {"_rows", "_flat", "_none", "_closure"},
        {"_held", "_problem"},
    ),
    "text mentions": (
        {
            "main.py": """
class C:
    def __init__(self):
        self._named = 1
        self._dyn_a = 2
        self._told = 3
        self._quiet = 4
    def get(self, what): return getattr(self, "_dyn_" + what)
def _lazy(): return 6
_shown = 5
c = C()
print(getattr(c, "_named"), c.get("a"), c._quiet, globals()["_lazy"](), f"{_shown} {c._told:>{_shown}} _x", b"_raw")
""",
        },
        {"_quiet"},
        {"_named", "_dyn_a", "_told", "_lazy", "_shown"},
    ),
    "private names between modules": (
        {
            "store.py": "_shared = 1\n_direct = 2\n_own = 3\ndef own(): return _own\n",
            "main.py": "import store\nfrom store import _shared\nprint(_shared, store._direct, store.own())\n",
        },
        {"_own"},
        {"_shared", "_direct"},
    ),
    "reaching for a name that both packages have": (
        {
            "one.py": "class One:\n    def __init__(self):\n        self._also = 4\n",
            "two.py": """
class Two:
    def __init__(self):
        self._able = self._also = 6
    def sum(self, one): return one._also + self._also + self._able
""",
            "main.py": "import one, two\nprint(two.Two().sum(one.One()))\n",
        },
        {"_able", "_also"},
        set(),
    ),
    "a module that computes the names of its globals": (
        {"main.py": "_on_a = 1\n_own = 2\nprint(globals()['_' + 'on' + '_' + 'a'], _own)\n"},
        set(),
        {"_on_a", "_own"},
    ),
    "attributes set from outside": (
        {
            "thing.py": "class Thing:\n    def __init__(self):\n        self._aa = self._long = 1\n",
            "main.py": """
import thing
class Mine:
    def __init__(self): self._flag = 5
t = thing.Thing()
t._flag = 2
print(t._aa, t._long, t._flag, Mine()._flag)
""",
        },
        {"_long"},
        {"_flag"},
    ),
    "names that are short already, and text that is not ASCII": (
        {
            "main.py": """
_a = "é"; _value = {"ü": 1}; _b = _value["ü"]
def f(_c): return _a, _c, _b, _value
print(_a == "\u00e9", f(2)[1:])
""",
        },
        {"_value"},
        {"_a", "_b", "_c"},
    ),
    "a base class from elsewhere keeps its package": (
        {
            "main.py": """
import asyncio
class Stopped(asyncio.Event):
    def __init__(self):
        super().__init__()
        self._mine = 1
    def _private(self): return self._mine
def _go(): return Stopped()._private()
print(_go())
""",
        },
        {"_go"},
        {"_mine", "_private"},
    ),
}
