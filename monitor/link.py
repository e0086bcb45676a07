"""Link: sends what only reads, many in a round trip."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import redis.asyncio
from redis.exceptions import NoScriptError, RedisError, ResponseError

from shared.concurrency import ServerUnavailable
from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.connections import client
from shared.concurrency.session.calls import Call

PATIENCE: Final = 5.0
"""Seconds for which an answer is waited for."""


class Link:
    """A connection for those who only look. Nothing it sends can write, so its user needs no right to."""

    def __init__(self, client: "redis.asyncio.Redis") -> None:
        """`client`: bytes in and out; whoever made it closes it."""
        self._client: Any = client

    async def scripts(self, calls: Sequence[Call]) -> list[Any]:
        """Run scripts in one round trip; an answer may be a ResponseError.

        :raises ServerUnavailable: when the server does not answer.
        """
        commands = [
            (call.script.command, call.script.sha, *call.script.pack(call.keys, call.arguments)) for call in calls
        ]
        answers = await self.commands(commands)
        unknown = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            # Each script once, and behind them the calls again.
            missing = {calls[at].script.sha: calls[at].script.source for at in unknown}
            loads = [("SCRIPT", "LOAD", source) for source in missing.values()]
            again = await self.commands([*loads, *(commands[at] for at in unknown)])
            refused = {sha: each for sha, each in zip(missing, again, strict=False) if isinstance(each, ResponseError)}
            for at, answer in zip(unknown, again[len(missing) :], strict=True):
                answers[at] = refused.get(calls[at].script.sha, answer)
        return answers

    async def commands(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Run commands that change nothing in one round trip; an answer may be a ResponseError.

        :raises ServerUnavailable: when the server does not answer.
        """
        if not commands:
            return []
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                found: list[Any] = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            raise ServerUnavailable(f"the server does not answer: {error}") from error
        for answer in found:
            if isinstance(answer, Exception) and not isinstance(answer, ResponseError):
                raise ServerUnavailable(f"the server does not answer: {answer}") from answer
        return found


@asynccontextmanager
async def open_link(url: str) -> AsyncIterator[Link]:
    """A link to the server at an address; it connects when something is sent, and again after an outage."""
    options = {"protocol": 3, "socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
    async with client(read_address(url), **options) as connected:
        yield Link(connected)
