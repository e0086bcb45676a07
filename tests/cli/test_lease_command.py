"""`pipeline lease` as its user meets it: who holds what, and how it is taken away."""

import asyncio
import json
import os
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from shared.concurrency import Lease, LeaseLost, Lock, ReadersWritersLease, Semaphore, Session
from shared.concurrency.locks.leases.keys import lease_keys
from shared.concurrency.session.names import StoredName
from tests.cli.test_dead_command import pipeline
from tests.instruments import inside, lease_processes
from tests.instruments.command_line import environment
from tests.instruments.lease_waiters import waiters
from tests.instruments.prepared import ROOT
from tests.instruments.processes import running
from tests.instruments.terminal import on_a_terminal

Run = Callable[..., Coroutine[Any, Any, "subprocess.CompletedProcess[str]"]]

pytestmark = pytest.mark.usefixtures("command_line")


@pytest.fixture
def lease(url: str) -> Run:
    """`pipeline lease`, while the loop of the test goes on."""

    async def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        done = await asyncio.to_thread(lambda: pipeline("lease", *arguments, REDIS_URL=url))
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
async def held(session: Session, name: str) -> AsyncIterator[Lease]:
    """A lock that a task called `the report` holds."""
    lease = await asyncio.create_task(Lock(session, name).acquire(), name="the report")
    yield lease
    if lease.seconds_left:
        await lease.release()


