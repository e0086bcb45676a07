"""Orders: the messages that a fuzzed consumer knows, and a handler that ends in every way."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from consumer.outcomes import Reject, Retry
from consumer.rules.backoff import Backoff
from consumer.rules.rules import Rules
from shared.concurrency import Delivery

NASTY = ("", "\x00\n\r\x1b[2J", "\ud800", "x" * 5000, "\u202e", "%s {} \\", "</script>", "💥" * 300)
"""What handlers say of their errors."""


class Order(BaseModel):
    """A message; any of the registered classes may come back."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    number: int
    note: str = ""
    any: Any = None

    @classmethod
    def registered(cls) -> Mapping[str, type]:
        return {"Order": Order, "Refund": Refund}


class Refund(Order):
    """Another class of the registry."""

    reason: str = ""


async def handle(delivery: Delivery[Order]) -> object:
    """Return, fail, reject, ask for another try, or settle, as the number says."""
    text = NASTY[delivery.item.number // 10 % len(NASTY)]
    match delivery.item.number % 10:
        case 0 | 1 | 2 | 3:
            return None
        case 4:
            return {"done": delivery.id}
        case 5:
            raise ValueError(text)
        case 6:
            raise Reject(text or "no reason")
        case 7:
            raise Retry(0, text)
        case 8:
            await delivery.progress(0.5, text[:100])
            raise BaseException(text)  # noqa: TRY002  # a handler may raise anything
        case _:
            await delivery.nack()
            return None


AT_ONCE: Final = Backoff(first=0, longest=0)
RULES: Final[dict[type[Order], Rules]] = {Order: Rules(backoff=AT_ONCE), Refund: Rules(backoff=AT_ONCE)}
"""Nobody waits between two attempts: a fuzzer has no time."""
