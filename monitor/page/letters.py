"""Letters: one dead letter of a reason and a class, read for those who only watch."""

from typing import Final

from redis.exceptions import ResponseError

from monitor.link import Link
from shared.concurrency import DeadLetter, ServerRefused
from shared.concurrency.queues.dead_letters import read_letter
from shared.concurrency.queues.membership.keys import queue_keys
from shared.concurrency.session.calls import Call
from shared.concurrency.session.scripts import load

MOST_PAGES: Final = 50
"""Of 200 letters each: what is behind so many newer ones of other groups is not looked for."""


async def newest_letter(link: Link, queue: str, reason: str, class_name: str) -> DeadLetter | None:
    """Return the newest dead letter of a group; None where there is none among the 10,000 newest letters.

    :raises ServerUnavailable: when the server does not answer, ServerRefused when it refuses.
    """
    looked = 0
    for _ in range(MOST_PAGES):
        call = Call(load("newest_letter"), queue_keys(queue), (looked, reason, class_name))
        (answer,) = await link.scripts([call])
        if isinstance(answer, ResponseError):
            raise ServerRefused(f"the server does not let us read dead letters: {answer}") from answer
        looked, *found = answer
        if found:
            return read_letter(*found)
        if looked < 0:
            return None
    return None
