"""Who is told that a queue is shut down and finished."""

import asyncio

from shared.concurrency import QueueShutDown
from shared.concurrency.queues.takes.getters import Getter, Getters


async def test_who_came_after_the_call_that_found_the_end_asks_anew() -> None:
    getters = Getters()
    asked = Getter(may_wait=True)
    getters.add(asked)
    call = getters.waiting()
    later = Getter(may_wait=True)  # the queue may have been opened again, and somebody has put
    getters.add(later)
    getters.finish(call, QueueShutDown("the queue is shut down"))
    assert isinstance(asked.future.exception(), QueueShutDown)
    assert getters.waiting() == [later]
    returned: list[bytes] = []
    getters.hand_out([b"entry"], returned.append)
    assert await asyncio.wait_for(later.future, 1) == b"entry"
    assert returned == []
