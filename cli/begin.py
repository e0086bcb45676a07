"""Begins a command of `./run`: `python -m cli.begin MODULE ARGUMENTS`. Ctrl-C while MODULE is imported is one line."""

import runpy
import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the module as Python's `-m` does."""
    del sys.argv[0]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        sys.stderr.write("run: interrupted\n")
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
