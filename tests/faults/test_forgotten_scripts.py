"""A server that does not know a script: it gets each once, whoever waits for it."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from shared.concurrency import Lock, Queue, ServerRefused, Session
from shared.concurrency.queues.membership.keys import queue_keys
from shared.concurrency.session.calls import Call
from shared.concurrency.session.scripts import load, of_both_sets
from shared.concurrency.session.server_errors import Postponed
from shared.concurrency.session.session import process_of
from shared.local.embedded import EmbeddedServer
from tests.instruments.proxy import Proxy

WIDE = 40


def loads(proxy: Proxy) -> list[bytes]:
    """The sources that were loaded through the proxy, sorted."""
    return sorted(command.words[2] for command in proxy.commands if command.words[:2] == (b"SCRIPT", b"LOAD"))


async def test_many_calls_that_wait_for_a_script_have_it_loaded_once(server: EmbeddedServer, tmp_path: Path) -> None:
    async with Proxy(server.url, tmp_path) as proxy, Session.open(proxy.url) as session:
        leases = await asyncio.gather(*(Lock(session, f"lock-{at}").acquire() for at in range(WIDE)))
        assert loads(proxy) == [load("acquire").source]
        asked = sum(command.name == "acquire" for command in proxy.commands)
        assert WIDE < asked <= 2 * WIDE
        assert len(leases) == WIDE
        proxy.commands.clear()
        await asyncio.gather(*(Lock(session, f"other-{at}").acquire_nowait() for at in range(WIDE)))
        assert [command.name for command in proxy.commands] == ["acquire"] * WIDE  # a warm call is one command


async def test_a_script_that_is_forgotten_again_is_loaded_again(server: EmbeddedServer, tmp_path: Path) -> None:
    async with (
        Proxy(server.url, tmp_path) as proxy,
        Redis.from_url(server.url) as client,
        Session.open(proxy.url) as session,
    ):
        queue = Queue(session, "jobs", int)
        for number in range(3):
            await client.script_flush()
            await queue.put(number)
        assert sum(loads(proxy).count(each.source) for each in of_both_sets("put")) == 3
        for number in range(3):
            async with await queue.get_nowait() as item:
                assert item == number


async def test_who_may_not_load_is_told_so(server: EmbeddedServer) -> None:
    async with Redis.from_url(server.url) as client:
        await client.execute_command("ACL", "SETUSER", "weir", "on", ">secret", "~*", "&*", "+@all", "-script")
        async with Session.open(server.url.replace("unix://", "unix://weir:secret@")) as session:
            with pytest.raises(ServerRefused, match=r"'script(\|load)?' command"):
                await Lock(session, "lock").acquire()
            for word in ("acquire", "release"):
                await client.script_load(load(word).source)
            async with Lock(session, "lock"):  # nothing is to be loaded now
                pass


async def test_a_server_that_forgets_it_at_once_is_waited_for(session: Session, name: str) -> None:
    """As several servers behind one address would: each has its own scripts."""
    never_there = replace(load("statistics"), sha=b"0" * 40)
    with pytest.raises(Postponed, match="forgotten as soon as it is loaded"):
        await process_of(session).calls.now(Call(never_there, queue_keys(name)))
