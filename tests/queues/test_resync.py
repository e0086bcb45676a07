"""What a process holds and does not know of goes back: in its old order, and though the server refuses for now."""

from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments import inside
from tests.instruments.emptying import take
from tests.instruments.waiting import until

COUNT = 60


async def test_much_of_it_goes_back_in_order(session: Session, name: str) -> None:
    queue = Queue(session, name, str)
    # As long as that the server keeps what is held in a hash without an order.
    items = [f"{number:02} {'x' * 100}" for number in range(COUNT)]
    await queue.put_many(items)
    for _ in range(COUNT):
        await inside.take_unheard(queue)
    inside.resync_needed(queue)
    assert await take(queue, COUNT) == items


async def test_it_goes_back_though_the_call_that_says_so_is_refused_for_now(server: EmbeddedServer, name: str) -> None:
    async with Session.open(server.url) as session, Redis.from_url(server.url) as client:
        queue = Queue(session, name, int)
        await queue.put_many([1, 2])
        await inside.take_unheard(queue)

        async def refusals() -> int:
            errors = await client.info("errorstats")
            return int(errors.get("errorstat_NOREPLICAS", {"count": 0})["count"])

        await client.config_set("min-replicas-to-write", 1)
        inside.resync_needed(queue)
        await until(refusals, lambda count: count > 0)
        await client.config_set("min-replicas-to-write", 0)
        assert await take(queue, 2, seconds=5) == [1, 2]
