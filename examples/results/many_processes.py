"""Another process answers; the answer arrives by callback, as a future, or by an event."""

import asyncio
import secrets

from examples.processes import in_processes
from examples.server import server
from shared.concurrency import Queue, Session


async def answer(url: str, name: str) -> None:
    """Answer until the queue is shut down."""
    async with Session.open(url) as session:
        async for delivery in Queue(session, name, int, result=int):
            await delivery.ack(result=delivery.item + 1)


async def by_callback(questions: Queue[int]) -> int:
    """Use a callback: a future takes them."""
    answers: list[int] = []
    future = await questions.submit(41)  # the question is in the queue; another process takes it
    future.add_done_callback(lambda answered: answers.append(answered.result()))
    await asyncio.wait({future})
    return answers[0]


async def by_future(questions: Queue[int]) -> int:
    """Use a future: the place for an answer that is not there yet."""
    future = await questions.submit(41)
    answer: int = await future
    return answer


async def by_event(questions: Queue[int]) -> int:
    """Use an event: it shows only *that* the answer is there; the answer itself is in the future."""
    future = await questions.submit(41)
    ready = asyncio.Event()
    future.add_done_callback(lambda _: ready.set())
    await ready.wait()
    answer: int = future.result()
    return answer


async def ask(url: str, name: str) -> list[int]:
    """Ask in all three ways."""
    async with Session.open(url) as session:
        questions = Queue(session, name, int, result=int)
        answers = [await by_callback(questions), await by_future(questions), await by_event(questions)]
        await questions.shutdown()
        return answers


def main() -> None:
    """Run a process that asks and one that answers."""
    name = f"questions-{secrets.token_hex(4)}"
    with server() as url:
        answers, _ = in_processes((ask, (url, name)), (answer, (url, name)))
    for way, found in zip(("callback", "future", "event"), answers, strict=True):
        print(f"{way}:", found)


if __name__ == "__main__":
    main()
