"""Where this checkout is, and where set-up put things (GODWIT_BUILD, else build/ in the checkout)."""

import os
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("GODWIT_BUILD") or REPO / "build").resolve()
