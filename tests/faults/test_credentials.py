"""credentials= is asked at every connect, by all connections; what it does wrong is waited out, or said at once."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis.asyncio
from redis.exceptions import AuthenticationError, RedisError

from shared.clock.arq_settings import redis_settings
from shared.concurrency import Queue, ServerRefused, ServerUnavailable, Session
from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.connections import blocking_connection
from shared.concurrency.session.address.credentials import AskedCredentials, NoCredentials, WrongCredentials
from shared.local.embedded import EmbeddedServer
from shared.password_file import PasswordFile
from shared.pool import counted_pool
from tests.instruments.waiting import until

RIGHTS = ("on", "~*", "&*", "+@all")


class Locked:
    """A server whose default user has a password, which changes; `password` is what the function of ours gives."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.url = server.url
        self.password = "first"
        self.asked_in = list[str]()
        self._wanted = "first"

    def __call__(self) -> str:
        self.asked_in.append(threading.current_thread().name)
        return self.password

    async def command(self, *words: str) -> object:
        async with redis.asyncio.Redis.from_url(self.url, password=self._wanted) as client:
            return await client.execute_command(*words)

    async def wants(self, password: str) -> None:
        """Another password from now on, and nobody stays connected."""
        await self.command("ACL", "SETUSER", "default", "resetpass", f">{password}")
        self._wanted = password
        await self.command("CLIENT", "KILL", "SKIPME", "yes")

    async def refusals(self) -> int:
        async with redis.asyncio.Redis.from_url(self.url, password=self._wanted) as client:
            return int((await client.info("stats"))["acl_access_denied_auth"])


@pytest.fixture
async def locked(server: EmbeddedServer) -> Locked:
    async with redis.asyncio.Redis.from_url(server.url) as client:
        await client.execute_command("ACL", "SETUSER", "default", "resetpass", ">first")
    return Locked(server)


async def test_a_password_that_changes_is_followed_by_every_connection(locked: Locked) -> None:
    pool = counted_pool(locked.url, 2, 20.0, credentials=locked, grace=60.0)
    data = redis.asyncio.Redis(connection_pool=pool)
    async with Session.open(locked.url, ttl=1.0, credentials=locked) as session, asyncio.timeout(60):
        queue = Queue(session, "jobs", int)
        for number in range(3):
            await queue.put(number)
            delivery = await queue.get()  # what is held is renewed
            assert await data.ping()
            await locked.wants(f"password {number}")
            before = await locked.refusals()
            putting, asking = asyncio.create_task(queue.put(number)), asyncio.create_task(_ping(data))
            await until(locked.refusals, lambda seen, before=before: seen > before + 5)  # type: ignore[misc]
            assert not putting.done()
            assert not asking.done()
            locked.password = f"password {number}"
            await putting
            assert await asking
            await delivery.ack()
            async with await queue.get() as item:
                assert item == number
        assert (await queue.statistics()).recovered_total == 0
    await pool.disconnect()
    assert set(locked.asked_in) == {"weir-credentials"}


async def _ping(client: "redis.asyncio.Redis") -> bool:
    while True:  # the connection that was killed is found dead by the first
        try:
            return bool(await client.ping())
        except redis.exceptions.ConnectionError:
            pass


async def test_a_pool_that_was_never_let_in_fails_at_once_and_one_that_was_after_the_grace(locked: Locked) -> None:
    for grace in (60.0, 0.2):
        pool = counted_pool(locked.url, 1, 20.0, credentials=locked, grace=grace)
        data = redis.asyncio.Redis(connection_pool=pool)
        if grace == 0.2:
            assert await data.ping()
            await locked.wants("second")
        else:
            locked.password = "wrong"
        with pytest.raises(RedisError, match=r"WRONGPASS|invalid username-password"):
            async with asyncio.timeout(30):
                await data.ping() if grace == 60.0 else await _ping_until_refused(data)
        locked.password = "first"
        await pool.disconnect()


async def _ping_until_refused(client: "redis.asyncio.Redis") -> None:
    while True:
        try:
            await client.ping()
        except AuthenticationError:
            raise
        except redis.exceptions.ConnectionError as error:
            if "invalid username-password" in str(error):
                raise


async def test_a_tuple_is_user_and_password_and_a_password_alone_is_the_users_of_the_address(locked: Locked) -> None:
    await locked.command("ACL", "SETUSER", "weir", *RIGHTS, ">a:b@/#%")
    named = locked.url.replace("unix://", "unix://weir@")
    for url, credentials in ((locked.url, lambda: ("weir", "a:b@/#%")), (named, lambda: "a:b@/#%")):
        async with Session.open(url, credentials=credentials):
            assert "user=weir" in str(await locked.command("CLIENT", "LIST"))
    settings = redis_settings(named, lambda: "a:b@/#%")
    assert (settings.username, settings.password) == ("weir", "a:b@/#%")
    assert "a:b" not in repr(settings)


@pytest.mark.parametrize("given", [None, "", b"secret", ("weir",), ("weir", ""), ("a", "b", "c"), 7])
async def test_what_is_no_password_is_refused_at_once_and_not_repeated(locked: Locked, given: object) -> None:
    with pytest.raises(ServerRefused, match="credentials= must give a password") as caught:
        async with asyncio.timeout(30), Session.open(locked.url, connect_timeout=3600, credentials=lambda: given):  # type: ignore[arg-type,return-value]
            pass
    assert "secret" not in str(caught.value)
    assert "weir" not in str(caught.value)


