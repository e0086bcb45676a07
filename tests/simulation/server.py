"""What befalls the server: full memory, refusals for a while, and restarts with its data, older data or none."""

from collections.abc import Callable
from typing import Final, TypeAlias

from tests.simulation.world import World

Saved: TypeAlias = tuple[bytes, int, bytes]
"""A key, how long it has to live, and its value."""

_CLOCK: Final = b"sim:now"
_MOST: Final = 60
"""So often and no more, or those that are struck all the time come to no end."""


class Server:
    """The server of a world, as somebody who pulls its plug sees it."""

    def __init__(self, world: World) -> None:
        """Begin with nothing saved."""
        self._world = world
        self._call: Callable[..., object] = world.control.call
        self._saved: list[Saved] = []
        self.full = self.restarts = self.refusals = 0
        """How often each happened."""

    def fill_memory(self) -> None:
        """Have it refuse for a while what needs memory."""
        if not self.may_strike():
            return
        self.full += 1
        self._call("CONFIG", "SET", "maxmemory", "1")
        self._world.later(self._world.rng.expovariate(2), self.free_memory)

    def free_memory(self) -> None:
        """Have it take everything again."""
        self._call("CONFIG", "SET", "maxmemory", "0")

    def refuse(self) -> None:
        """Have it refuse every script for a while, as after a change of its rules."""
        if not self.may_strike():
            return
        self.refusals += 1
        self._call("ACL", "SETUSER", "default", "resetkeys")
        self._world.later(min(5.0, self._world.rng.expovariate(1)), self.accept)

    def accept(self) -> None:
        """Have it accept everything again."""
        self._call("ACL", "SETUSER", "default", "~*")

    def save(self) -> None:
        """Remember its data as they are now."""
        self._saved = self.saved()

    def saved(self) -> list[Saved]:
        """Its data as they are now."""
        found = []
        for key in sorted(self._keys()):
            left, data = self._call("PTTL", key), self._call("DUMP", key)
            if isinstance(left, int) and isinstance(data, bytes):
                found.append((key, max(0, left), data))
        return found

    def has_saved(self, key: bytes) -> bool:
        """Whether what was saved holds this key."""
        return any(saved == key for saved, _, _ in self._saved)

    def restart(self) -> None:
        """Have it end and come back with its data."""
        if self.may_strike():
            self._restart(self._world.rng.expovariate(5))

    def restart_with_saved_data(self) -> None:
        """Have it come back with what was saved last; with nothing where nothing was."""
        if self.may_strike():
            self.come_back_as(self._saved, self._world.rng.expovariate(5))

    def come_back_as(self, saved: list[Saved], down: float) -> None:
        """Have it come back after so many seconds with these data."""
        self.free_memory()
        self.flush()
        for key, left, data in saved:
            answer = self._call("RESTORE", key, left, data)
            if isinstance(answer, Exception):
                raise answer
        self._restart(down)

    def _restart(self, down: float) -> None:
        self.restarts += 1
        self._call("SCRIPT", "FLUSH")
        self._world.restart_server(down)

    def flush(self) -> None:
        """Delete everything; connections stay."""
        if keys := self._keys():
            self._call("DEL", *keys)

    def may_strike(self) -> bool:
        """Whether it was struck less often than is enough."""
        return self.full + self.restarts + self.refusals < _MOST

    def _keys(self) -> list[bytes]:
        found = self._call("KEYS", "*")
        return [key for key in found if key != _CLOCK] if isinstance(found, list) else []
