"""The sample of a group of dead letters: its newest one, read by those who may only read."""

import pytest

from monitor.link import open_link
from monitor.page.letters import newest_letter
from shared.concurrency import Queue, ServerUnavailable, Session
from shared.local.embedded import EmbeddedServer


async def bury(queue: Queue[str], *letters: tuple[str, str]) -> None:
    for body, reason in letters:
        await queue.put(body)
        await (await queue.get()).dead_letter(reason)


async def test_it_is_the_newest_of_its_reason_however_many_are_newer(url: str, session: Session, name: str) -> None:
    queue = Queue(session, name, str)
    await bury(queue, ("old", "rare"), ("new", "rare"))
    await queue.put_many(["x"] * 450)
    for _ in range(450):
        await (await queue.get()).dead_letter("common")
    async with open_link(url) as link:
        found = await newest_letter(link, name, "rare", "")
        assert found is not None
        assert (found.body, found.reason, found.attempt) == (b'"new"', "rare", 1)
        assert await newest_letter(link, name, "rare", "Other") is None
        assert await newest_letter(link, name, "unknown", "") is None
        assert await newest_letter(link, f"{name}-nowhere", "rare", "") is None


async def test_a_long_reason_is_found_by_what_its_group_is_called(url: str, session: Session, name: str) -> None:
    queue = Queue(session, name, str)
    await bury(queue, ("x", "r" * 300))
    async with open_link(url) as link:
        found = await newest_letter(link, name, "r" * 100, "")
    assert found is not None
    assert found.reason == "r" * 300


async def test_a_user_that_may_only_read_may_read_it(server: EmbeddedServer) -> None:
    async with Session.open(server.url) as session:
        await bury(Queue(session, "jobs", str), ("x", "failed"))
        path = server.url.partition("?")[0].removeprefix("unix://")
        async with open_link(server.url) as link:
            rights = "~* +@connection +@read -@dangerous +info +time +evalsha_ro +script|load"
            await link.commands([("ACL", "SETUSER", "reader", "on", ">secret", *rights.split())])
        async with open_link(f"unix://reader:secret@{path}?db=0") as link:
            found = await newest_letter(link, "jobs", "failed", "")
        assert found is not None
    server.kill()
    async with open_link(server.url) as link:
        with pytest.raises(ServerUnavailable):
            await newest_letter(link, "jobs", "failed", "")
