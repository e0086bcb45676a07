"""BlockingWire: the connection of a thread. It sends many scripts, then reads their answers: one round trip."""

import contextlib
from collections.abc import Iterable
from functools import partial
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import ConnectionInterface
from redis.exceptions import NoScriptError, ResponseError
from redis.retry import Retry

from shared.concurrency.session.address.address import Address
from shared.concurrency.session.address.connections import blocking_connection
from shared.concurrency.session.calls import Call, pack
from shared.concurrency.session.run import UNKNOWN
from shared.concurrency.session.server_errors import fields, is_withheld


class BlockingWire:
    """One connection at a time. What fails is raised; then `disconnect`, and `connect` again."""

    def __init__(self, address: Address, timeout: float) -> None:
        """Prepare. `timeout`: how long to wait for the server while it connects, and for each answer, in seconds."""
        self._make = partial(blocking_connection, address, socket_timeout=timeout, retry=Retry(NoBackoff(), 0))
        self.run_id = ""
        """The run_id of the server that the last connection leads to, `?` where it does not tell."""
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
            if not is_withheld(info):
                raise info
            info = ""
        self.run_id = fields(info).get("run_id", UNKNOWN)

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
        answers = self._round_trip(map(_packed, calls), patience)
        unknown = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            # Each script once, and behind them the calls again.
            missing = {calls[at].script.sha: calls[at].script for at in unknown}
            words = [pack("SCRIPT", "LOAD", script.source) for script in missing.values()]
            again = self._round_trip([*words, *(_packed(calls[at]) for at in unknown)], patience)
            refused = {sha: each for sha, each in zip(missing, again, strict=False) if isinstance(each, ResponseError)}
            for at, answer in zip(unknown, again[len(missing) :], strict=True):
                answers[at] = refused.get(calls[at].script.sha, answer)
        return answers

    def _round_trip(self, commands: Iterable[bytes], patience: float) -> list[Any]:
        """Send packed commands; an answer may be a ResponseError."""
        packed = list(commands)
        if not packed:
            return []
        wire = self._opened()
        wire.send_packed_command([b"".join(packed)], check_health=False)  # type: ignore[no-untyped-call]
        if not wire.can_read(patience):  # type: ignore[no-untyped-call]
            raise TimeoutError("the server does not answer")
        return [self._answer() for _ in packed]

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


def _packed(call: Call) -> bytes:
    return pack(call.script.command, call.script.sha, *call.script.pack(call.keys, call.arguments))
