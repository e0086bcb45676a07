"""An answer that cannot be read, for it was altered on its way: whoever waits gets an error, and nothing is kept."""

import asyncio
import contextlib

import pytest

from shared.concurrency import Queue, Session
from tests.instruments.proxy import Proxy
from tests.instruments.waiting import until


@pytest.mark.parametrize("spoilt", [b"*0\r\n", b":7\r\n", b"_\r\n", b"+OK\r\n", b"*2\r\n$2\r\nok\r\n:1\r\n"])
async def test_what_an_unreadable_answer_delivered_comes_again(
    through_proxy: Session, proxy: Proxy, name: str, spoilt: bytes
) -> None:
    queue = Queue(through_proxy, name, int)
    await queue.put(1)
    left = [spoilt]

    def alter(reply: bytes) -> bytes:
        is_of_take = proxy.commands[-1].name == "settle_and_take" and not reply.startswith(b">")
        return left.pop() if left and is_of_take else reply

    proxy.alter = alter
    with pytest.raises((TypeError, ValueError, IndexError)):
        await queue.get()
    assert not left
    # Within a second or two, on the same session: it is alive, and holds nothing that it does not know of.
    await until(queue.statistics, lambda now: (now.pending, now.leased, now.delayed) != (0, 1, 0))
    async with asyncio.timeout(10), await queue.get() as item:
        assert item == 1


@pytest.mark.parametrize(
    "spoilt", [b"*0\r\n", b":7\r\n", b"_\r\n", b"*7\r\n+ok\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n"]
)
async def test_a_put_whose_answer_is_unreadable_fails_and_the_next_one_works(
    through_proxy: Session, proxy: Proxy, name: str, spoilt: bytes
) -> None:
    queue = Queue(through_proxy, name, int)
    await queue.put(1)
    left = [spoilt]

    def alter(reply: bytes) -> bytes:
        return left.pop() if left and proxy.commands[-1].name == "put" else reply

    proxy.alter = alter
    async with asyncio.timeout(10):
        with pytest.raises((TypeError, ValueError, IndexError)):
            await queue.put(2)
        await queue.put(3)
    assert await queue.qsize() == 3


async def test_a_reply_that_is_missing_does_not_shift_those_behind_it_for_ever(
    through_proxy: Session, proxy: Proxy, name: str
) -> None:
    queue = Queue(through_proxy, name, int)
    await queue.put(1)
    left = [b""]

    def alter(reply: bytes) -> bytes:
        return left.pop() if left and not reply.startswith(b">") and proxy.commands[-1].of_session else reply

    async def ask() -> None:
        while True:  # so that the connection is never silent
            with contextlib.suppress(Exception):
                await queue.statistics()
            await asyncio.sleep(0)

    proxy.alter = alter
    asking = [asyncio.create_task(ask()) for _ in range(2)]
    try:
        # Whoever cannot read the answer to another call has the connection opened anew.
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(TypeError, ValueError, IndexError):
                    await queue.put(2)
                    assert (await queue.statistics()).put_total >= 2
                    break
    finally:
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
