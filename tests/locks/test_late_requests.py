"""What the server runs late, on a connection that was dropped, finds nothing to do; and a lost answer is no loss."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Self

import pytest
import redis

from shared.concurrency import Condition, LeaseBusy, Lock, ReadersWritersLease, Session
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Command, Fate
from tests.instruments.waiting import until

pytestmark = pytest.mark.timeout(180)


async def run_late(proxy: Proxy, client: Any, script: str) -> Any:
    """Have the server run the first request of this kind once more, as if the one that was dropped came only now."""
    first = next(command for command in proxy.of_session() if command.name == script)
    return await client.execute_command(*first.words)


@pytest.mark.parametrize("fate", [Fate.DROP_BEFORE, Fate.DROP_AFTER])
@pytest.mark.parametrize("after", ["release", "cancel"])
async def test_an_acquire_that_runs_behind_its_end_is_refused(
    through_proxy: Session, proxy: Proxy, session: Session, client: Any, name: str, *, fate: Fate, after: str
) -> None:
    lock, there = Lock(through_proxy, name), Lock(session, name)
    held = await there.acquire() if after == "cancel" else None
    met = proxy.drop_nth(1, fate, lambda command: command.name == "acquire")
    asking = asyncio.create_task(lock.acquire())
    if held is None:
        await (await asking).release()
    else:
        await until(lambda: client.zcard(f"{{{name}}}:lease:waiting"), lambda count: count == 1)
        asking.cancel()
        await until(lambda: client.zcard(f"{{{name}}}:lease:waiting"), lambda count: count == 0)
        await held.release()
    assert met.is_set()
    assert await run_late(proxy, client, "acquire") == [b"withdrawn"]
    await (await there.acquire_nowait()).release()


async def test_a_question_of_a_reader_that_runs_behind_its_end_is_refused(
    through_proxy: Session, proxy: Proxy, session: Session, client: Any, name: str
) -> None:
    here, there = ReadersWritersLease(through_proxy, name), ReadersWritersLease(session, name)
    outer = await here.read().acquire()
    writing = asyncio.create_task(there.write().acquire())
    await until(lambda: client.zcard(f"{{{name}}}:lease:waiting"), lambda count: count == 1)
    proxy.commands.clear()
    met = proxy.drop_nth(1, Fate.DROP_BEFORE, lambda command: command.name == "acquire")
    asking = asyncio.create_task(here.read().acquire())  # whether it may join
    await met.wait()
    await until(lambda: client.zcard(f"{{{name}}}:lease:waiting"), lambda count: count == 2)
    await outer.release()
    await (await writing).release()
    await (await asking).release()
    assert await run_late(proxy, client, "acquire") == [b"withdrawn"]
    await (await there.write().acquire_nowait()).release()


async def test_a_cancelled_acquire_leaves_no_mark_where_its_question_cannot_come_late(
    through_proxy: Session, proxy: Proxy, client: Any, name: str
) -> None:
    async with proxy.holding("acquire") as hold:
        asking = asyncio.create_task(Lock(through_proxy, name).acquire())
        await hold.arrived.wait()
        asking.cancel()
        await asyncio.wait({asking})
    await until(lambda: client.zcard(f"{{{name}}}:lease:holders"), lambda count: count == 0)
    assert await client.exists(f"{{{name}}}:lease:withdrawn") == 0


async def test_a_busy_answer_to_a_repeated_question_is_no_end_of_the_first(
    through_proxy: Session, proxy: Proxy, session: Session, client: Any, name: str
) -> None:
    proxy.drop_nth(1, Fate.DROP_BEFORE, lambda command: command.name == "acquire")
    async with Lock(session, name):
        with pytest.raises(LeaseBusy):
            await Lock(through_proxy, name).acquire_nowait()
        await until(lambda: client.exists(f"{{{name}}}:lease:withdrawn"), bool)
    assert await run_late(proxy, client, "acquire") == [b"withdrawn"]


@pytest.mark.parametrize("fate", [Fate.DROP_BEFORE, Fate.DROP_AFTER])
async def test_a_wait_that_runs_behind_its_end_takes_no_notification(
    through_proxy: Session, proxy: Proxy, session: Session, client: Any, name: str, *, fate: Fate
) -> None:
    here, there = Condition(through_proxy, name), Condition(session, name)

    async def wait() -> None:
        async with here:
            await here.wait()

    met = proxy.drop_nth(1, fate, lambda command: command.name == "condition_wait")
    waiting = asyncio.create_task(wait())
    waiters = f"{{{name}}}:condition:waiters"
    await until(lambda: client.zcard(waiters), lambda count: count == 1)
    assert await met.wait()
    await there.acquire()
    waiting.cancel()
    await until(lambda: client.zcard(waiters), lambda count: count == 0)
    await there.release()
    await asyncio.wait({waiting})
    await run_late(proxy, client, "condition_wait")
    assert await client.zcard(waiters) == 0


async def test_a_notification_is_passed_on_though_the_answer_to_the_leaving_was_lost(
    through_proxy: Session, proxy: Proxy, session: Session, other: Session, client: Any, *, name: str
) -> None:
    async def wait(condition: Condition) -> None:
        async with condition:
            await condition.wait()

    waiters = f"{{{name}}}:condition:waiters"
    first = asyncio.create_task(wait(Condition(through_proxy, name)))
    await until(lambda: client.zcard(waiters), lambda count: count == 1)
    second = asyncio.create_task(wait(Condition(other, name)))
    await until(lambda: client.zcard(waiters), lambda count: count == 2)
    proxy.drop_nth(1, Fate.DROP_AFTER, lambda command: command.name == "condition_leave")
    with proxy.frozen():
        condition = Condition(session, name)
        async with condition:
            await condition.notify()
        first.cancel()
        await asyncio.sleep(0)
    await asyncio.wait({first})
    assert first.cancelled()
    async with asyncio.timeout(5):
        await second


@dataclass
class Forger:
    """Somebody who says at once what the server says to the only waiter of a name, past the loop of the test."""

    url: str
    channel: str
    name: str
    id: str

    @classmethod
    async def of(cls, url: str, client: Any, name: str) -> Self:
        """Once somebody waits."""
        ((id_, _),) = await until(
            lambda: client.zrange(f"{{{name}}}:lease:waiting", 0, -1, withscores=True), lambda found: len(found) == 1
        )
        return cls(url, f"weir:{id_.decode().partition('.')[0]}", name, id_.decode())

    def grant(self, left: float = 3600.0) -> None:
        """Grant it for so many seconds by the clock of this machine."""
        self.say("granted", f" 1 {int((time.time() + left) * 1000)} 0")

    def say(self, word: str, rest: str = "") -> None:
        """Say a word of its hold."""
        with redis.Redis.from_url(self.url) as publisher:
            assert publisher.publish(self.channel, f"{word} {self.name} {self.id}{rest}") == 1


async def asked_again(proxy: Proxy, asking: "asyncio.Task[Any]") -> None:
    """Wait until it has asked again, or has got it."""
    so_far = proxy.count("acquire")

    async def asked() -> int:
        return proxy.count("acquire")

    await until(asked, lambda count: count > so_far + 1 or asking.done())


async def test_a_grant_that_came_before_the_answer_that_it_waits_counts_for_nothing(
    through_proxy: Session, proxy: Proxy, session: Session, client: Any, name: str, *, url: str
) -> None:
    """As of a server whose clock was ahead: it is over, and is read by a process that was stopped."""
    there = await Lock(session, name).acquire()
    asking = asyncio.create_task(Lock(through_proxy, name).acquire())
    forger, told = await Forger.of(url, client, name), asyncio.Event()

    def before(command: Command) -> Fate:
        if command.name == "acquire" and not told.is_set():
            forger.grant()
            told.set()
        return Fate.PASS

    proxy.judge = before
    await told.wait()
    await asked_again(proxy, asking)
    assert not asking.done()
    await there.release()
    lease = await asking
    assert lease.token > there.token
    await lease.release()


async def test_a_hold_that_is_broken_before_it_is_taken_up_is_asked_for_again(
    through_proxy: Session, proxy: Proxy, session: Session, client: Any, name: str, *, url: str
) -> None:
    there = await Lock(session, name).acquire()
    asking = asyncio.create_task(Lock(through_proxy, name).acquire())
    forger = await Forger.of(url, client, name)
    forger.grant(5.0)  # nothing between them: the loop does not turn
    forger.say("broken")
    await asked_again(proxy, asking)
    assert not asking.done()
    await there.release()
    await (await asking).release()


async def test_a_grant_that_is_read_late_is_asked_about(
    session: Session, other: Session, client: Any, name: str, url: str
) -> None:
    """As by a process that was stopped, while the server's clock jumped ahead: the grant says an hour too much."""
    there = await Lock(other, name).acquire()
    asking = asyncio.create_task(Lock(session, name, ttl=1.0).acquire())
    forger = await Forger.of(url, client, name)
    asked = await client.zscore(f"{{{name}}}:lease:waiting", forger.id)
    time.sleep(0.5)  # noqa: ASYNC251  # more than a third, and the margin
    forger.grant()
    await until(
        lambda: client.zscore(f"{{{name}}}:lease:waiting", forger.id),
        lambda score: score != asked or asking.done(),
    )
    assert not asking.done()
    await there.release()
    await (await asking).release()
