"""What locks, events and their kin may be called: 1 to 200 printable characters, stored as a digest where need be."""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any, Final

import pytest

from shared.concurrency import Condition, Event, Lock, ReadersWritersLease, Semaphore, Session
from shared.concurrency.session.names import StoredName
from tests.instruments import inside
from tests.instruments.waiting import until

NAMES: Final = (
    "user:123",
    "a/b",
    "two words",
    "{tag}:x",
    "gr\u00f6\u00dfe",
    "x" * 65,
    "y" * 200,
    "~" + 24 * "0",
    "*?[a]",
)


def digest(name: str) -> str:
    return f"~{hashlib.blake2b(name.encode(), digest_size=12).hexdigest()}"


def test_a_plain_name_is_stored_as_it_is() -> None:
    for name in ("a", "A.b_c-9", "x" * 64):
        stored = StoredName.of(name)
        assert (stored, stored.shown, stored.unlike) == (name, name, "")


@pytest.mark.parametrize("name", NAMES)
def test_any_other_name_is_stored_as_a_digest(name: str) -> None:
    stored = StoredName.of(name)
    assert (stored, stored.shown, stored.unlike) == (digest(name), name, name)


def test_the_digest_is_that_of_the_protocol() -> None:
    assert StoredName.of("user:123") == "~55c8c5572c2b0b416c70b080"


async def keys(client: Any, name: str) -> set[str]:
    return {key.decode() async for key in client.scan_iter(match=f"{{{digest(name)}}}*", count=1000)}


async def clean(client: Any, name: str) -> None:
    if there := await keys(client, name):
        await client.delete(*there)


@pytest.mark.parametrize("kind", ["lock", "semaphore", "read", "write", "condition"])
async def test_any_name_excludes_and_hands_over(
    session: Session, other: Session, client: Any, name: str, kind: str
) -> None:
    called = f"user:{name}/\u00fc"

    def made(of: Session) -> Any:
        makers: dict[str, Callable[[], Any]] = {
            "lock": lambda: Lock(of, called),
            "semaphore": lambda: Semaphore(of, called, 1),
            "read": lambda: ReadersWritersLease(of, called).read(),
            "write": lambda: ReadersWritersLease(of, called).write(),
            "condition": lambda: Condition(of, called),
        }
        return makers[kind]()

    blocker = ReadersWritersLease(session, called).write() if kind == "read" else made(session)
    lease = await blocker.acquire()
    assert lease.name == called
    async with client.pubsub() as listening:
        await listening.subscribe(f"weir:{inside.owner_of(other)}")
        waiting = asyncio.create_task(made(other).acquire())
        await until(ReadersWritersLease(session, called).statistics, lambda now: len(now.waiters) == 1)
        await lease.release()
        async with asyncio.timeout(5):
            later = await waiting
            heard = b""
            while not heard.startswith(b"granted "):
                message = await listening.get_message(ignore_subscribe_messages=True, timeout=1.0)
                heard = message["data"] if message else b""
    assert heard.startswith(f"granted {digest(called)} ".encode())
    assert later.name == called
    await later.release()
    assert await keys(client, called) == {f"{{{digest(called)}}}:lease"}
    assert await client.hget(f"{{{digest(called)}}}:lease", "name") == called.encode()
    await clean(client, called)


async def test_any_name_wakes_who_waits_for_an_event(session: Session, other: Session, client: Any, name: str) -> None:
    called = f"{name}: done?"
    waiting = asyncio.create_task(Event(other, called).wait())
    watchers = f"{{{digest(called)}}}:event:watchers"
    await until(lambda: client.zcard(watchers), lambda count: count == 1)
    await Event(session, called).set()
    assert await waiting
    assert await client.hget(f"{{{digest(called)}}}:event", "name") == called.encode()
    await clean(client, called)


async def test_any_name_notifies_who_waits_for_a_condition(
    session: Session, other: Session, client: Any, name: str
) -> None:
    called = f"{name}/condition"
    condition, elsewhere = Condition(session, called), Condition(other, called)

    async def wait() -> None:
        async with elsewhere:
            await elsewhere.wait()

    waiting = asyncio.create_task(wait())
    await until(lambda: client.zcard(f"{{{digest(called)}}}:condition:waiters"), lambda count: count == 1)
    async with condition:
        await condition.notify()
    async with asyncio.timeout(5):
        await waiting
    await clean(client, called)


async def test_the_name_is_stored_again_where_the_server_forgot_it(session: Session, client: Any, name: str) -> None:
    called = f"{name}: forgotten"
    record = f"{{{digest(called)}}}:lease"
    lock = Lock(session, called)
    for _ in range(2):
        async with lock:
            assert await client.hget(record, "name") == called.encode()
        await client.hdel(record, "name")
    await clean(client, called)


async def test_a_plain_name_stores_no_second_one(session: Session, client: Any, name: str) -> None:
    async with Lock(session, name):
        assert await client.hget(f"{{{name}}}:lease", "name") is None
