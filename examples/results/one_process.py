"""Who asks hears of the answer by callback, as a future, or by an event."""

import asyncio
from collections.abc import Callable


def ask(question: int, callback: Callable[[int], None]) -> None:
    """Answer later, by calling back."""
    asyncio.get_running_loop().call_later(0.01, callback, question + 1)


async def by_callback() -> int:
    """The oldest way: the rest of the work stands in a function."""
    answers: list[int] = []
    told = asyncio.Event()

    def answered(answer: int) -> None:
        answers.append(answer)
        told.set()

    ask(41, answered)
    await told.wait()
    return answers[0]


async def by_future() -> int:
    """A future is the place for an answer that is not there yet."""
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    ask(41, future.set_result)
    return await future


async def by_event() -> int:
    """An event says only *that* it is there; the answer lies elsewhere."""
    answers: dict[str, int] = {}
    ready = asyncio.Event()

    async def answer() -> None:
        await asyncio.sleep(0.01)
        answers["question"] = 41 + 1
        ready.set()

    task = asyncio.create_task(answer())
    await ready.wait()
    await task
    return answers["question"]


async def main() -> None:
    """All three."""
    print("callback:", await by_callback())
    print("future:", await by_future())
    print("event:", await by_event())


if __name__ == "__main__":
    asyncio.run(main())
