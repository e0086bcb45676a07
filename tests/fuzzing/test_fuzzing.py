"""The fuzzer, short and from fixed seeds; `./run fuzz` goes on for longer. What it found is in tests/faults."""

import asyncio
import logging
import random
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzzing.__main__ import FEEDS, options, run
from tests.fuzzing.decoding import FORMED, LETTERS, SPOILT, check_entry, check_letter
from tests.fuzzing.forge import chance_of
from tests.fuzzing.world import Defects, Found, World, open_world, resident_bytes
from tests.instruments.command_line import command, environment


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


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(FORMED)
def test_an_entry_is_read_or_refused(entry: bytes) -> None:
    check_entry(entry)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(SPOILT)
def test_a_spoilt_entry_is_read_or_refused(entry: bytes) -> None:
    check_entry(entry)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(LETTERS)
def test_a_letter_is_read_as_far_as_it_can_be(letter: bytes) -> None:
    check_letter(letter)


async def test_decoded_is_of_each_a_third(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        assert 300 <= await FEEDS["decoded"][0](world, chance_of(1), 300) <= 303


def test_the_command_says_what_it_cannot_do() -> None:
    for arguments in (
        ("--seconds", "0"), ("--entries", "0"), ("--only", "nothing"), ("--seed", "x"), ("5",), ("--entries", "5", "--seconds", "5"),
        ("--entries", "5", "--only", "records"),
    ):  # fmt: skip
        done = command(arguments, environment(), "tests.fuzzing")
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), arguments


@pytest.mark.slow  # a process, and some rounds
def test_the_command_counts_what_it_fed() -> None:
    done = command(("--entries", "500", "--seed", "1"), environment(), "tests.fuzzing")
    assert done.returncode == 0, done.stdout
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"entries 500 in \d+\.\d s, pushes 500 in \d+\.\d s: nothing found", last), last


@pytest.mark.slow  # a process, and a round of each kind
def test_the_command_feeds_every_kind_for_the_time_that_is_asked_for() -> None:
    done = command(("--seconds", "0.1", "--seed", "2"), environment(), "tests.fuzzing")
    assert done.returncode == 0, done.stdout
    counts = dict(re.findall(r"(\w+) (\d+) in", done.stdout.splitlines()[-1]))
    assert list(counts) == list(FEEDS)
    assert all(int(counts[kind]) >= portion for kind, (_, portion) in FEEDS.items()), counts


@pytest.mark.parametrize("kind", ["entries", "records"])
async def test_what_is_found_is_said_with_how_to_find_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    async def fail(_world: World, _chance: random.Random, _count: int) -> int:
        error = Found("it breaks")
        error.add_note("of this example")
        raise error

    monkeypatch.setitem(FEEDS, kind, (fail, 10))
    assert await run(options(["--seconds", "0.01", "--seed", "7", "--only", kind])) == 1
    said = capsys.readouterr().out
    assert f"{kind} 7: Found: it breaks\nof this example\n" in said
    assert f"again: ./run fuzz --only {kind} --seed 7 --seconds 0.001\n" in said
    assert re.search(rf"^{kind} 0 in \d+\.\d s: [1-9]\d* found$", said, flags=re.MULTILINE)


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
