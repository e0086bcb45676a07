"""Every way to lose something, each seen to the end: the loss is noticed, and everything else goes on.

Each is an async function of a server's address and a name of its own, so that it runs in a test and in a process of its
own; it raises AssertionError when the loss is not noticed.
"""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis

from shared.concurrency import Lease, LeaseLost, Lock, Queue, Session, StaleDelivery
from shared.concurrency.locks.leases.keys import lease_keys
from shared.concurrency.queues.membership.keys import queue_keys
from tests.instruments.inside import forget, member_of, participant_of, receipt_of, session_id_of
from tests.instruments.waiting import until

Loss = Callable[[str, str], Coroutine[Any, Any, None]]

TTL: Final = 0.6


@contextlib.contextmanager
def raises(kind: type[Exception]) -> Iterator[None]:
    """As pytest's, whose import takes longer than all else that a process of a test does."""
    try:
        yield
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


@contextlib.asynccontextmanager
async def _at(url: str) -> AsyncIterator[tuple[Session, Redis]]:
    async with Redis.from_url(url) as client, Session.open(url, ttl=TTL) as session:
        yield session, client


async def goes_on(session: Session, name: str) -> None:
    """A lease outlives several times to live, so the heartbeat beats; and the lanes of a queue work."""
    queue = Queue(session, name, int)
    async with asyncio.timeout(15), Lock(session, f"{name}-goes-on") as lease:
        for number in (1001, 1002):
            await queue.put(number)
        taken: set[int] = set()
        while not taken >= {1001, 1002}:  # what was lost may come again, too
            async with await queue.get() as item:
                taken.add(item)
        await asyncio.sleep(2 * TTL)  # what is tested is that time does no harm
        lease.check()


async def _lost(lease: Lease) -> None:
    async def left() -> float:
        return lease.seconds_left

    await until(left, lambda seconds: seconds <= 0)
    with raises(LeaseLost):
        lease.check()


async def session_past_its_deadline(url: str, name: str) -> None:
    """A queue's session is over: the body of its delivery ends, and the session goes on as a new one."""
    async with _at(url) as (session, client):
        queue = Queue(session, name, int)
        await queue.put(1)
        before = None
        with raises(StaleDelivery):
            async with asyncio.timeout(15), await queue.get():
                before = session_id_of(session, name)
                await client.zadd(queue_keys(name)["sessions"], {before: 1})
                await asyncio.Event().wait()
        assert session_id_of(session, name) != before
        await goes_on(session, name)


async def session_past_its_deadline_here(url: str, name: str) -> None:
    """The local clock finds that a session is over: no renewal was answered."""
    async with _at(url) as (session, _):
        queue = Queue(session, name, int)
        await queue.put(1)
        with raises(StaleDelivery):
            async with asyncio.timeout(15), await queue.get():
                member_of(session, name).life.deadline = 0.0
                await asyncio.Event().wait()
        await goes_on(session, name)


async def lease_past_its_deadline(url: str, name: str) -> None:
    """Its renewals are refused, for somebody spoilt its key: it is lost at its deadline, and another one is not."""
    async with _at(url) as (session, client):
        async with Lock(session, f"{name}-well") as well:
            lease = await Lock(session, name).acquire()
            await client.set(lease_keys(name)["record"], "somebody else's")
            await _lost(lease)
            well.check()
        await client.delete(*lease_keys(name).values())
        await goes_on(session, name)


async def lease_that_the_server_forgot(url: str, name: str) -> None:
    """A renewal finds no such hold: the body is cancelled."""
    async with _at(url) as (session, client):
        with raises(LeaseLost):
            async with asyncio.timeout(15), Lock(session, name):
                await client.delete(*lease_keys(name).values())
                await asyncio.Event().wait()
        await goes_on(session, name)


async def recovery(url: str, name: str) -> None:
    """A take recovers what a dead session held."""
    async with _at(url) as (session, client), Session.open(url) as dead:
        queue = Queue(session, name, int)
        await queue.put(1)
        held = await Queue(dead, name, int).get()
        await client.zadd(queue_keys(name)["sessions"], {session_id_of(dead, name): 1})
        async with asyncio.timeout(15):
            delivery = await queue.get()
            assert (delivery.item, delivery.attempt) == (1, 2)
            await delivery.ack()
            with raises(StaleDelivery):
                await held.ack()
        await goes_on(session, name)


async def stale_delivery(url: str, name: str) -> None:
    """The server refuses a settlement that nobody waits for."""
    async with _at(url) as (session, client):
        queue = Queue(session, name, int)
        await queue.put(1)
        delivery = await queue.get()
        await client.delete(member_of(session, name).keys["leased"])
        receipt = receipt_of(delivery)
        forget(queue, delivery)
        takes = participant_of(session, name).takes
        takes.settlements.add(receipt, "nack", 0, "too late")
        takes.kick()
        async with asyncio.timeout(15):
            await takes.flush()
        await goes_on(session, name)


LOSSES: Final[dict[str, tuple[Loss, str]]] = {
    "a session past its deadline": (session_past_its_deadline, "the session passed its deadline"),
    "a session past its deadline by the local clock": (
        session_past_its_deadline_here,
        "the session passed its deadline",
    ),
    "a lease past its deadline": (lease_past_its_deadline, "lease lost"),
    "a refused renewal": (lease_past_its_deadline, "a session or a lease could not be renewed"),
    "a lease that the server forgot": (lease_that_the_server_forgot, "lease lost"),
    "a recovery": (recovery, "recovered the deliveries"),
    "a stale delivery": (stale_delivery, "stale delivery"),
}
"""What is lost -> how, and what the log says of it."""


async def with_dead_pipes(url: str, name: str, path: str, what: str) -> None:
    """Lose this with stdout and stderr pipes that nobody reads; the file says `noticed`, or what was raised."""
    logging.basicConfig(level=logging.DEBUG, handlers=[_Unread(sys.stdout), _Unread(sys.stderr)])
    for descriptor in (1, 2):
        there, here = os.pipe()
        os.dup2(here, descriptor)
        os.close(here)
        os.close(there)
    try:
        await LOSSES[what][0](url, name)
    except BaseException as error:
        _say(path, repr(error))
        raise
    _say(path, f"noticed {_Unread.broken}")


def _say(path: str, text: str) -> None:
    Path(path).write_text(text, encoding="utf-8")


class _Unread(logging.StreamHandler[Any]):
    """Writes to a dead pipe, and raises what comes of it, as handlers of other people's may."""

    broken = 0

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  # logging's own name
        _Unread.broken += 1
        raise  # noqa: PLE0704  # logging calls it while it handles the error
