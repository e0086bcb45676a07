"""An answer arrives by callback, as a future, or by an event."""

import asyncio
from collections.abc import Callable


def ask(question: int, callback: Callable[[int], None]) -> None:
    """Answer later, by calling back."""
    asyncio.get_running_loop().call_later(0.01, callback, question + 1)


async def by_callback() -> int:
    """Use a callback, the oldest way: the rest of the work is in a function."""
    answers: list[int] = []
    arrived = asyncio.Event()

    def answered(answer: int) -> None:
        answers.append(answer)
        arrived.set()

    ask(41, answered)
    await arrived.wait()
    return answers[0]


async def by_future() -> int:
    """Use a future: the place for an answer that is not there yet."""
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    ask(41, future.set_result)
    return await future


async def by_event() -> int:
    """Use an event: it shows only *that* the answer is there; the answer itself is elsewhere."""
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
    """Ask in all three ways."""
    print("callback:", await by_callback())
    print("future:", await by_future())
    print("event:", await by_event())


if __name__ == "__main__":
    asyncio.run(main())
