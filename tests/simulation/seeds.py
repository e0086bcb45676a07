"""Seeds: run one after the other in this process, on one server; one that fails is shrunk."""

import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import unquote, urlsplit

from tests.simulation.plan import Plan, command
from tests.simulation.product import install
from tests.simulation.shrink import shrunk
from tests.simulation.workloads import kind_of

if TYPE_CHECKING:
    from tests.simulation.run import Outcome

_AS_DRAWN = Plan()


def run_seeds(
    chosen: Sequence[str],
    seeds: Iterable[int],
    spoil: Callable[[], object] = lambda: None,
    plan: Plan = _AS_DRAWN,
    *,
    seconds: float = float("inf"),
    most_failed: float = float("inf"),
    trials: int = 0,
) -> NoReturn:
    """Run seeds in this process, and end it at once: what killed processes left must not run when Python ends.

    `spoil` is called once the product lives in the simulated world: a test breaks something with it, to see it found.
    No seed but the first begins after so many `seconds`, nor any after `most_failed` have failed. One that fails is
    shrunk in so many `trials`.
    """
    from shared.local.embedded import EmbeddedServer  # noqa: PLC0415  # it must see the real clocks

    now = time.monotonic
    until = now() + seconds
    failed = 0
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder)) as server:
        path = unquote(urlsplit(server.url).path)
        install()
        # Only now: the product takes the simulated clocks when it is imported.
        from tests.simulation.run import run  # noqa: PLC0415

        kinds = {name: kind_of(name) for name in chosen}
        spoil()
        # What the worlds leave is kept for good, and a look through it takes longer with each of them.
        gc.freeze()
        gc.disable()
        for ran, seed in enumerate(seeds):
            if (ran and now() > until) or failed >= most_failed:
                break
            for name in chosen:
                again = partial(run, kinds[name], seed, path)
                outcome = again(plan)
                failed += bool(outcome.failures)
                sys.stdout.write(f"{outcome.line}\n")
                if outcome.failures:
                    sys.stdout.write(f"again: {command(name, seed, plan)}\n")
                    sys.stdout.flush()
                    _shrink(again, outcome, plan, trials)
                sys.stdout.flush()
        server.kill()
    os._exit(bool(failed))


def _shrink(again: "Callable[[Plan], Outcome]", outcome: "Outcome", plan: Plan, trials: int) -> None:
    if not trials:
        return
    smallest, smaller, tried = shrunk(again, outcome, plan, trials)
    sys.stdout.write(f"shrunk in {tried} trials: {command(outcome.workload, outcome.seed, smallest)}\n")
    sys.stdout.write(f"  {smaller.line}\n")
