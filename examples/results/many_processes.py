"""Another process answers; who asks hears of it by callback, as a future, or by an event."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import redis.asyncio

from examples.processes import in_processes
from examples.server import server
from shared.concurrency import Event, Queue, QueueShutDown, Session


async def answer(url: str, name: str) -> None:
    """Answer until the queue is shut down: the answer lies on the server for a minute, an event says that it is there."""
    async with Session.open(url) as session, redis.asyncio.Redis.from_url(url) as client:
        questions = Queue(session, name, int)
        while True:
            try:
                delivery = await questions.get()
                async with delivery as question:
                    await client.set(f"{{{name}}}:answer:{delivery.id}", question + 1, ex=60)
                    await Event(session, f"{name}-{delivery.id}").set()
            except QueueShutDown:
                return


class Asker:
    """Asks, and hears of the answer in three ways."""

    def __init__(self, session: Session, name: str, client: "redis.asyncio.Redis") -> None:
        """Prepare."""
        self._session = session
        self._name = name
        self._client = client
        self._questions = Queue(session, name, int)

    async def by_event(self, question: int) -> int:
        """An event says only *that* it is there; the answer lies elsewhere. The id is the asker's own."""
        id_ = secrets.token_hex(8)
        ready = Event(self._session, f"{self._name}-{id_}")
        await self._questions.put(question, id=id_)
        await ready.wait()
        stored: Any = await self._client.get(f"{{{self._name}}}:answer:{id_}")
        await ready.clear()  # an event is kept until somebody clears it
        return int(stored)

    def by_future(self, question: int) -> "asyncio.Task[int]":
        """A task is a future: for the answer that is not there yet."""
        return asyncio.create_task(self.by_event(question))

    def by_callback(self, question: int, callback: "Callable[[asyncio.Task[int]], None]") -> "asyncio.Task[int]":
        """A future takes callbacks."""
        future = self.by_future(question)
        future.add_done_callback(callback)
        return future


async def ask(url: str, name: str) -> list[int]:
    """All three."""
    async with Session.open(url) as session, redis.asyncio.Redis.from_url(url) as client:
        asker = Asker(session, name, client)
        answers: list[int] = []
        await asker.by_callback(41, lambda answered: answers.append(answered.result()))
        answers.append(await asker.by_future(41))
        answers.append(await asker.by_event(41))
        await Queue(session, name, int).shutdown()
        return answers


def main() -> None:
    """One process asks, another answers."""
    name = f"questions-{secrets.token_hex(4)}"
    with server() as url:
        answers, _ = in_processes((ask, (url, name)), (answer, (url, name)))
    for way, found in zip(("callback", "future", "event"), answers, strict=True):
        print(f"{way}:", found)


if __name__ == "__main__":
    main()
