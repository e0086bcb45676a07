"""BlockingWire: the connection of a thread. It sends many scripts, then reads their answers: one round trip."""

import contextlib
from functools import partial
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import ConnectionInterface
from redis.exceptions import NoScriptError, ResponseError
from redis.retry import Retry

from shared.concurrency.session.address.address import Address
from shared.concurrency.session.address.connections import blocking_connection
from shared.concurrency.session.calls import Call, pack


class BlockingWire:
    """One connection at a time. What fails is raised; then `disconnect`, and `connect` again."""

    def __init__(self, address: Address, timeout: float) -> None:
        """Prepare. `timeout`: how long to wait for the server while it connects, and for each answer, in seconds."""
        self._make = partial(blocking_connection, address, socket_timeout=timeout, retry=Retry(NoBackoff(), 0))
        self.run_id = ""
        """The run_id of the server that the last connection leads to."""
        self._wire: ConnectionInterface | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._wire is not None

    def connect(self, timeout: float | None = None) -> None:
        """Connect, and learn which run of the server is there. `timeout`: another one than ever, in seconds."""
        wire = self._make() if timeout is None else self._make(socket_timeout=timeout)
        wire.connect()  # type: ignore[no-untyped-call]
        self._wire = wire
        info = self.command("INFO", "server")
        if isinstance(info, ResponseError):
            raise info
        text = info.decode() if isinstance(info, bytes) else str(info)
        self.run_id = next((line[7:].strip() for line in text.splitlines() if line.startswith("run_id:")), "")

    def disconnect(self) -> None:
        """Drop the connection."""
        wire, self._wire = self._wire, None
        if wire is not None:
            with contextlib.suppress(Exception):  # it is dropped in any case
                wire.disconnect()  # type: ignore[no-untyped-call]

    def run(self, calls: list[Call], patience: float) -> list[Any]:
        """Run scripts in one round trip; an answer may be a ResponseError.

        :raises TimeoutError: when the server says nothing at all for `patience` seconds.
        """
        answers = self._round_trip(calls, patience)
        unknown = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        while unknown:
            # The server knows this script from then on: the others need not send it, and go in one round trip again.
            first, *others = unknown
            call = calls[first]
            answers[first] = self.command("EVAL", call.script.source, *call.script.pack(call.keys, call.arguments))
            for at, answer in zip(others, self._round_trip([calls[at] for at in others], patience), strict=True):
                answers[at] = answer
            unknown = [at for at in others if isinstance(answers[at], NoScriptError)]
        return answers

    def _round_trip(self, calls: list[Call], patience: float) -> list[Any]:
        if not calls:
            return []
        wire = self._opened()
        words = (pack("EVALSHA", call.script.sha, *call.script.pack(call.keys, call.arguments)) for call in calls)
        wire.send_packed_command([b"".join(words)], check_health=False)  # type: ignore[no-untyped-call]
        if not wire.can_read(patience):  # type: ignore[no-untyped-call]
            raise TimeoutError("the server does not answer")
        return [self._answer() for _ in calls]

    def command(self, *command: bytes | str | int) -> Any:
        """Run a command; the answer may be a ResponseError."""
        self._opened().send_packed_command([pack(*command)], check_health=False)  # type: ignore[no-untyped-call]
        return self._answer()

    def _opened(self) -> ConnectionInterface:
        if self._wire is None:
            raise ConnectionError("no connection")
        return self._wire

    def _answer(self) -> Any:
        try:
            return self._opened().read_response()  # type: ignore[no-untyped-call]
        except ResponseError as error:
            return error
