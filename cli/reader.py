"""Reader: a server as those commands see it that only look. It opens no session and needs no right to write."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import ResponseError

from cli.target import TargetError
from monitor.link import Link, open_link
from monitor.names import Names
from shared.concurrency import QueueStatistics, ServerUnavailable
from shared.concurrency.queues.membership.keys import queue_keys
from shared.concurrency.queues.statistics import read_statistics
from shared.concurrency.session.calls import Call
from shared.concurrency.session.scripts import load
from shared.concurrency.session.server_errors import text_of, wrong_key
from shared.environment import resolve_redis_url
from shared.logs import configure_logs
from shared.password_file import password_of
from shared.patience import PATIENCE
from shared.settings import Settings

_AGAIN: Final = 0.1


@dataclass(frozen=True)
class Reader:
    """A link to the server."""

    settings: Settings
    link: Link

    async def queues(self) -> list[str]:
        """Return the names of the queues at this server, sorted, GROUP/NAME in a group.

        A queue exists once a service has used it. Raises ServerRefused.
        """
        names = Names(self.link)
        await names.look()
        return list(names.queues)

    async def statistics(self, names: Sequence[str]) -> list[QueueStatistics | str]:
        """Return the statistics of queues; of one that cannot be read the reason."""
        calls = [Call(load("statistics", flow=True), queue_keys(name)) for name in names]
        answers = await self.link.scripts(calls)
        return [
            await self._why(call, each) if isinstance(each, Exception) else read_statistics(each)
            for call, each in zip(calls, answers, strict=True)
        ]

    async def _why(self, call: Call, error: Exception) -> str:
        """Why a script could not read: the key that is not ours, or what the server says."""
        if "WRONGTYPE" not in str(error):
            return str(error)
        types = await self.link.commands([("TYPE", call.keys[word]) for word in call.script.keys])
        return str(wrong_key(call.script, call.keys, dict(zip(call.script.keys, map(text_of, types), strict=True))))

    async def ask(self, *command: str | bytes | int) -> Any:
        """Return the answer to a command that reads. Raises TargetError when the server refuses it."""
        (answer,) = await self.link.commands([command])
        if isinstance(answer, ResponseError):
            raise TargetError(f"the server does not let us look: {answer}")
        return answer

    async def check_queue(self, name: str) -> None:
        """Look whether there is such a queue. Raises TargetError."""
        try:
            key = queue_keys(name)["settings"]
        except ValueError as error:
            raise TargetError(f"--queue: {error}") from error
        if not await self.ask("EXISTS", key):
            raise TargetError(
                f"there is no queue {name} at this server (a queue exists once a service has used it); "
                "see `./run pipeline queue list`"
            )


@asynccontextmanager
async def open_reader() -> AsyncIterator[Reader]:
    """Open a link to the server of REDIS_URL, or to the one whose address `./run server` has left.

    Raises SettingsError, ServerUnavailable, ServerRefused, each with a line that says what to do.
    """
    settings = Settings.load()
    configure_logs(settings)
    async with open_link(resolve_redis_url(settings), password_of(settings)) as link:
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        while True:
            try:
                await link.commands([("TIME",)])
                break
            except ServerUnavailable:
                if loop.time() > until:
                    raise
            await asyncio.sleep(_AGAIN)
        yield Reader(settings, link)
