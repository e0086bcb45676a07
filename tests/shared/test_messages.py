"""Message classes: registered by their name, closed, strictly read; and each has one handler."""

import asyncio
import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from uuid import UUID

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from redis.asyncio import Redis

from consumer import registry
from consumer.registry import check_handlers, handlers, handles
from consumer.rules.errors import HandlerError
from shared.concurrency import Delivery, Queue, QueueShutDown, Session
from shared.message import Message
from shared.pipeline import Pipeline
from tests.instruments.messages import Errand
from tests.instruments.waiting import until


@pytest.fixture
def fresh_class() -> Iterator[type[Message]]:
    class Resize(Message):
        width: int

    yield Resize
    del Message._classes["Resize"]


def test_a_subclass_is_registered_by_its_name(fresh_class: type[Message]) -> None:
    assert Message.registered()["Resize"] is fresh_class
    assert Message.registered()["Errand"] is Errand


def test_a_second_class_of_a_name_is_refused(fresh_class: type[Message]) -> None:
    with pytest.raises(TypeError, match="two message classes are called Resize"):
        type("Resize", (Message,), {"__module__": "elsewhere"})
    assert Message.registered()["Resize"] is fresh_class


@pytest.mark.parametrize("fields", [{"width": "three"}, {"width": 3.5}, {"width": 3, "height": 4}, {}])
def test_messages_are_closed(fresh_class: type[Message], fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        fresh_class(**fields)


class Kind(Enum):
    A = "a"


class Nested(BaseModel):
    when: datetime
    many: frozenset[int]


BODY = (
    b'{"when":"2026-01-01T00:00:00Z","day":"2026-01-01","took":"PT1S","who":"0b1e0c9e-5a39-4b52-9a38-3c1a5c0a6e31",'
    b'"kind":"a","pair":[1,2],"amount":"1.50","ratio":1,"raw":"x","nested":{"when":"2026-01-01T00:00:00Z","many":[1]}}'
)


@pytest.fixture
def posted_class() -> Iterator[type[Message]]:
    class Posted(Message):
        when: datetime
        day: date
        took: timedelta
        who: UUID
        kind: Kind
        pair: tuple[int, int]
        amount: Decimal
        ratio: float
        raw: bytes
        nested: Nested

    yield Posted
    del Message._classes["Posted"]


async def test_a_class_is_the_body_of_a_request_that_was_parsed_as_json_before(
    url: str, name: str, posted_class: type[Message]
) -> None:
    # As FastAPI does: it parses the body, and validates the objects.
    made = TypeAdapter(posted_class).validate_python(json.loads(BODY), from_attributes=True)
    assert made == posted_class.model_validate_json(BODY)
    async with Session.open(url) as session:
        queue: Queue[Message] = Queue(session, name, Message)
        await queue.put(made)
        async with await queue.get() as item:
            assert item == made
            assert type(item) is posted_class


@pytest.mark.parametrize(
    "body",
    [
        BODY.replace(b"[1,2]", b'["1",2]'),
        BODY.replace(b'"ratio":1', b'"ratio":"1"'),
        BODY.replace(b'"kind":"a"', b'"kind":"b"'),
        BODY.replace(b'"many":[1]', b'"many":["1"]'),
        BODY.replace(b'"raw"', b'"row"'),
    ],
)
async def test_what_is_stored_is_read_strictly(
    url: str, name: str, client: Redis, posted_class: type[Message], body: bytes
) -> None:
    async with Session.open(url) as session:
        queue: Queue[Message] = Queue(session, name, Message)
        await queue.put(posted_class.model_validate_json(BODY))
        key = f"{{{name}}}:pending"
        (entry,) = await client.execute_command("LRANGE", key, 0, -1)  # type: ignore[no-untyped-call]
        stored = posted_class.model_validate_json(BODY).model_dump_json().encode()
        # As another program writes it.
        await client.execute_command("LSET", key, 0, entry[: -len(stored)] + body)  # type: ignore[no-untyped-call]
        await queue.shutdown()
        with pytest.raises(QueueShutDown):
            await queue.get()
        (letter,) = await queue.dead_letters()
        assert (letter.reason, letter.body) == ("invalid", body)


def test_python_converts_what_is_unmistakable(fresh_class: type[Message]) -> None:
    assert fresh_class.model_validate({"width": "3"}) == fresh_class.model_validate({"width": 3})


def test_messages_are_frozen() -> None:
    message = Errand(text="t")
    with pytest.raises(ValidationError):
        message.text = "other"  # type: ignore[misc]


async def test_any_registered_class_travels_in_one_queue_and_comes_back_as_itself(
    url: str, name: str, fresh_class: type[Message]
) -> None:
    async with Session.open(url) as session:
        queue: Queue[Message] = Queue(session, name, Message)
        sent = [Errand(text="t"), fresh_class.model_validate({"width": 3})]
        await queue.put_many(sent)
        for message in sent:
            async with await queue.get() as item:
                assert item == message
                assert type(item) is type(message)


async def test_a_class_that_nobody_knows_for_so_long_is_a_dead_letter(
    url: str, name: str, fresh_class: type[Message]
) -> None:
    async with Session.open(url) as session:
        queue: Queue[Message] = Queue(session, name, Message)
        await queue.put(fresh_class.model_validate({"width": 3}))
        del Message._classes["Resize"]
        try:
            await queue.put(Errand(text="t"))
            # As another process that has not got the class.
            reader: Queue[Message] = Queue(session, name, Message, unread_for=0.001)
            async with await reader.get() as item:
                assert isinstance(item, Errand)
            waiting = asyncio.create_task(reader.get())
            await until(queue.statistics, lambda seen: seen.dead == 1)
            waiting.cancel()
        finally:
            Message._classes["Resize"] = fresh_class
        (letter,) = await queue.dead_letters()
        assert (letter.reason, letter.type, letter.body) == ("unknown_type", "Resize", b'{"width":3}')


def test_a_class_without_a_handler_is_named(fresh_class: type[Message]) -> None:
    with pytest.raises(HandlerError, match=r"no handler for .*Resize.*: write `@handles"):
        check_handlers()
    assert fresh_class.__name__ == "Resize"


def test_a_class_has_one_handler(fresh_class: type[Message]) -> None:
    async def one(delivery: Delivery[Message], pipeline: Pipeline) -> None: ...

    async def another(delivery: Delivery[Message], pipeline: Pipeline) -> None: ...

    handles(fresh_class)(one)
    try:
        assert handlers()[fresh_class].function is one
        with pytest.raises(HandlerError, match="two handlers"):
            handles(fresh_class)(another)
    finally:
        registry._handlers.pop(fresh_class)
