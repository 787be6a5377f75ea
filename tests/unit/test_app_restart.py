"""app.App.restart: the board resets, whatever fails before."""
# interpreters: mp64 mp32 mpf

import sys
import unittest


class Board:
    resets = 0

    def reset(self):
        self.resets += 1
        raise SystemExit


class Restart(unittest.TestCase):
    def test_no_room_to_say_why(self):
        board = sys.modules["board"] = Board()
        import app

        class Bare(app.App):
            def __init__(self):
                pass

            def live(self, name, *terms):
                raise MemoryError

        for how in (("crashed", "why"), ("memory",), ()):
            try:
                Bare().restart(*how)
            except (SystemExit, MemoryError):
                pass
        self.assertEqual(board.resets, 3)


if __name__ == "__main__":
    unittest.main()
