"""A shop in three stages: an order is priced, booked and shipped. Each stage takes from a queue and puts into the next.

What a stage writes travels with its acknowledgement, and so do the messages that it forwards. So both happen once for
each message, though any process is killed at any moment, and a full queue holds back the stages before it.
"""

from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict

from consumer.worker.worker import Worker
from shared.concurrency import Delivery, Queue, Session

PRICES: Final = {"tea": 3, "coffee": 5, "bread": 2}
STAGES: Final = ("price", "book", "ship")
TTL: Final = 2.0


class Order(BaseModel):
    """An order of a customer."""

    model_config = ConfigDict(strict=True, frozen=True)

    number: int
    article: str
    count: int


class Priced(BaseModel):
    """An order with its price."""

    model_config = ConfigDict(strict=True, frozen=True)

    number: int
    article: str
    count: int
    total: int


@dataclass(frozen=True)
class Shop:
    """The queues, which share a group, and the key of what is counted."""

    orders: Queue[Order]
    priced: Queue[Priced]
    booked: Queue[Priced]
    counts: str

    @classmethod
    def of(cls, session: Session, name: str) -> "Shop":
        """Return the shop of this name. The queues between the stages are small: each stage waits for the next."""
        return cls(
            orders=Queue(session, "orders", Order, group=name, maxsize=1000),
            priced=Queue(session, "priced", Priced, group=name, maxsize=200),
            booked=Queue(session, "booked", Priced, group=name, maxsize=200),
            counts=f"{{{name}}}:counts",
        )

    async def price(self, delivery: Delivery[Order]) -> None:
        """Price an order: the first stage."""
        order = delivery.item
        total = order.count * PRICES[order.article]
        delivery.effects.hincrby(self.counts, f"ordered:{order.article}", order.count)
        delivery.effects.put(self.priced, Priced(**order.model_dump(), total=total))

    async def book(self, delivery: Delivery[Priced]) -> None:
        """Book a priced order: the second stage."""
        delivery.effects.hincrby(self.counts, "booked", delivery.item.total)
        delivery.effects.put(self.booked, delivery.item)

    async def ship(self, delivery: Delivery[Priced]) -> None:
        """Ship a booked order: the last stage."""
        delivery.effects.hincrby(self.counts, f"shipped:{delivery.item.article}", delivery.item.count)
        delivery.effects.hincrby(self.counts, "shipped")

    def worker(self, stage: str) -> "Worker[Order] | Worker[Priced]":
        """Return the worker of a stage."""
        if stage == "price":
            return Worker(self.orders, self.price, concurrency=20)
        if stage == "book":
            return Worker(self.priced, self.book, concurrency=20)
        return Worker(self.booked, self.ship, concurrency=20)


def order(number: int) -> Order:
    """Return the order with this number."""
    return Order(number=number, article=list(PRICES)[number % len(PRICES)], count=1 + number % 7)


def expected(count: int) -> dict[str, int]:
    """Return the counts of `count` orders, computed in one process."""
    counts: dict[str, int] = {"booked": 0, "shipped": 0}
    for one in map(order, range(count)):
        for word, amount in (("ordered", one.count), ("shipped", one.count)):
            counts[f"{word}:{one.article}"] = counts.get(f"{word}:{one.article}", 0) + amount
        counts["booked"] += one.count * PRICES[one.article]
        counts["shipped"] += 1
    return counts