def seen(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


async def test_list_shows_what_is_in_use_and_only_that(  # noqa: PLR0917
    lease: Run, held: Lease, session: Session, other: Session, client: Any, name: str
) -> None:
    called = f"user:{name}"
    async with Semaphore(other, called, 3), Lock(session, f"{name}-rest"):
        pass
    waiting = asyncio.create_task(Lock(other, name).acquire())
    await waiters(Lock(session, name), 1)
    permits = Semaphore(other, called, 3)
    async with permits, ReadersWritersLease(session, f"{name}-rw", "writers").read():
        done = await lease("list")
        lines = [line for line in done.stdout.splitlines() if name in line]
        there = f"{os.getpid()}  {socket.gethostname()}"
        shown = [re.sub(r"  \d{4}-\d\d-\d\d [\d:]{8}$", "", line) for line in lines]
        assert shown == [
            f"{name}  lock  1  1  {there}", f"{name}-rw  writers  1  0  {there}", f"{called}  semaphore  1  0  {there}",
        ]  # fmt: skip
        assert lines != shown
        objects = [json.loads(line) for line in (await lease("list", "--json")).stdout.splitlines()]
        assert [each["limit"] for each in objects if each["lease"] == called] == [3]
        await client.set(f"{{{name}-spoilt}}:lease:holders", "not ours")
        done = await lease("list")
        assert done.returncode == 1
        assert f"{name}-spoilt" in done.stderr
    await held.release()
    await (await waiting).release()
    await client.delete(*lease_keys(StoredName.of(called)).values())


async def test_show_says_who_holds_it_and_who_waits(lease: Run, held: Lease, other: Session, name: str) -> None:
    waiting = asyncio.create_task(Lock(other, name).acquire())
    await waiters(Lock(other, name), 1)
    text = (await lease("show", name)).stdout
    assert f"lease: {name}\nkind: lock\n" in text
    assert re.search(
        rf"^{held.token}  permit  {os.getpid()}  {socket.gethostname()}  the report  \d", text, re.MULTILINE
    )
    assert f"waits: {inside.owner_of(other)} (permit)\n" in text
    found = seen(await lease("show", name, "--json"))
    (holder,) = found["holders"]
    assert (holder["token"], holder["pid"], holder["task"]) == (held.token, os.getpid(), "the report")
    assert [waiter["owner"] for waiter in found["waiters"]] == [inside.owner_of(other)]
    await held.release()
    await (await waiting).release()
    done = await lease("show", name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"pipeline: nobody holds the lease {name}, and nobody waits for it\n"


@pytest.mark.slow
async def test_break_asks_back_and_changes_nothing_unless_it_is_confirmed(
    lease: Run, held: Lease, url: str, name: str
) -> None:
    done = await lease("break", name)  # nobody is there to answer
    assert done.returncode == 1
    assert f"Take {name} away from 1 holder?" in done.stdout
    assert (await lease("break", name, "--json")).returncode == 2
    for answer in (b"n\n", b"\n", b"\x04"):
        code, shown = await at_a_terminal(url, answer, name)
        assert code == 1
        assert b"the report" in shown
    held.check()
    code, shown = await at_a_terminal(url, b"y\n", name)
    assert (code, b"was taken away from 1 holder" in shown) == (0, True)
    assert await held.lost
    assert held.seconds_left == 0


async def at_a_terminal(url: str, answer: bytes, name: str) -> tuple[int, bytes]:
    words = ["-m", "cli", "lease", "break", name]
    variables = {**environment(REDIS_URL=url, COLUMNS="200"), "PYTHONPATH": str(ROOT)}
    return await asyncio.to_thread(on_a_terminal, words, variables, answer)


async def test_break_takes_it_away_at_once_and_gives_it_to_the_next(
    lease: Run, url: str, session: Session, name: str
) -> None:
    lock = Lock(session, name)
    async with running(lease_processes.robbed, url, name, 300.0) as process:  # it would notice after 100 s
        token = await process.said("holds")
        waiting = asyncio.create_task(lock.acquire())
        await waiters(lock, 1)
        found = seen(await lease("break", name, "--yes", "--json"))
        assert [(one["pid"], one["token"]) for one in found["broken"]] == [(process.pid, token)]
        await process.said("lost")
        later = await waiting
        assert later.token > token
        later.check()
        await later.release()


async def test_one_of_several_holders_is_robbed_by_its_token(
    lease: Run, session: Session, other: Session, name: str
) -> None:
    first, second = await Semaphore(session, name, 2).acquire(), await Semaphore(other, name, 2).acquire()
    done = await lease("break", name, "--token", str(first.token), "--token", "7", "--yes")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"pipeline: nobody holds the lease {name} with the token 7\n"
    done = await lease("break", name, "--token", str(first.token), "--yes")
    assert done.stdout.endswith(f"{name} was taken away from 1 holder\n")
    assert await first.lost
    second.check()
    await second.release()
    done = await lease("break", name, "--yes")
    assert (done.returncode, done.stderr) == (1, f"pipeline: nobody holds the lease {name}\n")


async def test_a_reader_and_a_writer_are_robbed_too(lease: Run, session: Session, name: str) -> None:
    catalog = ReadersWritersLease(session, name)
    for claim in (catalog.read, catalog.write):
        with pytest.raises(LeaseLost):
            async with claim():
                breaking = asyncio.create_task(lease("break", name, "--yes"))
                await asyncio.Event().wait()
        assert (await breaking).returncode == 0


async def test_what_is_not_there_any_more_is_not_broken(session: Session, other: Session, name: str) -> None:
    there = inside.lease_participant_of(other, name)
    async with Lock(session, name):
        (before,) = (await there.statistics()).holders
    async with Lock(session, name) as later:
        assert await there.end([before.hold]) == []
        later.check()
        assert [one.token for one in (await there.statistics()).holders] == [later.token]


@pytest.mark.parametrize(
    "arguments", [["show"], ["break"], ["show", "x\ny"], ["break", "x" * 201], ["list", "x"], ["take"]]
)
async def test_a_mistake_is_2(lease: Run, arguments: list[str]) -> None:
    done = await lease(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


async def test_looking_leaves_nothing_behind(lease: Run, client: Any, name: str) -> None:
    for words in (("show", name), ("break", name, "--yes")):
        assert (await lease(*words)).returncode == 1
    assert [key async for key in client.scan_iter(match=f"*{name}*", count=1000)] == []
