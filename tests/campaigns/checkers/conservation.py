"""Conservation at rest: what went in is what came out and what is still there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Balance:
    """What is counted of a queue: by its own counters, by its keys, and by those who put and handled."""

    put: int
    """By the queue's counter; messages put back from the dead count again."""
    acknowledged: int
    """By the queue's counter: deliveries that were settled for good."""
    died: int
    """By the queue's counter; cancelled messages among them."""
    inside: int
    """By the keys: pending, waiting, delayed, leased."""
    known: int
    """Puts that returned, by the producers; where the server forgot, those that returned since it last did."""
    attempted: int
    """Puts that were tried, by the producers."""
    handled: int
    """Different messages that were handled, by the consumers."""
    counted: int
    """Effects that messages brought along with their acknowledgements, one each, by the keys."""


def imbalances(balance: Balance) -> list[str]:
    """What does not add up at rest.

    A server that came back with older data has all of its figures from one moment of them, so they agree as ever.
    """
    found: list[str] = []
    if balance.put != balance.acknowledged + balance.died + balance.inside:
        found.append(
            f"{balance.put} went in, {balance.acknowledged} + {balance.died} came out, {balance.inside} are inside"
        )
    if not balance.known <= balance.put <= balance.attempted:
        found.append(f"{balance.put} were admitted, of {balance.known} known to be in and {balance.attempted} tried")
    if balance.handled < balance.acknowledged:
        found.append(f"{balance.acknowledged} were acknowledged, and {balance.handled} handled")
    if balance.counted != balance.acknowledged:
        found.append(f"{balance.acknowledged} were acknowledged, and {balance.counted} effects are there")
    return found
