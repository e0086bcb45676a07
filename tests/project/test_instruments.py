"""The instruments do what the tests that use them believe."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Disconnected

from shared.local.embedded import EmbeddedServer
from tests.instruments.cancellation import Outcome, at_every_point, cancelled_at
from tests.instruments.processes import report, running
from tests.instruments.proxy import Proxy
from tests.instruments.resp import read_command, read_reply
from tests.instruments.server_time import Calls, timed
from tests.instruments.traffic import Command, Fate
from tests.instruments.waiting import until


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[Redis]:
    retry = Retry(NoBackoff(), 0)
    async with Redis.from_url(proxy.url, protocol=3, single_connection_client=True, retry=retry) as client:
        yield client


def anything(command: Command) -> bool:
    return command.name == "INCRBY"


@pytest.mark.parametrize(
    "reply",
    [
        b"+OK\r\n",
        b":5\r\n",
        b"$-1\r\n",
        b"$4\r\n\r\n\r\n\r\n",
        b"*-1\r\n",
        b"*2\r\n:1\r\n*1\r\n$1\r\na\r\n",
        b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n_\r\n",
        b"~1\r\n#t\r\n",
        b">3\r\n+message\r\n$1\r\na\r\n$1\r\nb\r\n",
        b"|1\r\n+ttl\r\n:1\r\n:7\r\n",
        b"=7\r\ntxt:abc\r\n",
        b"!5\r\nERR x\r\n",
        b"-ERR x\r\n",
        b"(123\r\n",
        b",1.5\r\n",
    ],
)
async def test_a_reply_ends_where_it_ends(reply: bytes) -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(reply + b"+NEXT\r\n")
    assert await read_reply(stream) == reply
    assert await read_reply(stream) == b"+NEXT\r\n"


async def test_a_command_ends_where_it_ends() -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(b"*2\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n*1\r\n$4\r\nPING\r\n")
    assert (await read_command(stream))[1] == (b"GET", b"\r\n")
    assert (await read_command(stream))[1] == (b"PING",)


async def test_the_proxy_counts_commands_by_name(proxy: Proxy, client: Redis, name: str) -> None:
    await client.incr(name)
    await client.incr(name)
    assert [command.name for command in proxy.commands if anything(command)] == ["INCRBY", "INCRBY"]


@pytest.mark.parametrize("fate", [Fate.DROP_BEFORE, Fate.DROP_AFTER, Fate.DROP_WITHIN])
async def test_the_proxy_breaks_the_connection_where_it_is_told(
    proxy: Proxy, client: Redis, name: str, fate: Fate
) -> None:
    await client.incr(name)
    met = proxy.drop_nth(2, fate, anything)
    await client.incr(name)
    assert not met.is_set()
    with pytest.raises(Disconnected):
        await client.incr(name)
    assert met.is_set()
    assert int(await client.get(name)) == (2 if fate is Fate.DROP_BEFORE else 3)
    await client.delete(name)


async def test_the_proxy_cuts_and_refuses(proxy: Proxy, client: Redis) -> None:
    await client.ping()
    with proxy.refusing():
        for _ in range(2):
            with pytest.raises(Disconnected):
                await client.ping()
    assert await client.ping()


async def test_the_proxy_freezes(proxy: Proxy, client: Redis) -> None:
    await client.ping()
    with proxy.frozen():
        ping = asyncio.ensure_future(client.ping())
        done, _ = await asyncio.wait({ping}, timeout=0.05)
        assert not done
    assert await ping


async def test_a_coroutine_is_cancelled_at_each_point_where_it_waits() -> None:
    reached: list[str] = []

    async def three_waits() -> str:
        await asyncio.sleep(0)
        reached.append("first")
        await asyncio.sleep(0.001)
        reached.append("second")
        await asyncio.sleep(0)
        return "end"

    async def attempt(point: int, mode: str) -> Outcome[str]:
        assert mode in ("early", "late")
        reached.clear()
        return await cancelled_at(point, "early" if mode == "early" else "late", three_waits())

    seen = [
        (point, mode, outcome.cancelled, list(reached))
        async for point, mode, outcome in at_every_point(attempt, ("early", "late"))
    ]
    for mode in ("early", "late"):
        assert [entry for entry in seen if entry[1] == mode] == [
            (1, mode, True, []),
            (2, mode, True, ["first"]),
            (3, mode, True, ["first", "second"]),
        ]
    untouched = await cancelled_at(4, "early", three_waits())
    assert (untouched.hit, untouched.cancelled, untouched.value) == (False, False, "end")


async def test_late_cancellation_comes_when_what_was_waited_for_is_there() -> None:
    box: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.01, box.set_result, "there")
    outcome = await cancelled_at(1, "late", box_of(box))
    assert outcome.cancelled
    assert box.result() == "there"


async def box_of(box: "asyncio.Future[str]") -> str:
    return await box


async def count_up(first: int) -> None:
    for number in range(first, sys.maxsize):
        report("number", number)
        await asyncio.sleep(0.001)


async def test_a_process_is_heard_stopped_continued_and_killed() -> None:
    async with running(count_up, 5) as process:
        assert await process.said("number") == 5
        await process.said("number", 3)
        process.stop()
        # What is on its way arrives; then it stands still.
        await until(process.state, lambda state: state == "T")
        process.cont()
        said = len(process.reports("number"))
        await process.said("number", said + 2)
        await process.kill()
        numbers = process.reports("number")
        assert numbers == list(range(5, 5 + len(numbers)))


# --- selections -------------------------------------------------------------------------------------------------------


MARKED: Final = """
def pytest_collection_finish(session):
    for item in session.items:
        print("found", item.nodeid, *sorted({mark.name for mark in item.iter_markers()}), sep="\\t")
