"""What a process does that floods a queue with one share."""

from shared.concurrency import Queue, Session
from tests.instruments.processes import report


async def flood(url: str, name: str, share: str, count: int, ttl: float) -> None:
    """Put so many numbers of one share; says `begins`, and `end` when all are in."""
    async with Session.open(url, ttl=ttl) as session:
        queue = Queue(session, name, int)
        await queue.statistics()
        report("begins")
        await queue.put_many(range(count), share=share)
    report("end")
