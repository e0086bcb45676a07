"""The benchmark of locks: `./run bench-leases`. Interleaved rounds at one server; medians and ratios."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.__main__ import embedded_server, measure, write
from benchmarks.contest import Contest
from benchmarks.contestants import ROOT, BenchmarkError, Contestant, names, peers, us
from benchmarks.leases.workloads import WORKLOADS
from benchmarks.report import BARE_SCRIPTS
from shared.local.server_error import EmbeddedServerError

FOLDER = ROOT / "benchmarks" / "leases"


def contestants() -> list[Contestant]:
    """This project and its limits."""
    ours = us()[0]
    return [
        Contestant("ours", "benchmarks.leases.ours", ours.python, ours.version, is_peer=False),
        Contestant(BARE_SCRIPTS, "benchmarks.leases.bare", ours.python, "", is_peer=False),
        Contestant(f"{BARE_SCRIPTS}, thin client", "benchmarks.leases.thin", ours.python, "", is_peer=False),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the result; exit code 2 and one line when something is missing."""
    parser = argparse.ArgumentParser(prog="./run bench-leases", description=__doc__)
    parser.add_argument("--alone", action="store_true", help="without the peers")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every workload (5)")
    parser.add_argument("--into", type=Path, default=ROOT / ".run" / "bench-leases", help="where the result goes")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds is 1 or more")
    try:
        others = [] if options.alone else peers(names(FOLDER), FOLDER)
        with embedded_server() as url:
            result = measure(Contest(url), list(WORKLOADS), [*contestants(), *others], options.rounds, rates={})
        write(result, options.into, plots=False)
    except (BenchmarkError, EmbeddedServerError, OSError) as error:
        sys.stderr.write(f"run: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
