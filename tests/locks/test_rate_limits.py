"""Rate limits: never over the rate, first come first served, in all processes; dead and cancelled ones harm nobody."""

import asyncio
import contextlib
import itertools
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import ConcurrencyError, LeaseBusy, Rate, RateLimit, Session
from shared.concurrency.locks.leases.keys import RATE_KEYS, rate_keys
from shared.concurrency.rate import interval_of
from tests.instruments import inside, rate_processes
from tests.instruments.cancellation import MODES, Mode, Outcome, at_every_point, cancelled_at
from tests.instruments.processes import running
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(60)

SLOW = Rate(1, per=60.0)


def most_over(spans: list[tuple[float, float]], rate: Rate) -> float:
    """By how many the rate was exceeded in the worst time, at least: each went some time between asking and going."""
    begins, ends = sorted(begin for begin, _ in spans), sorted(end for _, end in spans)
    worst = -1.0
    for begin, end in itertools.product(begins, ends):
        if end < begin:
            continue
        inside_it = sum(begin <= asked and went <= end for asked, went in spans)
        worst = max(worst, inside_it - rate.burst - (end - begin) * rate.count / rate.per)
    return worst


async def in_line(client: Any, name: str, count: int) -> None:
    key = rate_keys(name)["line"]
    await until(lambda: client.zcard(key), lambda seen: seen == count)


async def spent(session: Session, name: str, rate: Rate) -> RateLimit:
    """A limit at which nobody may go now."""
    limit = RateLimit(session, name, rate)
    for _ in range(rate.burst):
        await limit.acquire_nowait()
    return limit


async def nothing_left(client: Any, name: str) -> None:
    keys = rate_keys(name)
    await until(lambda: client.exists(keys["line"], keys["deadlines"]), lambda count: count == 0)
    assert all([await client.pttl(key) != -1 for key in keys.values()])


@pytest.mark.parametrize("rate", [Rate(100, burst=5), Rate(100, burst=1)])
async def test_processes_together_do_not_exceed_a_rate(url: str, client: Redis, name: str, rate: Rate) -> None:
    async with contextlib.AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(
                running(rate_processes.go, url, name, [rate.count, rate.per, rate.burst], 15)
            )
            for _ in range(3)
        ]
        spans = [span for process in processes for span in await process.said("went")]
    assert len(spans) == 45
    assert most_over(spans, rate) <= 0
    await nothing_left(client, name)


async def test_first_come_first_served_across_sessions(
    session: Session, other: Session, client: Redis, name: str
) -> None:
    order: list[int] = []

    async def go(limit: RateLimit, number: int) -> None:
        await limit.acquire()
        order.append(number)

    async def arrived() -> int:
        return int(await client.zcard(rate_keys(name)["line"])) + len(order)

    tasks = []
    rate = Rate(20, burst=2)
    await spent(session, name, rate)
    for number in range(8):
        tasks.append(asyncio.create_task(go(RateLimit((session, other)[number % 2], name, rate), number)))
        await until(arrived, lambda count, number=number: count > number)  # type: ignore[misc]
    await asyncio.gather(*tasks)
    # Two that go at once may learn of it in either order.
    assert [sorted(order[:4]), sorted(order[4:])] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    await nothing_left(client, name)


async def test_who_was_killed_in_front_holds_up_nobody(url: str, session: Session, client: Redis, name: str) -> None:
    limit = await spent(session, name, SLOW)
    async with running(rate_processes.wait, url, name, 60.0, [SLOW.count, SLOW.per, SLOW.burst]) as process:
        await in_line(client, name, 1)
        ours = asyncio.create_task(limit.acquire())
        await in_line(client, name, 2)
        await process.kill()
    # As if the time had come: the one in front could go, and does not.
    await client.delete(rate_keys(name)["rate"])
    async with asyncio.timeout(30):  # its place would be kept for a minute
        await ours
    await nothing_left(client, name)


async def test_who_waits_is_told_its_time_and_does_not_poll(session: Session, client: Redis, name: str) -> None:
    async def asked() -> int:
        return int((await client.info("commandstats")).get("cmdstat_zrank", {"calls": 0})["calls"])

    rate = Rate(1, per=0.4)
    limit = await spent(session, name, rate)
    before = await asked()
    await asyncio.gather(limit.acquire(), limit.acquire())
    # Each comes, and comes again at its time; a timer may be early.
    assert await asked() - before <= 8


async def test_nobody_overtakes_who_waits(session: Session, other: Session, client: Redis, name: str) -> None:
    limit = await spent(session, name, SLOW)
    ours = asyncio.create_task(limit.acquire())
    await in_line(client, name, 1)
    with pytest.raises(LeaseBusy, match="is at its rate"):
        await RateLimit(other, name, SLOW).acquire_nowait()
    for seconds in (0, 0.05):
        with pytest.raises(LeaseBusy):
            async with RateLimit(other, name, SLOW).within(seconds):
                raise AssertionError("nobody may go")
    ours.cancel()
    await asyncio.wait({ours})
    await nothing_left(client, name)


@pytest.mark.usefixtures("only_notified")
async def test_those_behind_move_up_when_one_leaves(session: Session, client: Redis, name: str) -> None:
    await spent(session, name, SLOW)
    limit = RateLimit(session, name, SLOW, ttl=3600.0)
    first = asyncio.create_task(limit.acquire())
    await in_line(client, name, 1)
    second = asyncio.create_task(limit.acquire())
    await in_line(client, name, 2)
    await client.delete(rate_keys(name)["rate"])
    first.cancel()
    await asyncio.wait({first})
    async with asyncio.timeout(30):
        await second
    await nothing_left(client, name)


