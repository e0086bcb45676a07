"""The fuzzer, short and from fixed seeds; `./run fuzz` goes on for longer. What it found is in tests/faults."""

import asyncio
import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.concurrency.queues.encoding.codec import Codec
from shared.concurrency.queues.encoding.entry import read
from shared.concurrency.queues.encoding.unreadable import Unreadable
from tests.fuzzing.__main__ import FEEDS
from tests.fuzzing.forge import BODIES, HEADERS, Forge, chance_of
from tests.fuzzing.orders import Order
from tests.fuzzing.world import Defects, open_world, resident_bytes
from tests.instruments.command_line import command, environment

CODEC = Codec(Order, 65_536)


@pytest.mark.slow  # each feeds for several seconds
@pytest.mark.parametrize("kind,count", [("entries", 1000), ("pushes", 5000), ("records", 25), ("replies", 15)])
@pytest.mark.parametrize("seed", [2, 3])  # of the replies these left all answers one behind
async def test_what_is_fed_ends_and_leaves_nothing(tmp_path: Path, kind: str, count: int, seed: int) -> None:
    async with open_world(tmp_path) as world:
        assert await FEEDS[kind][0](world, chance_of(seed), count) >= count


async def test_some_of_it_in_every_run_of_the_tests(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        assert await FEEDS["pushes"][0](world, chance_of(3), 1000) == 1000


@pytest.mark.slow
async def test_memory_does_not_grow_with_what_is_fed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await FEEDS["pushes"][0](world, chance_of(1), 10_000)
        before, tasks = resident_bytes(), len(asyncio.all_tasks())
        await FEEDS["pushes"][0](world, chance_of(2), 40_000)
        assert resident_bytes() - before < 32 << 20
        assert len(asyncio.all_tasks()) == tasks


PREFIX = b"1700000000000001forgedforged00000000010000000000"


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    flag=st.sampled_from([b".", b"i", b"r", b"s", b"f", b"x"]),
    headers=st.one_of(st.sampled_from(HEADERS), st.binary(max_size=80)),
    body=st.one_of(st.sampled_from(BODIES), st.binary(max_size=80)),
    length=st.one_of(st.none(), st.integers(0, 999)),
)
def test_an_entry_is_read_or_refused(flag: bytes, headers: bytes, body: bytes, length: int | None) -> None:
    count = min(999, len(headers)) if length is None else length
    check(PREFIX + flag + b"%03d" % count + headers + body)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32))
def test_a_spoilt_entry_is_read_or_refused(seed: int) -> None:
    check(Forge(chance_of(seed)).entry())


def check(entry: bytes) -> None:
    """It is a message, which can be written again and shown, or it says why it is none."""
    try:
        item = CODEC.open(entry)
    except Unreadable as error:
        str(error).encode()
        return
    assert isinstance(item, Order)
    CODEC.encode(item)
    stored = read(entry)
    for text in (stored.id, stored.key, stored.type_name or "", stored.first_error or "", stored.way.key or ""):
        text.encode()


def test_the_command_says_what_it_cannot_do() -> None:
    for arguments in (("0",), ("--entries", "0"), ("--only", "nothing"), ("--seed", "x")):
        done = command(arguments, environment(), "tests.fuzzing")
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)


@pytest.mark.slow  # a process, and some rounds
def test_the_command_counts_what_it_fed() -> None:
    done = command(("--entries", "1000", "--seed", "1"), environment(), "tests.fuzzing")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "500 entries, 500 pushes: nothing found")


def test_a_defect_of_ours_is_found() -> None:
    defects = Defects()
    logger = logging.getLogger("weir.fuzzed")
    logger.addHandler(defects)
    try:
        logger.propagate = False
        logger.error("broken", exc_info=ValueError("why"))
        logger.warning("said")
    finally:
        logger.removeHandler(defects)
    assert defects.seen == ["broken: ValueError('why')"]
