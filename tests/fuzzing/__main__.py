"""`./run fuzz`: feeds hostile entries, pushes, replies and records to real consumers of a real server, and decoders."""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from tests.fuzzing.decoding import feed_decoded
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
    "replies": (feed_replies, 15),
    "records": (feed_records, 25),
    "decoded": (feed_decoded, 999),
}
"""What feeds, and how much of it one round is."""
_BY_COUNT: Final = ("entries", "pushes")


def main(arguments: Sequence[str] | None = None) -> int:
    """Feed; exit code 1 when something was found, 2 for a mistake on the command line."""
    return asyncio.run(run(options(arguments)))


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="./run fuzz", description=__doc__)
    parser.add_argument(
        "--seconds", type=float,
        help="feed for so long (60): entries, pushes, replies, records, and what Hypothesis makes to be decoded, in turns. "
        "A turn that was begun is ended",
    )  # fmt: skip
    parser.add_argument(
        "--entries", type=int, help="instead: N entries and N pushes (2 N in all), and nothing else", metavar="N"
    )
    parser.add_argument("--seed", type=int, help="the seed of the first round; random without it")
    parser.add_argument("--only", choices=FEEDS, help="one kind only; with --entries it is entries or pushes")
    asked = parser.parse_args(arguments)
    if asked.entries is not None and (asked.seconds is not None or asked.only not in (None, *_BY_COUNT)):
        parser.error("--entries feeds entries and pushes by number: leave --seconds, and another kind of --only, out")
    asked.seconds = 60.0 if asked.seconds is None else asked.seconds
    if asked.seconds <= 0 or (asked.entries is not None and asked.entries < 1):
        parser.error("--seconds and --entries are more than 0")
    return asked


class Sum:
    """What was fed so far: of each kind how many, and in how many seconds."""

    def __init__(self, kinds: Sequence[str]) -> None:
        self.fed = dict.fromkeys(kinds, 0)
        self.seconds = dict.fromkeys(kinds, 0.0)
        self.tried = dict.fromkeys(kinds, 0)
        """Those of turns that found something included."""
        self.found = 0

    async def turn(self, world: World, kind: str, seed: int, count: int) -> None:
        """Feed so many of one kind; what is found is written, and how to find it again."""
        began = time.monotonic()
        self.tried[kind] += count
        try:
            self.fed[kind] += await FEEDS[kind][0](world, chance_of(seed), count)
        except Exception as error:  # noqa: BLE001  # whatever it is, it was found
            self.found += 1
            world.defects.seen.clear()
            _write("\n".join([f"{kind} {seed}: {type(error).__name__}: {error}", *getattr(error, "__notes__", ())]))
            _write(f"again: ./run fuzz --only {kind} --seed {seed} --seconds 0.001")
        self.seconds[kind] += time.monotonic() - began
        _write(f"{kind} {seed}: {self.fed[kind]} fed, {resident_bytes() >> 20} MiB, {descriptors()} descriptors")

    def __str__(self) -> str:
        kinds = (f"{kind} {count} in {self.seconds[kind]:.1f} s" for kind, count in self.fed.items())
        return f"{', '.join(kinds)}: " + (f"{self.found} found" if self.found else "nothing found")


async def run(asked: argparse.Namespace) -> int:
    """Feed; the exit code."""
    seed = random.randrange(1_000_000) if asked.seed is None else asked.seed  # noqa: S311  # a seed, no secret
    kinds = [asked.only] if asked.only else list(_BY_COUNT if asked.entries else FEEDS)
    until = time.monotonic() + asked.seconds
    total = Sum(kinds)
    with tempfile.TemporaryDirectory() as folder:
        async with open_world(Path(folder)) as world:
            while True:
                for kind in kinds:
                    portion = FEEDS[kind][1]
                    count = portion if asked.entries is None else min(portion, asked.entries - total.tried[kind])
                    await total.turn(world, kind, seed, count)
                seed += 1
                is_over = time.monotonic() > until if asked.entries is None else total.tried[kind] >= asked.entries
                if is_over:
                    break
    _write(str(total))
    return int(bool(total.found))


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
