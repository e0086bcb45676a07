"""Order: which messages of a key must be done with before another one of it is handed out."""

from collections import Counter, defaultdict


class Order:
    """The order of keys: who may be handed out only when others are done with."""

    def __init__(self, attempts: int) -> None:
        """Begin without any. `attempts`: failures until a message is a dead letter."""
        self._attempts = attempts
        self._before: dict[int, list[int]] = {}
        self._there: defaultdict[str, list[int]] = defaultdict(list)
        self._keys: dict[int, str] = {}
        self._failures: Counter[int] = Counter()
        self._done: set[int] = set()

    def begins(self, number: int, key: str) -> str:
        """It is put with a key, which is returned: behind those of it whose puts have returned."""
        self._before[number], self._keys[number] = list(self._there[key]), key
        return key

    def returned(self, number: int) -> None:
        """Its put has returned."""
        if number in self._keys:
            self._there[self._keys[number]].append(number)

    def fails(self, number: int) -> None:
        """It may be a dead letter by now, behind which the others go on."""
        self._failures[number] += 1
        if self._failures[number] >= self._attempts:
            self.dies(number)

    def dies(self, number: int) -> None:
        """It is put back at the end of its key, if at all."""
        self._done.add(number)

    ends = dies

    def loses(self, gone: set[int], back: set[int]) -> None:
        """The server has lost some, and others are there again."""
        self._done |= gone
        self._done -= back

    def sees(self, number: int) -> list[int]:
        """Those that had to be done with before it is handed out, and are not."""
        return [other for other in self._before.get(number, ()) if other not in self._done][:5]