async def later() -> str:
    return "first"


def begins() -> object:
    return later()


async def test_an_async_function_and_two_passwords_are_refused_before_anything_is_connected(tmp_path: Path) -> None:
    for wrong in (later, "first"):
        with pytest.raises(TypeError, match="credentials= must be a function"):
            async with Session.open(f"unix://{tmp_path}/none", credentials=wrong):  # type: ignore[arg-type]
                pass
    with pytest.raises(ValueError, match="leave it out of the address"):
        read_address("redis://:secret@host", lambda: "secret")


async def test_a_function_that_gives_something_to_await_is_refused_at_once(locked: Locked) -> None:
    with pytest.raises(ServerRefused, match="its type: coroutine"):
        async with asyncio.timeout(30), Session.open(locked.url, credentials=begins):  # type: ignore[arg-type]
            pass


async def test_a_function_that_fails_is_asked_again_until_the_time_is_over(locked: Locked) -> None:
    tries = itertools.count()

    def fails_at_first() -> str:
        if next(tries) < 3:
            raise LookupError("nobody is at home")
        return "first"

    async with Session.open(locked.url, credentials=fails_at_first):
        pass
    tries = itertools.count(-1_000_000)
    with pytest.raises(ServerUnavailable, match=r"LookupError: nobody is at home.*what gives the password"):
        async with Session.open(locked.url, connect_timeout=0.3, credentials=fails_at_first):
            pass


class Door:
    """A function that waits until it is let go, and counts who waits."""

    def __init__(self) -> None:
        self.waiting = 0
        self.calls = 0
        self._open = threading.Event()

    def __call__(self) -> str:
        self.calls += 1
        self.waiting += 1
        self._open.wait(60)
        self.waiting -= 1
        return "first"

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.open()
    for thread in threading.enumerate():
        if thread.name == "weir-credentials":
            thread.join(30)


async def test_a_function_that_hangs_holds_up_neither_the_loop_nor_the_end_of_the_session(
    locked: Locked, door: Door
) -> None:
    began = time.monotonic()
    with pytest.raises(ServerUnavailable):
        async with Session.open(locked.url, ttl=1.0, connect_timeout=1.5, credentials=door):
            pass
    assert time.monotonic() - began < 20
    assert door.calls == 1  # every attempt waits for the one that is under way


async def test_an_answer_that_came_too_late_serves_the_next_connect(door: Door) -> None:
    asked = AskedCredentials(door)
    first = asyncio.create_task(asked.get_credentials_async())
    await until(lambda: asyncio.sleep(0, door.waiting), lambda waiting: waiting == 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    door.open()
    assert await asked.get_credentials_async() == ("first",)
    assert door.calls == 1
    assert await asyncio.to_thread(asked.get_credentials) == ("first",)
    assert door.calls == 2


def test_no_more_than_four_calls_hang(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.concurrency.session.address.credentials._PATIENCE", 0.02)
    asked = AskedCredentials(door)
    for _ in range(8):
        with pytest.raises(NoCredentials, match="has not answered"):
            asked.get_credentials()
    assert door.calls == 4


def test_a_thread_gets_the_same_errors_as_a_loop() -> None:
    with pytest.raises(WrongCredentials):
        AskedCredentials(lambda: "").get_credentials()
    connection = blocking_connection(read_address("redis://localhost:1", lambda: "x"))
    assert "x" not in repr(connection)
    with pytest.raises(NoCredentials, match="ZeroDivisionError"):
        AskedCredentials(lambda: str(1 / 0)).get_credentials()


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


BROKEN: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_text(""),
    "only a line break": lambda path: path.write_text("\r\n"),
    "no text": lambda path: path.write_bytes(b"\xff\xfe"),
    "a folder": folder_instead,
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_file_that_is_broken_for_a_moment_gives_what_it_gave_last(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "password"
    path.write_text("canary word\n")
    reading = PasswordFile(path)
    assert reading() == "canary word"
    BROKEN[how](path)
    assert reading() == "canary word"
    assert caplog.text.count("the last password is used") == 1
    fresh = tmp_path / "fresh"
    fresh.write_text(" second ")
    if path.is_dir():
        path.rmdir()
    fresh.rename(path)
    assert reading() == " second "
    assert "the password file is read again" in caplog.text
    assert "canary" not in caplog.text
    BROKEN[how](path)
    with pytest.raises(NoCredentials, match="password"):
        PasswordFile(path)()


async def test_a_file_is_read_at_every_connect_and_its_line_break_is_no_part_of_it(
    locked: Locked, tmp_path: Path
) -> None:
    path = tmp_path / "password"
    path.write_text("first\r\n")
    async with Session.open(locked.url, credentials=PasswordFile(path)) as session, asyncio.timeout(60):
        queue = Queue(session, "jobs", int)
        await queue.put(1)
        path.unlink()
        await locked.command("CLIENT", "KILL", "SKIPME", "yes")
        await queue.put(2)  # with what it gave last
        path.write_text("second\n")
        await locked.wants("second")
        await queue.put(3)
        assert await queue.qsize() == 3
