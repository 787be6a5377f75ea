"""firmware/main.py: however the application ends, and whatever fails after it, the board resets; but Ctrl-C stays."""
# interpreters: mp64 mp32 mpf
# (it empties sys.modules, which CPython cannot live without)

import sys
import unittest

from harness import scratch

_APP = "def run(root, running):\n    raise %s\n"
_SELECTOR = "def start():\n    return {'root': %r, 'selector': None}\n"
_MAIN = (__file__.rpartition("/")[0] or ".") + "/../../firmware/main.py"


class Board:
    """Stands in for `machine`."""

    def __init__(self):
        self.resets = 0

    def reset(self):
        self.resets += 1
        raise SystemExit


class EndTest(unittest.TestCase):
    def setUp(self):
        self.root = scratch.make()
        self.kept = dict(sys.modules), list(sys.path)

    def tearDown(self):
        modules, sys.path[:] = self.kept
        sys.modules.clear()
        sys.modules.update(modules)
        scratch.remove(self.root)

    def put(self, name, text):
        with open("%s/%s.py" % (self.root, name), "w") as f:
            f.write(text)

    def ends(self, error, bootsafe):
        """Run main.py with an application that ends with `error`; -> how often the board was reset."""
        self.put("app", _APP % error)
        self.put("bootsel", _SELECTOR % self.root)
        self.put("bootsafe", "def crashed(running, error):\n    " + bootsafe)
        for name in ("app", "bootsel", "bootsafe"):
            sys.modules.pop(name, None)
        sys.path.insert(0, self.root)
        __import__("bootsafe")  # as boot.py has left it
        board = Board()
        sys.modules["machine"] = board
        with open(_MAIN) as f:
            text = f.read()
        try:
            exec(text, {"__name__": "main"})
        except SystemExit:
            pass
        return board.resets

    def test_a_crash_that_is_dealt_with(self):
        self.assertEqual(self.ends("ValueError", "__import__('machine').reset()"), 1)

    def test_a_crash_that_cannot_be_dealt_with(self):
        for problem in ("MemoryError", "OSError(5)", "ImportError('bootsafe')", "ValueError"):
            with self.subTest(problem=problem):
                self.assertEqual(self.ends("ValueError", "raise " + problem), 1)
                self.tearDown()
                self.setUp()

    def test_ctrl_c_leads_to_the_prompt(self):
        self.assertEqual(self.ends("KeyboardInterrupt", "assert isinstance(error, KeyboardInterrupt)"), 0)


if __name__ == "__main__":
    unittest.main()
