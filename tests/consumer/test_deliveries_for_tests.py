"""A handler is tested alone: `consumer.testing` builds a delivery that is in no queue."""

import pytest

from consumer.testing import batch_of, delivery_of, effects_of, failures_of
from tests.instruments.messages import Errand

MESSAGE = Errand(text="a b a")


def test_it_is_as_one_that_was_taken() -> None:
    delivery = delivery_of(MESSAGE, attempt=3)
    assert (delivery.item, delivery.attempt, delivery.failures, delivery.first_error) == (MESSAGE, 3, 0, None)
    assert delivery.id == "testing-----0000000001"


def test_what_is_collected_can_be_looked_at() -> None:
    delivery = delivery_of(MESSAGE)
    delivery.effects.hincrby("{jobs}:counts", "a", 2)
    delivery.effects.expire("{jobs}:counts", 60)
    assert effects_of(delivery) == [("hincrby", "{jobs}:counts", "a", 2), ("expire", "{jobs}:counts", 60)]


async def test_it_is_settled_by_returning() -> None:
    delivery = delivery_of(MESSAGE)
    with pytest.raises(RuntimeError, match="settles by returning"):
        await delivery.ack()


@pytest.mark.parametrize("attempt", [0, -1, 1_000_000])
def test_an_attempt_out_of_range_is_refused(attempt: int) -> None:
    with pytest.raises(ValueError, match="attempt"):
        delivery_of(MESSAGE, attempt=attempt)


def test_a_batch_is_as_one_that_was_taken() -> None:
    messages = [Errand(text="a"), Errand(text="b")]
    batch = batch_of(messages, attempt=2)
    assert batch.items == messages
    assert [delivery.attempt for delivery in batch] == [2, 2]
    assert len({delivery.id for delivery in batch}) == 2
    error = ValueError("b")
    batch.fail(batch[1], error)
    assert failures_of(batch) == [None, error]
    batch[0].effects.incrby("{jobs}:count", 1)
    assert effects_of(batch[0]) == [("incrby", "{jobs}:count", 1)]


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="one message at least"):
        batch_of([])
