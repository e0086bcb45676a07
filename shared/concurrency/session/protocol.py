"""The wire: a connection that redis-py has opened, read as the bytes come in.

redis-py connects, greets, authenticates and selects; then its transport gets this protocol. An answer then costs no
task, no stream and no timer: about 2 us less of each message, and two turns of the loop less of each wake-up.
"""

import asyncio
import fcntl
import os
import socket
import struct
import sys
import termios
from collections.abc import Callable
from typing import Any

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.concurrency.session.clock import boottime


class Wire(asyncio.Protocol):
    """Sends packed commands, and hands over answers and pushes in the order in which they come."""

    def __init__(
        self,
        opened: AbstractConnection,
        on_answer: Callable[[Any], None],
        on_push: Callable[[list[Any]], None],
    ) -> None:
        """Take over what `opened` has connected, where no answer is under way.

        `on_answer` gets an answer, an error as an exception; `on_push` what the server sends by itself. What they raise
        ends the connection.
        """
        reader, writer = opened._reader, opened._writer  # noqa: SLF001  # redis-py hands out neither
        parse_error = opened._parser.parse_error  # noqa: SLF001
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        """Done when the connection has ended, with what ended it."""
        self._answers = hiredis.Reader(replyError=parse_error)
        self._on_answer = on_answer
        self._on_push = on_push
        if reader is None or writer is None or writer.is_closing() or reader.at_eof():
            raise RedisConnectionError("the server closed the connection")
        self._transport: asyncio.WriteTransport = writer.transport
        self._transport.set_protocol(self)
        self._moved_at = boottime()
        self._given = self._gone = 0
        """Bytes to be sent so far, and those of them that are known to be under way."""

    @property
    def is_open(self) -> bool:
        """Whether one may send."""
        # asyncio (3.12, 3.13.0) spoils the descriptor's next connection when one writes to a transport that is closing.
        return not (self.lost.done() or self._transport.is_closing())

    def send(self, packed: bytes) -> None:
        """Send a packed command; the loop writes it out."""
        self._given += len(packed)
        self._transport.write(packed)

    def moved_at(self) -> float:
        """When bytes came last, or were seen to go: the boot-time clock. A long answer, or request, is no silence."""
        gone = self._given - self._transport.get_write_buffer_size() - _unsent(self._transport.get_extra_info("socket"))
        if gone > self._gone:
            self._gone, self._moved_at = gone, boottime()
        return self._moved_at

    def close(self) -> None:
        """Drop the connection at once: nothing more is read, and what is not sent yet is lost."""
        self._transport.abort()
        self._lose(None)

    def cut_off(self) -> None:
        """Put a dead connection in the place of this one, in a forked child: its parent goes on with it."""
        # The child's loop, if it goes on, reads the descriptors that the parent's does: it would take its answers.
        shared = self._transport.get_extra_info("socket")
        if shared is not None and shared.fileno() >= 0:
            dead, other = socket.socketpair()
            other.close()
            os.dup2(dead.fileno(), shared.fileno(), inheritable=False)
            dead.close()
        self._lose(RedisConnectionError("this is a forked child"))

    def data_received(self, data: bytes) -> None:
        """Hand over what is complete."""
        if self.lost.done():
            return
        self._moved_at = boottime()
        try:
            self._answers.feed(data)
            while (answer := self._answers.gets()) is not False:
                if isinstance(answer, hiredis.PushNotification):
                    self._on_push(answer)
                elif isinstance(answer, RedisConnectionError):
                    # "LOADING" and the like: not an answer to a command but the state of the server.
                    self._end(answer)
                    return
                else:
                    self._on_answer(answer)
        except hiredis.ProtocolError as error:
            self._end(RedisConnectionError(f"the server does not speak RESP3: {error}"))
        except Exception as error:  # noqa: BLE001  # what a receiver raises must not leave the others waiting for ever
            self._end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self._lose(exc or RedisConnectionError("the server closed the connection"))

    def _end(self, error: Exception) -> None:
        self._lose(error)
        self._transport.abort()

    def _lose(self, error: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(error)


def _unsent(opened: Any) -> int:
    """Bytes that the kernel has and the other end has not confirmed; 0 where the system does not say."""
    if opened is None or sys.platform != "linux":
        return 0
    try:
        (unsent,) = struct.unpack("i", fcntl.ioctl(opened.fileno(), termios.TIOCOUTQ, bytes(4)))
    except (OSError, ValueError):  # it is closed
        return 0
    return int(unsent)
