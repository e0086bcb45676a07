"""The workload of keys: as that of queues, and each message has one of a few keys; a key has a share and a priority.

Whoever is handed a message knows that those of its key whose puts had returned before its own began are done with.
"""

from collections import defaultdict
from typing import Any

from shared import Priority
from tests.simulation.queues import Queues
from tests.simulation.world import World

_KEYS = 4
_OF_ORDER = ("tails", "behind", "passed", "released", "line_own", "tags", "ready", "flow", "line_fair")
_SHARES: tuple[str | None, ...] = (None, "a", "b")


class Keys(Queues):
    """Producers and consumers of one bounded queue, as in Queues."""

    name = "keys"

    def __init__(self, world: World, ttl: float) -> None:
        """Start the processes."""
        self._keys_of: dict[int, str] = {}
        self._before: dict[int, list[int]] = {}
        """Number -> those of its key that were in the queue when it was put."""
        self._ended: set[int] = set()
        self._numbers_of: defaultdict[str, list[int]] = defaultdict(list)
        super().__init__(world, ttl)

    def _asks(self, number: int) -> dict[str, Any]:
        place = _KEYS if number % 2 else self.world.rng.randrange(_KEYS)
        key = self._keys_of[number] = "hot" if place == _KEYS else f"k{place}"
        self._before[number] = [other for other in self._numbers_of[key] if other in self._put]
        self._numbers_of[key].append(number)
        # One way for all of a key: others may pass each other in the line.
        return {"key": key, "share": _SHARES[place % 3], "priority": Priority(place // 2 % 3)}

    def _sees(self, number: int) -> None:
        not_ended = [other for other in self._before[number] if other not in self._ended | self._forgiven]
        if not_ended and len(not_ended) > len(self.world.control.call("HVALS", self._keys["dead"])):
            self.failures.append(f"{number} of {self._keys_of[number]} was handed out before {not_ended[:5]} were done")

    def _ends(self, number: int) -> None:
        self._ended.add(number)

    def look_at_rest(self) -> None:
        """As of Queues, and nothing is left in the keys of order."""
        super().look_at_rest()
        there = [word for word in _OF_ORDER if self.world.control.call("EXISTS", self._keys[word])]
        if there:
            self.failures.append(f"at rest there is something in {there}")
