"""A batch larger than its limit could never fill: the service says so when it starts."""

import pytest

from consumer.batches import Gather
from consumer.registry import handlers
from consumer.rules.errors import HandlerError
from consumer.rules.handler import Handler
from consumer.rules.limits import check_batches
from consumer.rules.rules import Rules
from shared.concurrency import Queue, Session
from shared.message import Message


class Charged(Message, limit="bank"):
    """All have the same limit."""


class Sent(Message, limit=lambda item: item.to):
    """Each has its own."""

    to: str


async def _handle(_: object) -> None:
    """Handle nothing."""


@pytest.mark.parametrize("at_once,is_refused", [(99, True), (100, False), (None, False)])
async def test_a_batch_is_no_larger_than_its_limit(
    session: Session, name: str, *, at_once: int | None, is_refused: bool
) -> None:
    queue = Queue(session, name, Message)
    await queue.limit("bank", at_once=at_once)
    handler = Handler(_handle, "loop", Rules(batch=Gather(most=100, within=1.0)))
    found: dict[type[Message], Handler] = {Charged: handler, Sent: handler}
    await check_batches(queue, {**handlers(), **found}, "another queue")
    if not is_refused:
        await check_batches(queue, found, name)
        return
    with pytest.raises(HandlerError, match=r"a batch of 100 never fills, for the limit bank lets 99 into hands"):
        await check_batches(queue, found, name)
    await check_batches(queue, {Charged: Handler(_handle, "loop", Rules())}, name)
