"""A process that may open nothing more goes on with what it has: it needs no file for a call that it never made."""

import resource

from shared.concurrency import Lock, Queue, Session
from tests.instruments.processes import report, running


async def call_what_is_new(url: str, name: str) -> None:
    """Connect, lose the right to open anything, and make calls of every kind for the first time."""
    async with Session.open(url) as session:
        queue = Queue(session, name, int)
        await queue.put(1)
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))
        async with await queue.get() as number:
            report("got", number)
        async with Lock(session, name):
            report("locked")
        await queue.pause()
        report("paused")
        await queue.shutdown()
        report("shut down")
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def test_calls_that_were_never_made_need_no_file(url: str, name: str) -> None:
    async with running(call_what_is_new, url, name) as process:
        for word in ("got", "locked", "paused", "shut down"):
            await process.said(word)
        assert await process.ended() == 0
