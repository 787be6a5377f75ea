"""time.sleep_ms of a desk that skips time (GODWIT_WARP), for the boot selector: board.py, which does it later, is not
there yet. The world's clock is moved, by our half of its file."""

import os


def skip_ms(ms):
    path = os.getenv("GODWIT_WORLD")
    if path:
        with open(path, "r+b") as world:
            world.seek(8)
            ours = int.from_bytes(world.read(8), "little") + ms
            world.seek(8)
            world.write(ours.to_bytes(8, "little"))
