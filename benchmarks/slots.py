"""No queue at all: 100 coroutines that wait for 5 ms each, again and again: the limit of 100 slots."""

import asyncio
from collections.abc import Callable, Iterable

from shared.service import loop_factory


async def open(url: str) -> None:  # noqa: A001
    """Do nothing: there is no server."""


async def put_many(c: None, messages: Iterable[tuple[int, float, dict[str, object]]]) -> None:
    """Do nothing: there is no queue."""


def work(url: str, hook: Callable[[int, float], None], *, seconds: float) -> None:  # noqa: ARG001
    """Wait and call `hook` in 100 coroutines until killed."""

    async def slot() -> None:
        while True:
            await asyncio.sleep(seconds)
            hook(0, 0.0)

    async def run() -> None:
        await asyncio.gather(*(slot() for _ in range(100)))

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(run())
