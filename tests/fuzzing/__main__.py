"""`./run fuzz`: feeds hostile entries, pushes, records and replies to real consumers of a real server."""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from tests.fuzzing.entries import feed_entries
from tests.fuzzing.forge import chance_of
from tests.fuzzing.pushes import feed_pushes
from tests.fuzzing.records import feed_records
from tests.fuzzing.replies import feed_replies
from tests.fuzzing.world import World, descriptors, open_world, resident_bytes

Feed = Callable[[World, random.Random, int], Awaitable[int]]
FEEDS: Final[dict[str, tuple[Feed, int]]] = {
    "entries": (feed_entries, 1000),
    "pushes": (feed_pushes, 1000),
    "records": (feed_records, 25),
    "replies": (feed_replies, 15),
}
"""What feeds, and how much of it one round is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Feed; exit code 1 when something was found, 2 for a mistake on the command line."""
    options = _options(arguments)
    return asyncio.run(_run(options))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run fuzz", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=60.0, help="feed for so long, each kind in turn (60)")
    parser.add_argument(
        "--entries", type=int, help="instead: so many entries and pushes, half of each, and nothing else"
    )
    parser.add_argument("--seed", type=int, help="the seed of the first round; random without it")
    parser.add_argument("--only", choices=FEEDS, help="one kind only")
    options = parser.parse_args(arguments)
    if options.seconds <= 0 or (options.entries is not None and options.entries < 1):
        parser.error("SECONDS and --entries are more than 0")
    return options


async def _run(options: argparse.Namespace) -> int:
    seed = random.randrange(1_000_000) if options.seed is None else options.seed  # noqa: S311  # a seed, no secret
    kinds = [options.only] if options.only else ["entries", "pushes"] if options.entries else list(FEEDS)
    most = None if options.entries is None else -(-options.entries // len(kinds))
    until = time.monotonic() + options.seconds
    fed, found = dict.fromkeys(kinds, 0), 0
    with tempfile.TemporaryDirectory() as folder:
        async with open_world(Path(folder)) as world:
            while True:
                for kind in kinds:
                    feed, portion = FEEDS[kind]
                    count = portion if most is None else min(portion, most - fed[kind])
                    try:
                        fed[kind] += await feed(world, chance_of(seed), count) if count else 0
                    except Exception as error:  # noqa: BLE001  # whatever it is, it was found
                        found += 1
                        fed[kind] += count
                        world.defects.seen.clear()
                        _write(f"{kind} {seed}: {type(error).__name__}: {error}")
                        _write(f"again: ./run fuzz --only {kind} --seed {seed} 1")
                    _write(f"{kind} {seed}: {fed[kind]} fed, {resident_bytes() >> 20} MiB, {descriptors()} descriptors")
                seed += 1
                if time.monotonic() > until if most is None else min(fed.values()) >= most:
                    break
    _write(
        f"{', '.join(f'{count} {kind}' for kind, count in fed.items())}: "
        + (f"{found} found" if found else "nothing found")
    )
    return int(bool(found))


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
