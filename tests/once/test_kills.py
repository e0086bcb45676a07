"""Several processes put and handle messages of a few names while one of them is killed with -9 again and again.

A referee outside of the server finds that what was put last under a name was handled after it was put.
"""

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from tests.instruments.census import take_census
from tests.instruments.naming import Verdict, forward_names, handle_names, put_names
from tests.instruments.processes import Process, running
from tests.instruments.waiting import until
from tests.order.watching import lengths

COUNT: Final = 1500
PARTS: Final = 3
TTL: Final = 1.0


@pytest.mark.slow  # six processes
async def test_the_last_put_of_a_name_is_handled_though_processes_are_killed(
    url: str, name: str, tmp_path: Path
) -> None:
    chance = random.Random()  # noqa: S311  # no secret
    async with AsyncExitStack() as stack, Session.open(url, ttl=TTL) as session, Redis.from_url(url) as client:
        queue = Queue(session, name, int, maxsize=6, max_crashes=None)
        await queue.qsize()
        handlers: list[Process] = []

        async def handler() -> None:
            handlers.append(await stack.enter_async_context(running(handle_names, url, name, TTL, str(tmp_path))))
            await handlers[-1].said("ready")

        async def met() -> int:
            seen = await queue.statistics()
            return seen.put_total + seen.replaced_total

        await asyncio.gather(handler(), handler())
        producers = [
            await stack.enter_async_context(
                running(put_names, url, name, part * COUNT, COUNT, str(tmp_path)),
            )
            for part in range(PARTS)
        ]
        for killed in range(4):
            await until(met, lambda now, killed=killed: now >= (killed + 1) * COUNT // 4, 100)  # type: ignore[misc]
            if killed == 1:
                await producers.pop().kill()
                continue
            await handlers.pop(chance.randrange(len(handlers))).kill()
            await handler()
        await asyncio.gather(*(producer.said("end", 1, 100) for producer in producers))
        await queue.join()
        census = await take_census(client, name)
        seen = await queue.statistics()
        await queue.shutdown()
        await asyncio.gather(*(process.said("end") for process in handlers))
        # What the producer that was killed never confirmed is remembered for a day.
        assert set(await lengths(queue)) <= {"let_in"}
    census.check()
    verdict = Verdict(tmp_path)
    put, handled = verdict.counts()
    assert verdict.lost() == []
    assert seen.dead_total == 0
    assert (PARTS - 1) * COUNT <= put <= seen.put_total + seen.replaced_total
    assert 0 < handled <= seen.acked_total == seen.put_total
    assert seen.replaced_total > 0
    print(f"{put} put, {handled} handled, {seen.replaced_total} replaced, {seen.recovered_total} recovered")  # noqa: T201


@pytest.mark.slow  # five processes
async def test_the_last_forward_of_a_name_is_handled_though_processes_are_killed(
    url: str, name: str, tmp_path: Path
) -> None:
    chance = random.Random()  # noqa: S311  # no secret
    async with AsyncExitStack() as stack, Session.open(url, ttl=TTL) as session, Redis.from_url(url) as client:
        first = Queue(session, "first", int, group=name, max_crashes=None)
        second = Queue(session, "second", int, group=name, maxsize=6, max_crashes=None)
        await second.qsize()
        await first.put_many(range(COUNT))
        workers: list[Process] = []

        async def start(forwards: bool) -> None:  # noqa: FBT001  # one of two kinds
            asked = (forward_names, url, name) if forwards else (handle_names, url, "second")
            more = () if forwards else (name,)
            workers.append(await stack.enter_async_context(running(*asked, TTL, str(tmp_path), *more)))
            await workers[-1].said("ready")

        await asyncio.gather(*(start(forwards) for forwards in (True, True)))
        await asyncio.gather(*(start(forwards) for forwards in (False, False)))
        for killed in range(6):
            await until(first.statistics, lambda seen, n=killed: seen.acked_total >= (n + 1) * COUNT // 8, 100)  # type: ignore[misc]
            await workers.pop(chance.randrange(2) + 2 * (killed % 2)).kill()
            forwards = killed % 2 == 0
            await start(forwards)
            if forwards:
                workers.insert(0, workers.pop())
        await first.join()
        await second.join()
        seen, sent = await second.statistics(), await first.statistics()
        for queue in (first, second):
            (await take_census(client, f"{name}/{queue.name}")).check()
            await queue.shutdown()
        await asyncio.gather(*(process.said("end") for process in workers))
        assert await lengths(second) == {}
    verdict = Verdict(tmp_path)
    put, handled = verdict.counts()
    assert verdict.lost() == []
    assert sent.acked_total == COUNT == seen.put_total + seen.replaced_total
    assert 0 < handled <= put <= COUNT
    assert seen.acked_total == seen.put_total
    assert seen.replaced_total > 0
    assert sent.recovered_total > 0


def test_the_referee_sees_what_is_lost(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(
        "puts 1 n 10\nput 1 n 20\nputs 2 n 30\nput 2 n 50\nputs 3 n 40\nputs 4 m 60\nput 4 m 70\nput"
    )
    (tmp_path / "b").write_text("began 1 n 25\ndid 1 n 26\nbegan 4 m 65\n")
    assert Verdict(tmp_path).lost() == [2, 4]
    assert Verdict(tmp_path).counts() == (3, 1)
    # One whose put had not returned is as new as the second.
    (tmp_path / "c").write_text("began 3 n 55\ndid 3 n 57\nbegan 4 m 80\ndid 4 m 90\n")
    assert Verdict(tmp_path).lost() == []
