"""Changes: what calls made of something that all share, and what may have been the case meanwhile."""

from dataclasses import dataclass

from tests.simulation.world import World


@dataclass
class Change:
    """A call that changes it, or what befell it; when it began and ended, in virtual seconds."""

    what: str
    begun: float
    ended: float = float("inf")
    is_sure: bool = True
    """Whether it had its effect by its end; one that failed may have had none."""


class Changes:
    """All changes so far. One whose end nobody saw may have had its effect at any time since it began."""

    def __init__(self, world: World) -> None:
        """Begin with none."""
        self._world = world
        self.all: list[Change] = []

    def begin(self, what: str) -> Change:
        """Note that somebody makes it so; whoever does ends it."""
        change = Change(what, self._world.now)
        self.all.append(change)
        return change

    def end(self, change: Change) -> None:
        """Note that it is so."""
        change.ended = self._world.now

    def may_have_failed(self, change: Change, within: float) -> None:
        """Note that nobody knows whether it is so: it is within so many seconds, or never."""
        change.ended, change.is_sure = self._world.now + within, False

    def since(self, moment: float) -> list[Change]:
        """What may have been the case at some time since then: what no later change had ended by that moment."""
        over = [change for change in self.all if change.is_sure and change.ended < moment]
        return [change for change in self.all if not any(_is_before(change, later) for later in over)]


def _is_before(change: Change, later: Change) -> bool:
    return change.begun < later.begun >= change.ended
