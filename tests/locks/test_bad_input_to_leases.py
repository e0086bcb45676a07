"""Bad input to the leases: a typed error that says what to do, and nothing is changed."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    Barrier,
    ConcurrencyError,
    Condition,
    Event,
    LeaseLost,
    Lock,
    Rate,
    RateLimit,
    ReadersWritersLease,
    Semaphore,
    Session,
)
from shared.concurrency.locks.leases.keys import CONDITION_KEYS, EVENT_KEYS, LEASE_KEYS
from tests.instruments import inside
from tests.instruments.distance import distant

MAKERS: Final[dict[str, Callable[..., Any]]] = {
    "lock": Lock,
    "semaphore": lambda session, name, **times: Semaphore(session, name, 2, **times),
    "readers-writers": ReadersWritersLease,
    "event": Event,
    "condition": Condition,
    "rate limit": lambda session, name, **times: RateLimit(session, name, Rate(1), **times),
    "barrier": lambda session, name, **times: Barrier(session, name, 2, **times),
}
TIMED: Final = ("lock", "semaphore", "readers-writers", "condition", "rate limit", "barrier")


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "a\x00", "a\u200bb", "\ud800", None, 7, b"a"])
async def test_what_is_no_name_is_refused(session: Session, maker: str, name: Any) -> None:
    with pytest.raises(ValueError, match="a name is 1 to 200 printable characters"):
        MAKERS[maker](session, name)


@pytest.mark.parametrize("maker", TIMED)
@pytest.mark.parametrize("ttl", [0, -1, 0.09, 3601, math.nan, math.inf, True, "5"])
async def test_a_time_to_live_out_of_range_is_refused(session: Session, name: str, maker: str, ttl: Any) -> None:
    with pytest.raises(ValueError, match="ttl is"):
        MAKERS[maker](session, name, ttl=ttl)


@pytest.mark.parametrize("max_hold", [0, -1, 0.01, math.nan, math.inf, True, "5"])
async def test_a_longest_time_out_of_range_is_refused(session: Session, name: str, max_hold: Any) -> None:
    for maker in ("lock", "semaphore", "readers-writers"):
        with pytest.raises(ValueError, match="max_hold is"):
            MAKERS[maker](session, name, max_hold=max_hold)


@pytest.mark.parametrize("limit", [0, -1, 10_000_001, True, 1.0, "3", None])
async def test_what_is_no_number_of_permits_is_refused(session: Session, name: str, limit: Any) -> None:
    with pytest.raises(ValueError, match="limit is a whole number"):
        Semaphore(session, name, limit)


@pytest.mark.parametrize("policy", ["", "Fair", "writer", None, 1])
async def test_what_is_no_policy_is_refused(session: Session, name: str, policy: Any) -> None:
    with pytest.raises(ValueError, match="policy is one of fair, readers, writers"):
        ReadersWritersLease(session, name, policy)


@pytest.mark.parametrize("n", [-1, True, 1.5, "1"])
async def test_what_is_no_number_of_waiters_is_refused(session: Session, name: str, n: Any) -> None:
    condition = Condition(session, name)
    async with condition:
        with pytest.raises(ValueError, match="n is a whole number"):
            await condition.notify(n)


async def test_a_second_release_is_refused_and_harms_nobody(session: Session, url: str, name: str) -> None:
    lease = await Lock(session, name).acquire()
    await lease.release()
    async with Session.open(url) as other, Lock(other, name) as later:
        with pytest.raises(LeaseLost, match="released before"):
            await lease.release()
        with pytest.raises(LeaseLost, match="released before"):
            lease.check()
        with pytest.raises(RuntimeError):
            await Lock(session, name).release()
        later.check()
        assert [holder.token for holder in (await Lock(other, name).statistics()).holders] == [later.token]


async def test_a_release_after_the_deadline_is_a_loss_and_harms_nobody(
    session: Session, other: Session, name: str
) -> None:
    lock = Lock(session, name, ttl=0.5, max_hold=0.1)  # renewed no more from then on
    lease = await lock.acquire()
    async with Lock(other, name) as later:  # granted at that deadline, not before
        for release in (lease.release, lease.release, lock.release):
            with pytest.raises(LeaseLost, match=f"token {lease.token}.* is lost"):
                await release()
        later.check()
        assert [holder.token for holder in (await Lock(other, name).statistics()).holders] == [later.token]


async def test_a_release_that_does_not_know_of_the_deadline_is_a_loss_and_harms_nobody(
    session: Session, other: Session, client: Redis, name: str
) -> None:
    lease = await Lock(session, name).acquire()
    await client.delete(f"{{{name}}}:lease:holders")  # as if it had passed there, and not here
    async with Lock(other, name) as later:
        assert lease.seconds_left > 0
        with pytest.raises(LeaseLost, match=f"token {lease.token}.* is lost"):
            await lease.release()
        later.check()
        assert [holder.token for holder in (await Lock(other, name).statistics()).holders] == [later.token]


async def test_a_reader_that_asks_to_write_is_told_at_once(session: Session, name: str) -> None:
    catalog = ReadersWritersLease(session, name)
    async with catalog.read():
        with pytest.raises(RuntimeError, match="there is no upgrade"):
            await catalog.write().acquire()
    assert not (await catalog.statistics()).waiters


@pytest.mark.parametrize("word", [word for word in LEASE_KEYS if word != "withdrawn"])
async def test_a_key_of_another_type_is_named(url: str, client: Redis, session: Session, name: str, word: str) -> None:
    key = f"{{{name}}}:{LEASE_KEYS[word].suffix}"
    await client.set(key, "somebody else's")
    async with Session.open(url) as other:
        assert inside.lease_participant_of(other, name).name == name
        with pytest.raises(ConcurrencyError, match=key.replace("{", r"\{").replace("}", r"\}")):
            async with ReadersWritersLease(session, name).read(), ReadersWritersLease(other, name).write():
                raise AssertionError("granted")
    assert await client.get(key) == b"somebody else's"


@pytest.mark.parametrize("key", [key.suffix for key in EVENT_KEYS.values()])
async def test_an_event_s_key_of_another_type_is_named(client: Redis, session: Session, name: str, key: str) -> None:
    await client.set(f"{{{name}}}:{key}", "somebody else's")
    with pytest.raises(ConcurrencyError, match=f"{key} holds a string"):
        await Event(session, name).set()


@pytest.mark.parametrize("key", [CONDITION_KEYS[word].suffix for word in ("waiters", "notified")])
async def test_a_condition_s_key_of_another_type_is_named(client: Redis, session: Session, name: str, key: str) -> None:
    await client.set(f"{{{name}}}:{key}", "somebody else's")
    condition = Condition(session, name)
    async with condition:
        with pytest.raises(ConcurrencyError, match=f"{key} holds a string"):
            await condition.wait()


async def test_a_closed_session_is_said_to_be_closed(url: str, name: str) -> None:
    async with Session.open(url) as session:
        lock, catalog, event, condition = (
            Lock(session, name),
            ReadersWritersLease(session, name),
            Event(session, name),
            Condition(session, name),
        )
        barrier = Barrier(session, name, 2)
    for call in (
        lock.acquire,
        lock.statistics,
        catalog.read().acquire,
        catalog.write().acquire,
        catalog.statistics,
        event.set,
        event.clear,
        event.is_set,
        event.wait,
        condition.acquire,
        barrier.wait,
        barrier.reset,
        barrier.abort,
        barrier.n_waiting,
        barrier.broken,
    ):
        with pytest.raises(ConcurrencyError, match="the session is closed"):
            await call()


async def test_an_event_is_not_to_be_tested_as_a_flag(session: Session, name: str) -> None:
    with pytest.raises(TypeError, match="is_set"):
        bool(Event(session, name))


async def test_a_short_time_to_live_is_warned_of_once(url: str, name: str, caplog: pytest.LogCaptureFixture) -> None:
    said = "a short time to live is lost under load"
    async with Session.open(url) as session:
        Lock(session, name, ttl=0.5)
        assert said not in caplog.text
        for ttl in (0.4, 0.3):
            Lock(session, name, ttl=ttl)
            ReadersWritersLease(session, name, ttl=ttl)
        assert caplog.text.count(said) == 1
        assert "ttl=0.4" in caplog.text
    async with Session.open(url, ttl=0.3) as session:
        assert caplog.text.count(said) == 2
        Lock(session, name)
        assert caplog.text.count(said) == 2


async def test_a_time_to_live_below_three_round_trips_is_warned_of_once(
    url: str, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = "a time to live below three round trips is lost when a single renewal is late"
    if not url.startswith("unix:"):
        pytest.skip("the link leads to a unix socket")
    async with distant(url, tmp_path, round_trip=0.2) as far:
        async with Session.open(far, ttl=60.0) as session:
            Lock(session, name)
            assert said not in caplog.text
            for _ in range(2):
                Lock(session, name, ttl=0.55)
            assert caplog.text.count(said) == 1
        async with Session.open(far, ttl=0.55, connect_timeout=60) as session:
            assert caplog.text.count(said) == 2
            Lock(session, name)
        lines: list[Any] = [record.msg for record in caplog.records]
        for line in (line for line in lines if getattr(line, "text", None) == said):
            assert line.fields["ttl"] == 0.55
            assert 0.2 <= line.fields["round_trip"] <= line.fields["better"] / 3
    assert caplog.text.count(said) == 2
