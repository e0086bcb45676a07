"""Message classes: registered by their name, strict, closed; and each has one handler."""

from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from consumer import registry
from consumer.registry import check_handlers, handlers, handles
from consumer.rules.errors import HandlerError
from shared.concurrency import Delivery, Queue, Session
from shared.message import Message
from shared.pipeline import Pipeline
from tests.instruments.messages import Errand


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


@pytest.mark.parametrize("fields", [{"width": "3"}, {"width": 3, "height": 4}, {}])
def test_messages_are_strict_and_closed(fresh_class: type[Message], fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        fresh_class(**fields)


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


async def test_a_class_that_this_process_does_not_know_is_a_dead_letter(
    url: str, name: str, fresh_class: type[Message]
) -> None:
    async with Session.open(url) as session:
        queue: Queue[Message] = Queue(session, name, Message)
        await queue.put(fresh_class.model_validate({"width": 3}))
        del Message._classes["Resize"]
        try:
            await queue.put(Errand(text="t"))
            reader: Queue[Message] = Queue(session, name, Message)  # as another process that has not got the class
            async with await reader.get() as item:
                assert isinstance(item, Errand)
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
