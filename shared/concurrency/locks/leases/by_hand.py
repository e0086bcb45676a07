"""ByHand: what one object has acquired by hand; each is found by the task that acquired it."""

import asyncio
from collections.abc import Iterable
from functools import partial

from shared.concurrency.locks.leases.tenure import Tenure


class ByHand:
    """The tenures that were acquired by hand, in order."""

    def __init__(self) -> None:
        """Begin with none."""
        # Dictionaries as ordered sets.
        self._held: dict[Tenure, None] = {}
        self._own: dict[asyncio.Task[object], dict[Tenure, None]] = {}
        """Lost ones too, until their task is told, acquires again or ends: it must not end another's instead."""

    def __len__(self) -> int:
        """How many are held."""
        return len(self._held)

    def add(self, tenure: Tenure, task: "asyncio.Task[object]") -> None:
        """Keep what this task acquired."""
        own = self._own.get(task)
        if own is None:
            own = self._own[task] = {}
        while own and (first := next(iter(own))).is_lost:
            del own[first]
        own[tenure] = self._held[tenure] = None
        tenure.on_end = partial(self._ended, task)

    def of_task(self, task: "asyncio.Task[object]") -> Iterable[Tenure]:
        """What this task acquired, the oldest first; lost ones too."""
        return self._own.get(task, ())

    def forget_lost(self, task: "asyncio.Task[object]") -> None:
        """Forget what this task has lost: it was told, or has ended."""
        for tenure in [tenure for tenure in self.of_task(task) if tenure.is_lost]:
            self._forget(task, tenure)

    def first(self) -> tuple[Tenure | None, bool]:
        """The oldest live one, whoever acquired it, and whether there are more."""
        return first_live(self._held)

    def _ended(self, task: "asyncio.Task[object]", tenure: Tenure) -> None:
        self._held.pop(tenure, None)
        if tenure.ended:
            self._forget(task, tenure)
        else:
            task.add_done_callback(self.forget_lost)

    def _forget(self, task: "asyncio.Task[object]", tenure: Tenure) -> None:
        own = self._own.get(task)
        if own is not None:
            own.pop(tenure, None)
            if not own:
                del self._own[task]


def first_live(tenures: Iterable[Tenure]) -> tuple[Tenure | None, bool]:
    """The first that is held, and whether there are more; lost and suspended ones are passed over."""
    live = (tenure for tenure in tenures if tenure.is_live)
    return next(live, None), next(live, None) is not None
