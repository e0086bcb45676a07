"""A question to a sentinel that is ended leaves no connection open, however often it is cancelled meanwhile."""

import asyncio
import gc
import warnings

import pytest

from shared.concurrency.session.address.address import read_address


@pytest.mark.parametrize("turns", range(1, 8))
async def test_a_question_that_is_cancelled_again_and_again_is_closed(turns: int) -> None:
    asked = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as sentinel:
        port = sentinel.sockets[0].getsockname()[1]
        asking = asyncio.create_task(read_address(f"redis+sentinel://127.0.0.1:{port}/main").locate())
        await asked.wait()
        while not asking.done():
            asking.cancel()
            for _ in range(turns):  # of the loop: what closes has begun, or has not
                await asyncio.sleep(0)
        with warnings.catch_warnings(record=True) as left:
            warnings.simplefilter("always")
            del asking
            gc.collect()
    assert [str(each.message) for each in left] == []