"""


def selected(folder: Path, marks: str) -> dict[str, set[str]]:
    """The tests that a selection finds, and how each is marked."""
    (folder / "marked.py").write_text(MARKED)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "marked", "-p", "no:cacheprovider", "-m", marks],
        cwd=Path(__file__).resolve().parent.parent.parent, env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    found = (line.split("\t")[1:] for line in done.stdout.splitlines() if line.startswith("found\t"))
    return {test: set(marks) for test, *marks in found}


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(700)
def test_no_test_is_lost_because_its_file_was_not_imported(tmp_path: Path) -> None:
    # Of these, conftest passes over the files that do not hold the words; of all tests, over none.
    marked = selected(tmp_path, "")
    assert all("timing" in marks for marks in marked.values() if "measured" in marks)
    assert all("slow" in marks for marks in marked.values() if "alone" in marks)
    parts = {
        "timing and slow": {"timing", "slow"},
        "alone and not timing and slow": {"alone", "slow"},
        "not timing and not alone and slow": {"slow"},
        "timing and not slow": {"timing"},
    }
    for selection, wanted in parts.items():
        expected = {test for test, marks in marked.items() if marks & {"alone", "slow", "timing"} == wanted}
        assert selected(tmp_path, selection).keys() == expected != set()


@pytest.mark.parametrize(
    "took, waited, worst",
    [
        ([], 5, 0),
        ([50, 3], 0, 50),
        ([50, 3], 40, 10),
        ([50, 50, 3], 40, 30),  # it cannot have waited 40 within each
        ([50, 40, 3], 30, 30),
        ([3, 50], 60, 0),
    ],
)
def test_the_longest_call_took_what_it_did_not_wait_for(took: list[float], waited: float, worst: float) -> None:
    calls = Calls()
    calls.milliseconds, calls.waited = took, waited
    assert calls.worst == worst


async def test_a_long_call_is_found(server: EmbeddedServer) -> None:
    async with Redis.from_url(server.url, protocol=3) as client:
        script = await client.script_load("local sum = 0 for at = 1, 1e7 do sum = sum + at end return 7")
        async with timed(client) as calls:
            assert await client.evalsha(script, 0) == 7
        (took,) = calls.milliseconds
        assert 0 <= calls.waited < 60_000
        assert took > 20  # that much it counts
        assert calls.worst == pytest.approx(max(0.0, took - calls.waited))
