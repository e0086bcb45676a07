"""`./run campaign`: runs campaigns, and says what they found."""

import argparse
import asyncio
import random
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.campaigns.campaign import CAMPAIGNS, run
from tests.campaigns.cluster import CLUSTERS, run_cluster
from tests.campaigns.commit import commit_of
from tests.campaigns.fleet_processes import only_errors
from tests.campaigns.length import Length
from tests.campaigns.lock_verdict import LockVerdict
from tests.campaigns.locking import LOCKS, run_locks
from tests.campaigns.sentinel import SAYS as SENTINEL
from tests.campaigns.sentinel import run_sentinel
from tests.campaigns.suites import ROOT, SUITES, run_suite
from tests.campaigns.turns import TurnVerdict, run_turns
from tests.campaigns.verdict import Verdict

SAID: Final = (
    {name: campaign.says for name, campaign in CAMPAIGNS.items()}
    | {name: campaign.says for name, campaign in CLUSTERS.items()}
    | {name: campaign.says for name, campaign in LOCKS.items()}
    | {"sentinel": SENTINEL}
    | {"turns": "first come, first served: putters at a full queue are killed and cut off"}
    | {name: suite.says for name, suite in SUITES.items()}
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; exit code 1 when something stands against the product, or nothing could run; 2 for a wrong command line."""
    options = _options(arguments)
    sound, ran, commit = True, False, commit_of(ROOT)
    for name in options.campaign or SAID:
        length = Length(options.seconds, options.messages, options.strikes)
        seed = random.randrange(10**9) if options.seed is None else options.seed  # noqa: S311  # no secret
        if name in SUITES:
            ran = True
            print(f"{name}{f' --seed {seed}' if SUITES[name].is_seeded else ''}, {commit}:", flush=True)  # noqa: T201
            sound = run_suite(SUITES[name], length, seed) and sound
            continue
        if reason := _why_not(name):
            print(f"{name}: SKIPPED, {reason}", flush=True)  # noqa: T201
            continue
        ran = True
        with tempfile.TemporaryDirectory(prefix="weir-campaign-") as folder:
            verdict = asyncio.run(_run(name, length, seed, Path(folder)))
            if verdict.against:
                _keep(Path(folder) / "records", ROOT / ".run" / f"campaign-{name}-{seed}")
        print(f"{name} --seed {seed}, {commit}: {verdict.line()}", flush=True)  # noqa: T201
        for what, line in verdict.slopes.items() if isinstance(verdict, Verdict) else ():
            print(f"  {what}: {line}", flush=True)  # noqa: T201
        for text in verdict.against:
            print(f"  AGAINST: {text}", flush=True)  # noqa: T201
        sound = sound and not verdict.against
    return 0 if sound and ran else 1


def _keep(records: Path, kept: Path) -> None:
    """Keep what the processes wrote down, and what struck them, for whoever looks into it."""
    if records.is_dir():
        shutil.copytree(records, kept, dirs_exist_ok=True)
        print(f"the records are in {kept}", flush=True)  # noqa: T201


def _why_not(name: str) -> str | None:
    """The reason why it cannot run here, or None."""
    campaign = (CAMPAIGNS | LOCKS).get(name)
    return campaign.why_not() if campaign else None


async def _run(name: str, length: Length, seed: int, folder: Path) -> Verdict | LockVerdict | TurnVerdict:
    if name == "turns":
        return await run_turns(length, seed, folder)
    if name == "sentinel":
        return await run_sentinel(length, seed, folder)
    if name in CLUSTERS:
        return await run_cluster(CLUSTERS[name], length, seed, folder)
    if name in LOCKS:
        return await run_locks(LOCKS[name], length, seed, folder)
    return await run(CAMPAIGNS[name], length, seed, folder)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    listed = "\n".join(f"  {name:<14} {says}" for name, says in SAID.items())
    parser = argparse.ArgumentParser(
        prog="./run campaign",
        description=f"{__doc__}\n\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("campaign", nargs="*", metavar="NAME", help="which; all without one")
    parser.add_argument("--seconds", type=float, default=30.0, help="strike for so long at least (30)")
    parser.add_argument("--messages", type=int, default=0, help="until so many are put, at least")
    parser.add_argument("--strikes", type=int, default=1, help="until faults have struck so often, at least (1)")
    parser.add_argument("--seed", type=int, help="what strikes whom; the machine decides the rest")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.campaign if name not in SAID]:
        parser.error(f"there is no campaign {unknown[0]!r}; see --help")
    deaf = [name for name in options.campaign or SAID if name in SUITES and not SUITES[name].is_seeded]
    if options.seed is not None and deaf:
        parser.exit(2, f"./run campaign: --seed decides nothing of {', '.join(deaf)}; name the others alone\n")
    if min(options.seconds, options.messages, options.strikes) < 0:
        parser.error("--seconds, --messages and --strikes are not negative")
    return options


if __name__ == "__main__":
    only_errors()
    raise SystemExit(main())
