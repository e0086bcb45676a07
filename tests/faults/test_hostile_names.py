"""Names that could leave their hash tag, their key or their line are refused at every door, or stored as a digest."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from shared.concurrency import (
    Barrier,
    Condition,
    EffectRefused,
    Event,
    Lock,
    Queue,
    Rate,
    RateLimit,
    ReadersWritersLease,
    Selection,
    Semaphore,
    Session,
    leader,
)
from shared.concurrency.queues.effects.own_keys import is_own_key
from shared.concurrency.queues.membership.keys import QUEUE_KEYS
from shared.concurrency.session.names import StoredName
from shared.environment import Environment, SettingsError
from tests.instruments.command_line import command, environment

NO_QUEUES: Final = (
    "a}b", "{a}", "}{", "a\nb", "a\n", "\n", "a\x00", "a b", " a", "a:b", "a*", "a?", "[a]", "a/b/c", "größe", "\u0430pple", "a\u202eb",
    "\ud800", "x" * 65, "", "a\\b", "a'b", 'a"b', "%s", "a\tb", "a\x7f", "\uff41", "\u0663",
)  # fmt: skip
"""No names of a queue or a group: they are stored as they are."""
NO_LOCKS: Final = ("", "a\nb", "a\x00", "\x1b[31m", "a\u202eb", "\ud800", "x" * 201, "a\tb", "\x7f", "\u2028", "\ufeff")
"""No names of a lock: people would not see what they are."""
DIGESTED: Final = (
    "a}b",
    "{a}",
    "}{",
    "a b",
    "a:b",
    "{jobs}:pending",
    "größe",
    "a*",
    "jobs}:x{",
    "x" * 200,
    "~" + "0" * 24,
)
"""Names of locks that could leave their hash tag, were they stored as they are."""

QUEUES: Final[dict[str, Callable[[Session, str], object]]] = {
    "queue": lambda session, name: Queue(session, name, int),
    "group": lambda session, name: Queue(session, "jobs", int, group=name),
}
LOCKS: Final[dict[str, Callable[[Session, str], Any]]] = {
    "Lock": Lock,
    "Semaphore": lambda session, name: Semaphore(session, name, 1),
    "ReadersWritersLease": ReadersWritersLease,
    "Event": Event,
    "Condition": Condition,
    "RateLimit": lambda session, name: RateLimit(session, name, Rate(1)),
    "Barrier": lambda session, name: Barrier(session, name, 2),
}


@pytest.mark.parametrize("door", QUEUES)
async def test_what_is_no_name_of_a_queue_is_refused(session: Session, door: str) -> None:
    for bad in NO_QUEUES:
        with pytest.raises(ValueError, match="a name is"):
            QUEUES[door](session, bad)


@pytest.mark.parametrize("door", LOCKS)
async def test_what_is_no_name_of_a_lock_is_refused(session: Session, door: str) -> None:
    for bad in NO_LOCKS:
        with pytest.raises(ValueError, match="a name is"):
            LOCKS[door](session, bad)


async def test_what_is_no_name_leads_nobody(session: Session) -> None:
    for bad in NO_LOCKS:
        with pytest.raises(ValueError, match="a name is"):
            async for _ in leader(session, bad):
                raise AssertionError("it leads")


async def test_every_key_of_a_lock_stays_in_its_hash_tag(session: Session, client: Redis) -> None:
    for name in DIGESTED:
        before = {key async for key in client.scan_iter(count=1000)}
        async with Lock(session, name):
            await Event(session, name).set()
            await Barrier(session, name, 2).abort()
        new = {key async for key in client.scan_iter(count=1000)} - before
        assert new
        assert all(key.startswith(f"{{{StoredName.of(name)}}}:".encode()) for key in new), new
        await client.delete(*new)


OWN_KEYS: Final = (
    *(f"{{jobs}}:{each.suffix}" for each in QUEUE_KEYS.values()), "{shop}/jobs:pending", "{jobs}:leased:abc.1.1", "{jobs}:lease",
    "{jobs}:lease:holders", "{jobs}:event", "{jobs}:condition:waiters", "{jobs}:barrier:passed", "{jobs}:rate", "{jobs}:rate:line", "{jobs}:source", "{jobs}:clock",
    "{}:pending", "{a\nb}:pending",
)  # fmt: skip


async def test_an_effect_writes_to_no_key_of_a_queue_or_a_lock(session: Session, name: str, client: Redis) -> None:
    queue = Queue(session, name, int, max_attempts=2)
    await queue.put(1)
    delivery = await queue.get()
    mine = f"{{{name}}}:of-the-application"
    for key in OWN_KEYS:
        delivery.effects.set(mine, "x")
        delivery.effects.delete(key)
        with pytest.raises(EffectRefused, match="own: write to another one"):
            await delivery.ack()
        await delivery.nack()
        await queue.letters.replay(Selection())
        delivery = await queue.get()
    assert not await client.exists(mine)
    await delivery.ack()


def test_a_key_that_is_like_one_is_the_application_s() -> None:
    for key in (
        b"{jobs}:counts",
        b"{jobs}:pending:mine",
        b"pending",
        b"{jobs}pending",
        b"jobs:pending",
        b"{jobs}:a\nb\x00",
    ):
        assert not is_own_key(key)
    for own in OWN_KEYS:
        assert is_own_key(own.encode())


@pytest.mark.parametrize("field", ["PIPELINE_QUEUE", "PIPELINE_QUEUES", "PIPELINE_RUN"])
def test_what_is_no_name_is_no_setting(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    for bad in (*NO_QUEUES, "a/b/c", "/a", "a/"):
        if "\x00" in bad or "\ud800" in bad or (field == "PIPELINE_QUEUES" and bad.strip() != bad):
            continue  # no variable holds that; a list is read without the spaces around its names
        monkeypatch.setenv(field, bad)
        with pytest.raises(SettingsError, match=field):
            Environment.load()


def test_what_is_no_name_is_no_argument(url: str) -> None:
    """One process for each door of the command line; what is wrong with a name is the same code as above."""
    variables = environment(REDIS_URL=url)
    for arguments in (
        ("peek", "a}b"),
        ("queue", "pause", "--queue", "{a}:x"),
        ("dead", "list", "--queue", "a\nb"),
        ("lease", "show", "a\x1b[31mb"),
        ("produce", "Errand", "{}", "--queue", "a b"),
    ):
        done = command(arguments, variables)
        assert done.returncode == 2, done
        assert "\x1b" not in done.stderr
        assert "Traceback" not in done.stderr


def test_the_field_of_a_number_is_no_name() -> None:
    for name in (7, None, b"jobs", ["jobs"]):
        with pytest.raises(ValueError, match="a name is"):
            StoredName.of(name)  # type: ignore[arg-type]
