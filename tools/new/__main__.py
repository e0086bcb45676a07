"""The command `./run new DIRECTORY [--name NAME] [--example]`, and `./run new DIRECTORY --update`."""

import argparse
import re
import sys
from pathlib import Path

from tools.new.mistake import Mistake
from tools.new.project import make, update


def main() -> int:
    """Write or update a project; exit code 1 where a merge has conflicts, 2 and one line at a mistake."""
    parser = argparse.ArgumentParser("./run new", description="Write a project of your own into a new directory.")
    parser.add_argument("directory", type=Path, metavar="DIRECTORY")
    parser.add_argument("--name", help="the project's name (default: that of the directory)")
    parser.add_argument("--example", action="store_true", help="keep the word count as the project's first job")
    parser.add_argument("--update", action="store_true", help="bring a project what this template has become since")
    asked = parser.parse_args()
    try:
        if asked.update:
            return _updated(asked.directory)
        name = asked.name or re.sub(r"[^a-z0-9]+", "-", asked.directory.resolve().name.lower()).strip("-")
        make(asked.directory, name, example=asked.example)
    except (Mistake, OSError) as mistake:
        sys.stderr.write(f"run: {mistake}\n")
        return 2
    sys.stdout.write(f"{name} is in {asked.directory}: cd there, then ./run demo, ./run test, ./run check\n")
    return 0


def _updated(folder: Path) -> int:
    left = update(folder)
    if not left:
        sys.stdout.write("the project has what the template has\n")
        return 0
    sys.stdout.write("these were changed on both sides: mend them, `git add` them, then `git commit`\n")
    sys.stdout.write("".join(f"  {path}\n" for path in left))
    return 1


if __name__ == "__main__":
    sys.exit(main())
