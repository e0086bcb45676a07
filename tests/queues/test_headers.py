"""The headers of an entry have room for 999 bytes: a name and an id that need more are refused before they are sent."""

from typing import Any

import pytest
from pydantic import BaseModel, create_model

from shared.concurrency import Queue, Session

ROOM = 999 - len('{"type":""}')
WITH_ID = ROOM - len(',"id":"","digest":"","known_ms":3600000') - 24


def named(length: int) -> type[BaseModel]:
    return create_model("M" * length, a=(int, ...))


@pytest.mark.parametrize(
    "length,id_",
    [(ROOM, None), (WITH_ID - 128, "x" * 128), (WITH_ID - 256, '"' * 128)],
    ids=["name", "id", "escaped id"],
)
async def test_as_much_as_there_is_room_for_comes_back(url: str, name: str, length: int, id_: str | None) -> None:
    async with Session.open(url) as session:
        message: Any = named(length)
        queue: Queue[Any] = Queue(session, name, message)
        await queue.put(message(a=1), id=id_)
        async with await queue.get() as item:
            assert item == message(a=1)


async def test_a_name_that_is_too_long_is_refused_at_construction(url: str, name: str) -> None:
    async with Session.open(url) as session:
        with pytest.raises(ValueError, match="have 1000 bytes as headers"):
            Queue(session, name, named(ROOM + 1))


async def test_a_registered_name_that_is_too_long_is_refused_at_put(url: str, name: str) -> None:
    class Family(BaseModel):
        @classmethod
        def registered(cls) -> dict[str, type[BaseModel]]:
            return {each.__name__: each for each in cls.__subclasses__()}

    made: Any = create_model("M" * (ROOM + 1), __base__=Family)
    async with Session.open(url) as session:
        queue: Queue[Any] = Queue(session, name, Family)
        for put in (queue.put, queue.put_nowait, queue.submit):
            with pytest.raises(ValueError, match="have 1000 bytes as headers"):
                await put(made())
        with pytest.raises(ValueError, match="have 1000 bytes as headers"):
            await queue.put_many([made()])
        assert await queue.qsize() == 0


@pytest.mark.parametrize("id_", ["x" * 128, '"' * 64])
async def test_an_id_for_which_the_name_leaves_no_room_is_refused(url: str, name: str, id_: str) -> None:
    message: Any = named(WITH_ID - 127)
    async with Session.open(url) as session:
        queue: Queue[Any] = Queue(session, name, message)
        for put in (queue.put, queue.put_nowait, queue.submit):
            with pytest.raises(ValueError, match="have 1000 bytes as headers"):
                await put(message(a=1), id=id_)
        assert (await queue.statistics()).put_total == 0
