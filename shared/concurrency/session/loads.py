"""Loads: the scripts that the server did not know, each sent once for all calls that wait for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from redis.exceptions import NoScriptError, ResponseError

from shared.concurrency.session.scripts import Script

_TRIES: Final = 10

# Sends a command; returns the future of its answer, which is an exception where that is an error.
Send = Callable[..., asyncio.Future[Any]]


class Loads:
    """What one process has loaded. By SCRIPT LOAD: what EVAL brings, Redis drops from 7.4 on when much of it comes."""

    def __init__(self, send: Send) -> None:
        """Begin with none."""
        self._send: Final = send
        self._sent: dict[bytes, asyncio.Future[Any]] = {}
        """The last load of each script, by its SHA."""

    def forget(self) -> None:
        """Begin anew, on another connection: the server may be another run, which knows nothing."""
        self._sent.clear()

    async def behind(self, script: Script, run: Callable[[], Awaitable[Any]]) -> Any:
        """Run a script that the server did not know. The call goes right behind the load, on the same connection.

        :raises ResponseError: when the server refuses the load. NoScriptError: when it forgets it again and again.
        """
        seen: asyncio.Future[Any] | None = None
        for _ in range(_TRIES):
            load = self._sent.get(script.sha)
            if load is None or load is seen:  # else another call that did not find it has sent it meanwhile
                load = self._sent[script.sha] = self._send(b"SCRIPT", b"LOAD", script.source)
            try:
                return await run()
            except NoScriptError:
                seen, answer = load, load.result()  # it came before that of the call
            if isinstance(answer, ResponseError):
                self._sent.pop(script.sha, None)
                raise type(answer)(*answer.args) from None
        raise NoScriptError(f"the script {script.name} is forgotten as soon as it is loaded")
