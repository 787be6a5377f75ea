"""What the lint checks look at: the files that git knows or would add, and which of them are device code."""

import ast
import subprocess
from functools import cache
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
DEVICE = ("lib", "firmware", "boards")


@cache
def files():
    """Paths relative to the repository, in order; links and deleted files are left out."""
    command = ["git", "-C", str(REPO), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode().split("\0")
    paths = sorted(Path(name) for name in set(names) if name)
    return [path for path in paths if (REPO / path).is_file() and not (REPO / path).is_symlink()]


def sources(*roots):
    """The Python files below the given top folders (all of them without any)."""
    return [path for path in files() if path.suffix == ".py" and (not roots or path.parts[0] in roots)]


@cache
def parsed(path):
    """Syntax tree of a source file."""
    return ast.parse((REPO / path).read_text(encoding="utf-8"), str(path))
