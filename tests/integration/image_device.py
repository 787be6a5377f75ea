"""Device side of test_bundle_image.py, run by MicroPython: a simulated ESP32 takes a bundle made on the host.

Arguments: repository, bundle, modulus file, device class, the image in the bundle. Prints one JSON line: how the
update has ended, why it was refused, and which partition runs then.
"""

import json
import sys

_REPO, _BUNDLE, _KEY, _CLASS, _IMAGE = sys.argv[1:6]
sys.path[:] = [_REPO + "/lib", _REPO + "/firmware", _REPO + "/boards/unix", _REPO + "/tests",
               _REPO + "/tests/harness", ".frozen"]  # fmt: skip

from harness import esp32_campaign  # noqa: E402


def _read(path):
    with open(path, "rb") as file:
        return file.read()


node = esp32_campaign.Node(files=27)
node.begin()
node.link.image = _read(_BUNDLE)
node.keys = _read(_KEY)
node.device_class = _CLASS
node.images["1.1.0"] = _read(_IMAGE)  # what runs must be this, or the old one
ended = refused = None
try:
    ended = node.finish()
except esp32_campaign.Broken as e:
    refused = str(e)
print(json.dumps({"ended": ended, "refused": refused, "starts": node.starts, "slot": node.board.boot()}))
