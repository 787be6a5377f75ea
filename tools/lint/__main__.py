"""`make lint`: ruff, direction of imports, house rules, mpy-cross over every device file. Exit 1 on a finding."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

import bytecode
import direction
import shape
from tree import REPO, sources


def main():
    ruff = Path(sys.executable).with_name("ruff")
    command = [ruff, "check", "--quiet", "--no-cache", "--output-format", "concise", "."]
    status = subprocess.run(command, cwd=REPO, check=False).returncode
    uncompiled, count, size = bytecode.compile_all()
    found = [*direction.problems(), *shape.problems(), *uncompiled]
    for path, line, text in dict.fromkeys(found):
        print(f"{path}:{line}: {text}")
    print(f"lint: {len(sources())} Python files; {count} device files compile to {size} bytes of .mpy")
    if found or status:
        print(f"lint: {len(found)} findings" + (" and those of ruff" if status else ""))
        return 1
    print("lint: clean")
    return 0


if __name__ == "__main__":
    sys.exit(main())
