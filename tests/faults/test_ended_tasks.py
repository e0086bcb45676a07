"""A task that is ended on purpose may fail on the way: nobody wants to hear of it."""

import asyncio
import gc

import pytest

from shared.concurrency.session.tasks import end


@pytest.mark.parametrize("fails_at", ["its end", "its cancellation"])
async def test_what_a_task_that_is_ended_raises_is_no_news(fails_at: str) -> None:
    heard: list[object] = []
    begun = asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context["message"]))

    async def connect() -> None:
        begun.set()
        if fails_at == "its end":
            raise ConnectionError("the server closed the connection")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("the server closed the connection") from None

    task = asyncio.create_task(connect())
    await begun.wait()
    await end(task)
    del task
    gc.collect()
    assert heard == []
