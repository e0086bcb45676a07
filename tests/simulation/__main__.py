"""`./run simulate`: runs workloads of the simulated world, from chosen seeds or from random ones."""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from tests.simulation.product import install

ROOT = Path(__file__).resolve().parent.parent.parent
_BATCH = 10
WORKLOADS = (
    *("queues", "puts", "waits", "cancels", "keys", "once", "losses", "outages", "clocks"),
    *("leases", "downgrades", "permits", "conditions", "events", "barriers"),
    *("letters", "stages", "results", "controls", "deferred", "everything"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; exit code 1 when a seed fails, 2 for a mistake on the command line."""
    options = _options(arguments)
    chosen = WORKLOADS if options.workload is None else (options.workload,)
    if options.seed is not None:
        return run_seeds(chosen, range(options.seed, options.seed + options.count))
    return _run_random(chosen, options.seconds)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run simulate", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=60.0, help="run random seeds for so long (60)")
    parser.add_argument("--seed", type=int, help="run this seed instead, and print its line")
    parser.add_argument("--count", type=int, default=1, help="with --seed: so many seeds from there on (1)")
    parser.add_argument("--workload", choices=WORKLOADS, help="one workload only")
    options = parser.parse_args(arguments)
    if options.seconds <= 0 or options.count < 1:
        parser.error("SECONDS and --count are more than 0")
    return options


def run_seeds(chosen: Sequence[str], seeds: Iterable[int], spoil: Callable[[], object] = lambda: None) -> NoReturn:
    """Run seeds in this process, and end it at once: what killed processes left must not run when Python ends.

    `spoil` is called once the product lives in the simulated world: a test breaks something with it, to see it found.
    """
    from shared.local.embedded import EmbeddedServer  # noqa: PLC0415  # it must see the real clocks

    failed = 0
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder)) as server:
        path = unquote(urlsplit(server.url).path)
        install()
        # Only now: the product takes the simulated clocks when it is imported.
        from tests.simulation.barriers import Barriers  # noqa: PLC0415
        from tests.simulation.cancels import Cancels  # noqa: PLC0415
        from tests.simulation.clocks import Clocks  # noqa: PLC0415
        from tests.simulation.conditions import Conditions  # noqa: PLC0415
        from tests.simulation.controls import Controls  # noqa: PLC0415
        from tests.simulation.deferred import DeferredPuts  # noqa: PLC0415
        from tests.simulation.downgrades import Downgrades  # noqa: PLC0415
        from tests.simulation.events import Events  # noqa: PLC0415
        from tests.simulation.everything import Everything  # noqa: PLC0415
        from tests.simulation.keys import Keys  # noqa: PLC0415
        from tests.simulation.leases import Leases  # noqa: PLC0415
        from tests.simulation.letters import Letters  # noqa: PLC0415
        from tests.simulation.losses import Losses  # noqa: PLC0415
        from tests.simulation.once import Once  # noqa: PLC0415
        from tests.simulation.outages import Outages  # noqa: PLC0415
        from tests.simulation.permits import Permits  # noqa: PLC0415
        from tests.simulation.puts import Puts  # noqa: PLC0415
        from tests.simulation.queues import Queues  # noqa: PLC0415
        from tests.simulation.results import Results  # noqa: PLC0415
        from tests.simulation.run import run  # noqa: PLC0415
        from tests.simulation.stages import Stages  # noqa: PLC0415
        from tests.simulation.waits import Waits  # noqa: PLC0415

        spoil()
        kinds = {
            "queues": Queues,
            "keys": Keys,
            "once": Once,
            "leases": Leases,
            "conditions": Conditions,
            "events": Events,
            "puts": Puts,
            "losses": Losses,
            "outages": Outages,
            "clocks": Clocks,
            "waits": Waits,
            "barriers": Barriers,
            "downgrades": Downgrades,
            "permits": Permits,
            "cancels": Cancels,
            "letters": Letters,
            "stages": Stages,
            "results": Results,
            "controls": Controls,
            "deferred": DeferredPuts,
            "everything": Everything,
        }
        for seed in seeds:
            for name in chosen:
                outcome = run(kinds[name], seed, path)
                failed += bool(outcome.failures)
                sys.stdout.write(f"{outcome.line}\n")
                if outcome.failures:
                    sys.stdout.write(f"again: ./run simulate --workload {name} --seed {seed}\n")
                sys.stdout.flush()
        server.kill()
    os._exit(bool(failed))


def _run_random(chosen: Sequence[str], seconds: float) -> int:
    until = time.monotonic() + seconds
    ran = failed = 0
    while time.monotonic() < until:
        first = random.randrange(1_000_000, 1_000_000_000)  # noqa: S311  # a seed, no secret
        for name in chosen:
            command = ["--workload", name, "--seed", str(first), "--count", str(_BATCH)]
            done = subprocess.run(
                [sys.executable, "-m", "tests.simulation", *command],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            lines = [line for line in done.stdout.splitlines() if line.startswith(name)]
            ran += len(lines)
            if done.returncode != 0:
                failed += 1
                sys.stdout.write(done.stdout + done.stderr[-2000:])
                sys.stdout.flush()
    sys.stdout.write(f"{ran} seeds in {seconds:g} s: " + (f"{failed} batches failed\n" if failed else "all passed\n"))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
