"""A server that refuses what it accepted before: a rotated password, a rule that is changed and changed back."""

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from consumer.worker.worker import Worker
from shared.concurrency import Delivery, EffectRefused, Lock, Queue, ServerRefused, Session
from shared.concurrency.session.calls import Calls
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.waiting import until

RIGHTS = ("on", ">secret", "~*", "&*", "+@all")


class User:
    """A user of the server whose rights change."""

    def __init__(self, client: Redis, url: str) -> None:
        self._client = client
        self.url = url.replace("unix://", "unix://weir:secret@")

    async def may(self, *rules: str) -> None:
        await self._client.execute_command("ACL", "SETUSER", "weir", *rules)  # type: ignore[no-untyped-call]

    async def rotated(self) -> None:
        """Another password, and nobody is connected."""
        await self.may("resetpass", ">new")
        await self._client.client_kill_filter(skipme=True)

    async def forbidden(self) -> None:
        """The connections stay, and no key may be touched."""
        await self.may("resetkeys")

    async def is_let_in(self) -> None:
        await self.may("resetpass", *RIGHTS)

    async def refusals(self) -> int:
        """How often the server has refused this user so far."""
        stats = await self._client.info("errorstats")
        counts = (stats.get(f"errorstat_{code}", {"count": 0}) for code in ("WRONGPASS", "NOPERM"))
        return sum(int(each["count"]) for each in counts)


@pytest.fixture
async def user(server: EmbeddedServer) -> AsyncIterator[User]:
    async with Redis.from_url(server.url) as client:
        user = User(client, server.url)
        await user.is_let_in()
        yield user


