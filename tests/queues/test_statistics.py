"""What `statistics` counts."""

from redis.asyncio import Redis

from shared.concurrency import Queue
from tests.instruments.waiting import resolved


async def test_the_age_of_the_oldest_is_right_whatever_its_owner_is_called(client: Redis, queue: Queue[int]) -> None:
    """An owner may begin with a digit, as one in five does; the stamp ends where it begins."""
    await queue.statistics()
    seconds, _ = await client.time()
    for owner in ("abcdefghijkl", "234567234567"):
        key = f"{{{queue.name}}}:pending"
        await client.delete(key)
        await resolved(client.rpush(key, f"{(seconds - 60) * 1_000_000:016}{owner}{1:010}0000000000.0001"))
        assert 60 <= (await queue.statistics()).oldest_pending_seconds < 120, owner
