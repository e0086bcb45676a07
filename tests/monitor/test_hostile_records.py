"""Records that another program overwrote: one queue or lock cannot be read, and all others are shown."""

from typing import Any

import pytest

from monitor.link import open_link
from monitor.watch import open_watch
from shared.concurrency import Lock, Queue, Session

SPOILT = [
    ("{name}:settings", "maxsize", b"junk"),
    ("{name}:totals", "put", b"\xff"),
    ("{name}:lease", "token", b"\x1b[31m"),
]


@pytest.mark.parametrize("spoilt", SPOILT)
async def test_one_that_cannot_be_read_hides_no_other(
    url: str, session: Session, name: str, client: Any, spoilt: tuple[str, str, bytes]
) -> None:
    for each in (name, f"{name}-other"):
        await Queue(session, each, int).put(1)
        async with Lock(session, each):
            pass
    key, field, value = spoilt
    await client.hset(key.replace("{name}", f"{{{name}}}"), field, value)
    async with open_link(url) as link, open_watch(link) as watch:
        snapshot = await watch.snapshot()
    snapshot.model_dump_json()
    assert f"{name}-other" in [each.name for each in snapshot.queues]
    assert f"{name}-other" in [each.name for each in snapshot.leases]
    assert name in [problem.name for problem in snapshot.problems]


async def test_a_session_whose_id_is_no_text_hides_no_queue(url: str, session: Session, name: str, client: Any) -> None:
    for each in (name, f"{name}-other"):
        await Queue(session, each, int).put(1)
    await client.zadd(f"{{{name}}}:sessions", {b"\xff\xfe": 9e15})
    async with open_link(url) as link, open_watch(link) as watch:
        snapshot = await watch.snapshot()
    assert f"{name}-other" in [each.name for each in snapshot.queues]
    assert name in [problem.name for problem in snapshot.problems]
