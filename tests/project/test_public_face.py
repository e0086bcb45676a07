"""What users see of an object is what they need: rooms reach each other through objects that users never get."""

import asyncio

import pytest

from shared.concurrency import DeadLetters, Effects, Queue, ResultFuture, Session

FACES: dict[type, str] = {
    Session: "open",
    Queue: "put put_nowait put_many submit get get_nowait qsize statistics join shutdown reopen pause resume resize sessions "
    "drain letters dead_letters replay discard",
    Effects: "hincrby hset set incrby rpush sadd delete expire put",
    DeadLetters: "find replay discard",
    ResultFuture: " ".join(name for name in dir(asyncio.Future) if not name.startswith("_")),
}


@pytest.mark.parametrize("shown", FACES, ids=lambda shown: shown.__name__)
def test_users_see_what_they_need_and_nothing_else(shown: type) -> None:
    assert {name for name in dir(shown) if not name.startswith("_")} == set(FACES[shown].split())


async def test_a_queue_has_two_names_to_read(url: str, name: str) -> None:
    async with Session.open(url) as session:
        queue = Queue(session, name, int, group="jobs")
        assert {word for word in vars(queue) if not word.startswith("_")} == {"name", "full_name"}