async def test_a_call_may_be_cancelled_wherever_it_waits(
    session: Session, other: Session, client: Redis, name: str
) -> None:
    async def attempt(point: int, mode: Mode) -> Outcome[Any]:
        here, rate = f"{name}-{mode}-{point}", Rate(200)
        await spent(other, here, rate)
        outcome: Outcome[Any] = await cancelled_at(point, mode, RateLimit(session, here, rate).acquire())
        assert outcome.error is None
        async with asyncio.timeout(5):
            await RateLimit(other, here, rate).acquire()
        await nothing_left(client, here)
        return outcome

    assert {mode async for _, mode, _ in at_every_point(attempt, (*MODES, "always"))} == {*MODES, "always"}


async def test_a_broken_connection_does_not_make_it_faster(proxy: Proxy, client: Redis, name: str) -> None:
    rate = Rate(50)
    spans: list[tuple[float, float]] = []
    loop = asyncio.get_running_loop()
    async with Session.open(proxy.url) as session:
        for number in range(20):
            began = loop.time()
            if number % 5 == 2:
                going = asyncio.create_task(RateLimit(session, name, rate).acquire())
                key = rate_keys(name)["line"]
                await until(lambda key=key: client.zcard(key), lambda seen, going=going: seen == 1 or going.done())  # type: ignore[misc]
                proxy.cut()
                await going
            else:
                await RateLimit(session, name, rate).acquire()
            spans.append((began, loop.time()))
    assert most_over(spans, rate) <= 0
    await nothing_left(client, name)


async def test_a_request_that_runs_behind_its_end_is_refused(session: Session, client: Redis, name: str) -> None:
    keys, late = rate_keys(name), inside.new_id_of(session)
    await inside.ask(session, "rate_leave", keys, late, 1)
    assert await inside.ask(session, "rate_acquire", keys, late, 1, 1, 1, "") == [b"withdrawn"]
    assert await client.exists(keys["line"], keys["rate"]) == 0


@pytest.mark.parametrize("ahead_us", [3_600_000_000, 10**15])
async def test_a_clock_that_went_back_costs_one_burst_at_most(
    session: Session, client: Redis, name: str, ahead_us: int
) -> None:
    rate = Rate(20, burst=2)
    limit = await spent(session, name, rate)
    seconds, micros = await client.time()
    tat = str(seconds * 1_000_000 + micros + ahead_us)
    key = rate_keys(name)["rate"]
    await client.execute_command("HSET", key, "tat", tat)  # type: ignore[no-untyped-call]  # redis-py
    # The server lets keys expire by the same clock: so much later, too.
    await client.pexpire(key, ahead_us // 1000)
    async with asyncio.timeout(5):
        for _ in range(3):
            await limit.acquire()
    assert await client.pttl(key) < 1000


async def test_a_session_that_closes_ends_the_wait(url: str, client: Redis, name: str) -> None:
    async with Session.open(url) as closing:
        ours = asyncio.create_task((await spent(closing, name, SLOW)).acquire())
        await in_line(client, name, 1)
    with pytest.raises(ConcurrencyError):
        await ours
    await nothing_left(client, name)


@pytest.mark.parametrize("key", [RATE_KEYS[word].suffix for word in RATE_KEYS])
async def test_a_key_of_another_type_is_an_error_that_says_so(
    session: Session, client: Redis, name: str, key: str
) -> None:
    await client.set(f"{{{name}}}:{key}", "spoilt")
    with pytest.raises(ConcurrencyError, match=r"not a (zset|hash) of ours"):
        await (await spent(session, name, SLOW)).acquire()


@pytest.mark.parametrize("count", [0, -1, True, 1.5, "1", None])
def test_what_is_no_count_is_refused(count: Any) -> None:
    with pytest.raises(ValueError, match="count is a whole number"):
        Rate(count)


@pytest.mark.parametrize("per", [0, -1.0, float("nan"), float("inf"), True, "1", None])
def test_what_is_no_time_is_refused(per: Any) -> None:
    with pytest.raises(ValueError, match="per is"):
        Rate(1, per=per)


@pytest.mark.parametrize("burst", [0, -1, True, 1.5, "1", None, 1_000_001])
def test_what_is_no_burst_is_refused(burst: Any) -> None:
    with pytest.raises(ValueError, match="burst is a whole number"):
        Rate(1, burst=burst)


def test_what_the_server_cannot_count_is_refused() -> None:
    with pytest.raises(ValueError, match="1,000,000 a second"):
        Rate(1_000_001)
    with pytest.raises(ValueError, match="a burst is at most"):
        Rate(1, per=86400.0, burst=400)
    assert [interval_of(rate) for rate in (Rate(1_000_000), Rate(3), Rate(100, per=60.0), Rate(10, per=0.1))] == [
        1, 333_334, 600_000, 10_000,
    ]  # fmt: skip


async def test_what_is_no_rate_is_refused(session: Session, name: str) -> None:
    with pytest.raises(TypeError, match="a rate is a Rate"):
        RateLimit(session, name, 5)  # type: ignore[arg-type]
