"""A process is told how far its puts have got, and was not told that a shutdown took some of them out before."""

import asyncio

import pytest

from shared.concurrency import Queue, QueueShutDown, Session
from tests.instruments.emptying import take
from tests.instruments.proxy import Proxy
from tests.instruments.traffic import Fate
from tests.instruments.waiting import until

_ANNOUNCED = b"*2\r\n$16\r\n"
"""How the answer to `announce` begins."""


@pytest.mark.timeout(60)
async def test_a_put_that_a_shutdown_took_out_unheard_is_not_taken_for_admitted(
    proxy: Proxy, queue: Queue[int], name: str
) -> None:
    await queue.resize(1)
    await queue.put(0)
    together: list[bytes] = []

    def lose_shutdowns(reply: bytes) -> bytes:
        """And have what is told of the next put arrive with the answer before it, as it may."""
        if proxy.count("announce") == 2 and reply.startswith(_ANNOUNCED):
            together.append(reply)
            return b""
        if together and reply.startswith(b">"):
            reply = together.pop() + reply
        return reply.replace(b"shutdown ", b"unheard! ")

    async with Session.open(proxy.url) as session:
        near = Queue(session, name, int)
        proxy.alter = lose_shutdowns
        first = asyncio.create_task(near.put(1))
        await until(queue.statistics, lambda seen: seen.puts_waiting == 1)
        await queue.shutdown()
        await queue.reopen()
        # The answer to the next put, which says who has left the line, is lost as well.
        answer_lost = proxy.drop_nth(1, Fate.DROP_AFTER, lambda command: command.name == "put")
        async with proxy.holding("announce") as hold:
            second = asyncio.create_task(near.put(2))
            await answer_lost.wait()
            await hold.arrived.wait()
            assert await take(queue) == [0]
        async with asyncio.timeout(20):
            with pytest.raises(QueueShutDown, match="while this put waited"):
                await first
            await second
        assert not together
        assert await take(queue) == [2]
