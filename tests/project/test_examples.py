"""The examples: each runs as its reader would run it, and both halves of a pair come to the same."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from examples.fencing.redis_store import RedisStore
from examples.fencing.sqlite_store import SqliteStore
from examples.readers_writers.one_process import ReadersWriters
from tests.instruments.command_line import command, environment

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "from-asyncio.md").read_text(encoding="utf-8")

SAID = {
    "tasks": "0 1 4 9 16 25 36 49 64 81",
    "results": "callback: 42\nfuture: 42\nevent: 42",
    "semaphore": "10 users were inside, at most 3 at once",
    "order": "first second",
    "producer_consumer": "20 used, never more than 5 in the queue: True",
    "readers_writers": "a reader was inside a write: False",
}

FAST = {"producer_consumer"}
"""Those that are also run across processes with the fast tests; each process has to start its Python."""


def said(*command: str, **settings: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "REDIS_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", *command],
        cwd=ROOT, env=kept | settings, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("pattern", SAID)
def test_a_pattern_in_one_process(pattern: str) -> None:
    done = command((), environment(), f"examples.{pattern}.one_process")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == SAID[pattern]


@pytest.mark.parametrize(
    "pattern", [pytest.param(pattern, marks=() if pattern in FAST else pytest.mark.slow) for pattern in SAID]
)
def test_the_same_across_processes(pattern: str, url: str) -> None:
    with redis.Redis.from_url(url) as client:
        before = lasting(client)
        assert said(f"examples.{pattern}.many_processes", REDIS_URL=url) == SAID[pattern]
        # What is left forgets itself, but for what belongs to a queue, which is kept as every queue is.
        left = lasting(client) - before
    assert not {key for key in left if not re.search(rb"\}:(settings|totals|lanes|ids|ids:due|sessions)$", key)}


def lasting(client: "redis.Redis") -> set[bytes]:
    return {key for key in client.scan_iter(count=1000) if client.ttl(key) == -1}


@pytest.mark.slow
def test_a_script_and_a_test_without_asyncio(url: str) -> None:
    done = said("examples.blocking.many_processes", REDIS_URL=url)
    assert done == f"{[2 * number for number in range(10)]} by 10 deliveries"
    assert "1 passed" in said(
        "pytest", "-q", "-p", "no:cacheprovider", "examples/blocking/test_numbers.py", REDIS_URL=url
    )


def test_what_is_often_taught_lets_a_reader_into_a_write() -> None:
    assert said("examples.readers_writers.taught_wrong") == "a reader was inside a write: True"


def test_every_pattern_has_both_halves() -> None:
    folders = {path.parent.name for path in (ROOT / "examples").glob("*/__init__.py")}
    assert folders == {*SAID, "blocking", "fencing", "outside", "protocol", "stages", "web"}
    for pattern in SAID:
        assert {"one_process.py", "many_processes.py"} <= {
            path.name for path in (ROOT / "examples" / pattern).iterdir()
        }


@pytest.mark.slow
def test_by_name_both_halves_run_and_a_wrong_name_is_told() -> None:
    lines = said("examples", "order").splitlines()
    assert lines == [
        "--- examples/order/one_process.py", "first second", "--- examples/order/many_processes.py", "first second",
    ]  # fmt: skip
    listed = [line.split(maxsplit=1) for line in said("examples").splitlines()]
    assert [name for name, _ in listed] == sorted([*SAID, "blocking", "fencing", "outside", "stages", "web"])
    assert all(len(about) > 20 for _, about in listed)
    done = subprocess.run(
        [sys.executable, "-m", "examples", "odrer"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=20
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("run: example takes one of ")


@pytest.mark.slow
def test_an_example_that_fails_ends_the_others_and_says_why() -> None:
    program = (
        "import asyncio\nfrom examples.processes import in_processes\n"
        "from examples.order.many_processes import first\nfrom examples.server import server\n"
        "if __name__ == '__main__':\n    with server() as url:\n"
        "        in_processes((first, (url, 'never')), (first, (url, 'no name' * 99)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert "ValueError" in done.stderr


# --- fencing ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_paused_holder_is_refused_by_both_stores(url: str) -> None:
    assert said("examples.fencing.many_processes", REDIS_URL=url).splitlines()[-5:] == [
        "RedisStore: the old holder's write was refused",
        "SqliteStore: the old holder's write was refused",
        "check() raised LeaseLost, too",
        "RedisStore holds what is new",
        "SqliteStore holds what is new",
    ]


@pytest.mark.parametrize("kind", ["redis", "sqlite"])
def test_a_store_takes_the_same_token_again_a_larger_one_and_never_a_smaller(
    url: str, name: str, tmp_path: Path, kind: str
) -> None:
    store = RedisStore(url, name) if kind == "redis" else SqliteStore(str(tmp_path / "store"))
    # Tokens begin at the server's time in microseconds: a double still tells two of them apart.
    first = 1_795_518_508_611_588
    assert store.write(first, "one")
    assert store.write(first, "two")
    assert store.write(first + 1, "three")
    assert not store.write(first, "four")
    assert store.read() == "three"
    store.close()


@pytest.mark.slow
def test_outside_the_server_the_id_of_the_delivery_makes_it_once(url: str) -> None:
    lines = said("examples.outside.many_processes", REDIS_URL=url).splitlines()
    assert [line for line in lines if "[warning" not in line] == [
        "the first was killed after it had booked: True",
        "attempt 2 of order-1: booked before",
        "the ledger holds 100",
    ]


# --- the one in one process, which people will copy -------------------------------------------------------------------


async def test_a_writer_waits_for_readers_and_readers_that_come_later_wait_behind_it() -> None:
    lease, order = ReadersWriters(), []
    leave = asyncio.Event()

    async def read(name: str) -> None:
        async with lease.read():
            order.append(name)
            await leave.wait()

    async def write(name: str) -> None:
        async with lease.write():
            order.append(name)

    tasks = []
    for work in (read("first"), read("second"), write("writer"), read("late"), write("last"), read("later")):
        tasks.append(asyncio.create_task(work))
        await asyncio.sleep(0)
    assert order == ["first", "second"]
    leave.set()
    await asyncio.gather(*tasks)
    assert order == ["first", "second", "writer", "late", "later", "last"]


@pytest.mark.parametrize("let_in", [False, True])
@pytest.mark.parametrize("mode", ["read", "write"])
async def test_one_that_is_cancelled_while_it_waits_keeps_nobody_out(mode: str, *, let_in: bool) -> None:
    lease = ReadersWriters()
    entered: list[str] = []

    async def enter(mode: str, who: str) -> None:
        async with lease.read() if mode == "read" else lease.write():
            entered.append(who)

    async with lease.write():
        waiting = asyncio.create_task(enter(mode, "waiting"))
        behind = asyncio.create_task(enter("write", "behind"))
        await asyncio.sleep(0)
        assert not waiting.done()
        assert not behind.done()
        if not let_in:
            waiting.cancel()
            await asyncio.wait({waiting})
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    async with asyncio.timeout(5):
        await behind
        async with lease.write():
            assert entered == ["behind"]


# --- the page ---------------------------------------------------------------------------------------------------------


def test_all_code_of_the_page_is_code_of_an_example() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in (ROOT / "examples").rglob("*.py")}
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2 * len(SAID)
    for block in blocks:
        assert any(block in source for source in sources.values()), block


def test_the_page_has_every_pattern() -> None:
    for pattern in SAID:
        assert f"`examples/{pattern}/one_process.py`" in PAGE
        assert f"`examples/{pattern}/many_processes.py`" in PAGE
