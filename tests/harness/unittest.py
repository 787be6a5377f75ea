"""unittest for MicroPython: the API that micropython-lib's and CPython's have in common.

Differs from micropython-lib's where that loses failures: an exception in setUp or a SystemExit in a test is
one error and the run goes on, a test that returns a coroutine is an error, a file without tests fails, and
the exit status is 1 unless everything passed. The last line is `RESULT pass=.. fail=.. skip=..`; the
harness parses it. Words after the file name choose tests by substring of `Class.method`; -v names each
test.
"""

import gc
import sys


class SkipTest(Exception):
    """Raised by skipTest() and the skip decorators; the test counts as skipped."""


class _RaisesContext:
    def __init__(self, expected):
        self.expected = expected
        self.exception = None

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc, tb):
        if exc_type is None:
            raise AssertionError("%r not raised" % (self.expected,))
        if not isinstance(exc, self.expected):
            return False
        self.exception = exc
        return True


class _SubTest:
    """Records a failure of its block and lets the test go on with the next one."""

    def __init__(self, case, words):
        self.case = case
        self.words = words

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc, tb):
        if exc is None:
            return False
        if isinstance(exc, SkipTest):
            _result.skipped += 1
            return True
        if not isinstance(exc, Exception):
            return False
        _result.failed(self.case.name + " " + self.words, exc)
        return True


class _Result:
    def __init__(self):
        self.passes = 0
        self.failures = 0
        self.skipped = 0

    def failed(self, name, exc):
        self.failures += 1
        print("FAIL: " + name)
        sys.print_exception(exc)


_result = _Result()


def _short(value):
    text = repr(value)
    return text if len(text) <= 400 else text[:400] + "... (%d characters)" % len(text)


class TestCase:
    """One instance per test method, as with CPython. `name` is `Class.method`."""

    name = "?"

    def setUp(self):
        pass

    def tearDown(self):
        pass

    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass

    def addCleanup(self, func, *args, **kwargs):
        self._cleanups.append((func, args, kwargs))

    def subTest(self, msg="", **params):
        words = " ".join(["%s=%s" % (key, _short(value)) for key, value in sorted(params.items())])
        return _SubTest(self, ("[%s] " % msg if msg else "") + words)

    def skipTest(self, reason):
        raise SkipTest(reason)

    def fail(self, msg=None):
        raise AssertionError(msg or "fail() called")

    def _check(self, good, text, msg):
        if not good:
            raise AssertionError("%s: %s" % (text, msg) if msg else text)

    def assertEqual(self, x, y, msg=None):
        if not x == y:
            self._check(False, "%s != %s" % (_short(x), _short(y)), msg)

    def assertNotEqual(self, x, y, msg=None):
        if not x != y:
            self._check(False, "both are %s" % _short(x), msg)

    def assertLessEqual(self, x, y, msg=None):
        self._check(x <= y, "%r is not <= %r" % (x, y), msg)

    def assertGreaterEqual(self, x, y, msg=None):
        self._check(x >= y, "%r is not >= %r" % (x, y), msg)

    def assertAlmostEqual(self, x, y, places=None, msg=None, delta=None):
        limit = delta if delta is not None else 0.5 * 10 ** -(7 if places is None else places)
        self._check(x == y or abs(x - y) <= limit, "%r and %r differ by more than %r" % (x, y, limit), msg)

    def assertTrue(self, x, msg=None):
        self._check(x, "%s is not true" % _short(x), msg)

    def assertFalse(self, x, msg=None):
        self._check(not x, "%s is not false" % _short(x), msg)

    def assertIs(self, x, y, msg=None):
        self._check(x is y, "%s is not %s" % (_short(x), _short(y)), msg)

    def assertIsNot(self, x, y, msg=None):
        self._check(x is not y, "both are %s" % _short(x), msg)

    def assertIsNone(self, x, msg=None):
        self._check(x is None, "%s is not None" % _short(x), msg)

    def assertIsNotNone(self, x, msg=None):
        self._check(x is not None, "is None", msg)

    def assertIn(self, x, y, msg=None):
        self._check(x in y, "%s not in %s" % (_short(x), _short(y)), msg)

    def assertIsInstance(self, x, y, msg=None):
        self._check(isinstance(x, y), "%s is not a %r" % (_short(x), y), msg)

    def assertRaises(self, exc, func=None, *args, **kwargs):
        context = _RaisesContext(exc)
        if func is None:
            return context
        with context:
            func(*args, **kwargs)
        return None


def skip(reason):
    """Decorator for a test method or a TestCase class."""

    def decorate(what):
        if isinstance(what, type):
            what._skip_reason = reason
            return what

        def skipped(self):
            raise SkipTest(reason)

        return skipped

    return decorate


def skipIf(condition, reason):
    return skip(reason) if condition else lambda what: what


def skipUnless(condition, reason):
    return skipIf(not condition, reason)


def _attempt(name, func):
    """Call func: True, False when it failed (recorded), None when it asked to be skipped."""
    try:
        if func() is not None:
            raise AssertionError("test returned a value: a coroutine must be run with harness.aio.run")
    except SkipTest as exc:
        print("skip: %s: %s" % (name, exc))
        return None
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # SystemExit too: nothing a test does may end the run green
        _result.failed(name, exc)
        return False
    return True


def _run_test(cls, method):
    case = cls()
    case.name = "%s.%s" % (cls.__name__, method)
    case._cleanups = []
    failures = _result.failures
    ready = _attempt(case.name, case.setUp)
    outcome = ready
    if ready:
        outcome = _attempt(case.name, getattr(case, method))
        _attempt(case.name + " tearDown", case.tearDown)
    while case._cleanups:
        func, args, kwargs = case._cleanups.pop()
        _attempt(case.name + " cleanup", lambda f=func, a=args, k=kwargs: f(*a, **k) and None)
    if outcome is None:
        _result.skipped += 1
    elif _result.failures == failures:
        _result.passes += 1
    gc.collect()


def _run_class(cls, methods, verbose):
    reason = getattr(cls, "_skip_reason", None)
    if reason is not None:
        print("skip: %s: %s" % (cls.__name__, reason))
        _result.skipped += len(methods)
        return
    ready = _attempt(cls.__name__ + ".setUpClass", cls.setUpClass)
    if not ready:
        _result.skipped += len(methods) if ready is None else 0
        return
    for method in methods:
        if verbose:
            print("%s.%s" % (cls.__name__, method))
        _run_test(cls, method)
    _attempt(cls.__name__ + ".tearDownClass", cls.tearDownClass)


def main(module="__main__"):
    """Run each TestCase of `module`; exit status 1 unless something ran and nothing failed."""
    verbose = "-v" in sys.argv[1:]
    wanted = [word for word in sys.argv[1:] if word != "-v"]
    mod = __import__(module)
    for name in sorted(dir(mod)):
        cls = getattr(mod, name)
        if not isinstance(cls, type) or not issubclass(cls, TestCase) or cls is TestCase:
            continue
        methods = [m for m in sorted(dir(cls)) if m.startswith("test")]
        methods = [m for m in methods if not wanted or any([w in name + "." + m for w in wanted])]
        if methods:
            _run_class(cls, methods, verbose)
    r = _result
    print("RESULT pass=%d fail=%d skip=%d" % (r.passes, r.failures, r.skipped))
    sys.exit(1 if r.failures or not r.passes + r.skipped else 0)