@pytest.mark.parametrize("how", ["rotated", "forbidden"])
async def test_all_that_waits_goes_on_once_the_server_accepts_again(
    user: User, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    handled = list[int]()

    async def handle(delivery: Delivery[int]) -> None:
        handled.append(delivery.item)

    async with Session.open(user.url, ttl=1.0) as session, Session.open(user.url, ttl=1.0) as other:
        queue, theirs = Queue(session, "jobs", int, maxsize=1), Queue(other, "jobs", int)
        third = Queue(other, "third", int)
        worker = Worker(third, handle, concurrency=2)
        working = asyncio.create_task(worker.run())
        await third.put(0)
        await until(lambda: asyncio.sleep(0, list(handled)), lambda seen: seen == [0])
        submitted = await Queue(session, "other", int, maxsize=0).submit(5)
        await queue.put(1)
        put, joined = asyncio.create_task(queue.put(2)), asyncio.create_task(queue.join())
        await until(queue.statistics, lambda statistics: statistics.puts_waiting == 1)

        before = await user.refusals()
        await getattr(user, how)()
        meanwhile = asyncio.create_task(third.put(1))
        # Each of the sessions, more than once.
        await until(user.refusals, lambda refusals: refusals > before + 10)
        assert not any(waiting.done() for waiting in (working, submitted, put, joined, meanwhile))
        await user.is_let_in()

        async with asyncio.timeout(40):
            for item in (1, 2):
                async with await theirs.get() as got:
                    assert got == item
            await put
            await joined
            async with await Queue(other, "other", int).get():
                pass
            await submitted
            await meanwhile
            await until(lambda: asyncio.sleep(0, list(handled)), lambda seen: seen == [0, 1])
        worker.drain()
        await working
    assert ("the server does not let us in" if how == "rotated" else "the server's ACL forbids") in caplog.text


@pytest.mark.parametrize("how", ["rotated", "forbidden"])
async def test_once_the_time_for_it_has_passed_calls_fail_with_the_servers_words(user: User, how: str) -> None:
    async with Session.open(user.url, ttl=1.0, refusal_grace=0.3) as session:
        queue = Queue(session, "jobs", int)
        await queue.put(1)
        await getattr(user, how)()
        async with asyncio.timeout(40):
            with pytest.raises(ServerRefused, match="let us in" if how == "rotated" else "ACL"):
                await queue.put(2)
        await user.is_let_in()
        async with asyncio.timeout(40):
            await until(lambda: _put(queue), bool)
        assert (await queue.statistics()).pending == 2


async def _put(queue: Queue[int]) -> bool:
    try:
        return await queue.put(3)
    except ServerRefused:
        return False


async def test_the_time_runs_for_each_name_though_another_is_served(user: User) -> None:
    async with Session.open(user.url, refusal_grace=0.5) as session:
        served, forbidden = Queue(session, "served", int), Queue(session, "forbidden", int)
        await served.put(1)
        await forbidden.put(1)
        await user.may("resetkeys", "~{served}*")
        refused = asyncio.create_task(forbidden.put(2))
        async with asyncio.timeout(40):
            while not refused.done():
                await served.put(1)
        with pytest.raises(ServerRefused, match="ACL"):
            await refused


@pytest.mark.slow
async def test_a_refusal_that_nobody_waited_out_does_not_shorten_the_next(user: User) -> None:
    async with Session.open(user.url, refusal_grace=6.0) as session:
        queue = Queue(session, "jobs", int)
        await queue.resize(5)
        await user.forbidden()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await queue.resize(6)
        await user.is_let_in()
        await queue.put(1)
        await asyncio.sleep(6.1)
        await user.forbidden()
        again = asyncio.create_task(queue.resize(7))
        before = await user.refusals()
        await until(user.refusals, lambda refusals: refusals > before + 3)
        assert not again.done()
        await user.is_let_in()
        async with asyncio.timeout(40):
            await again
        assert (await queue.statistics()).maxsize == 7


async def test_an_acknowledgement_with_effects_waits_a_moment_and_one_with_a_forbidden_key_fails(user: User) -> None:
    async with Session.open(user.url) as session:
        queue = Queue(session, "jobs", int)
        await queue.put_many([1, 2])
        first, second = await queue.get(), await queue.get()
        first.effects.hincrby("{jobs}:zsum", "1")
        await user.forbidden()
        before = await user.refusals()
        settled = asyncio.create_task(first.ack())
        await until(user.refusals, lambda refusals: refusals > before + 3)
        assert not settled.done()
        await user.may("resetkeys", "~{jobs}:[^z]*", "~{jobs}:zsum")
        async with asyncio.timeout(40):
            await settled
        second.effects.hincrby("{jobs}:zsun", "1")
        with pytest.raises(EffectRefused, match="ACL"):
            async with asyncio.timeout(40):
                await second.ack()
        await second.nack()


async def test_a_rule_that_is_changed_back_between_a_refusal_and_our_question_refuses_no_effects(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Session.open(user.url) as session:
        queue = Queue(session, "jobs", int)
        await queue.put(1)
        delivery = await queue.get()
        delivery.effects.hincrby("{jobs}:sum", "1")
        await user.forbidden()
        asks = Calls._is_forbidden

        async def late(calls: Calls, key: bytes) -> bool:
            await user.is_let_in()
            return await asks(calls, key)

        monkeypatch.setattr(Calls, "_is_forbidden", late)
        async with asyncio.timeout(40):
            await delivery.ack()


async def test_what_was_never_accepted_is_refused_at_once(user: User) -> None:
    await user.may("resetkeys", "~{jobs}*")
    async with Session.open(user.url) as session, asyncio.timeout(40):
        await Queue(session, "jobs", int).put(1)
        with pytest.raises(ServerRefused, match="ACL"):
            await Queue(session, "other", int).put(1)
        with pytest.raises(ServerRefused, match="ACL"):
            async with Lock(session, "lock"):
                pass


@pytest.mark.parametrize("how", ["rotated", "forbidden"])
async def test_an_acknowledgement_that_fails_leaves_nothing_leased_for_ever(user: User, how: str) -> None:
    async with Session.open(user.url, ttl=60.0, refusal_grace=0) as session:
        queue = Queue(session, "jobs", int)
        await queue.put(1)
        delivery = await queue.get()
        await getattr(user, how)()
        with pytest.raises(ServerRefused):
            async with asyncio.timeout(40):
                await delivery.ack()
        await user.is_let_in()
        async with asyncio.timeout(40):
            await until(lambda: _leased(queue), lambda leased: leased == 0)
            async with await queue.get() as item:
                assert item == 1


async def test_however_many_calls_fail_the_server_is_asked_again_once_a_second(user: User) -> None:
    async with Session.open(user.url, ttl=60.0, refusal_grace=0) as session:
        queue = Queue(session, "jobs", int)
        await queue.put(1)
        delivery = await queue.get()
        await user.forbidden()
        with pytest.raises(ServerRefused):
            await delivery.ack()
        for _ in range(50):
            with pytest.raises(ServerRefused):
                await queue.get_nowait()
        before = await user.refusals()
        await asyncio.sleep(1.5)
        assert 1 <= await user.refusals() - before <= 3
        await user.is_let_in()
        async with asyncio.timeout(40):
            await until(lambda: _leased(queue), lambda leased: leased == 0)


async def _leased(queue: Queue[int]) -> int:
    try:
        return (await queue.statistics()).leased
    except ServerRefused:
        return -1


async def test_who_was_refused_leaves_nothing_in_the_process(user: User) -> None:
    await user.may("resetkeys", "~{jobs}*")
    async with Session.open(user.url) as session, asyncio.timeout(40):
        await refused(session)
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                await refused(session)
            # What was asked for is withdrawn in the background.
            await until(lambda: asyncio.sleep(0, inside.parts_of(session)), lambda left: left == 0)
        finally:
            gc.enable()


async def refused(session: Session) -> None:
    with pytest.raises(ServerRefused, match="ACL"):
        await Lock(session, "lock").acquire()
