"""The role of the server that an address led to: only the primary is greeted."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Final

from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import ResponseError

from shared.concurrency.session.address.endpoint import Endpoint
from shared.concurrency.session.tasks import end

_IN_DOUBT_AFTER: Final = 0.5
"""Seconds without an answer after which it is asked, again and again, whether the server still leads."""


def is_replica(replication: bytes | str) -> bool:
    """Whether a server is one, by its INFO replication."""
    text = replication.decode(errors="replace") if isinstance(replication, bytes) else replication
    return any(line.strip() in ("role:slave", "role:replica") for line in text.splitlines())


async def greet_primary(connection: Any) -> None:
    """What redis-py calls on a new connection of ours, `redis_connect_func`.

    :raises redis.exceptions.ConnectionError: when the server is no primary.
    """
    await while_it_leads(connection, _greet(connection))


async def _greet(connection: Any) -> None:
    await connection.on_connect()
    await connection.send_command("INFO", "replication")
    try:
        found = await connection.read_response()
    except ResponseError:
        return  # it does not say
    if is_replica(found):
        raise _replica(connection)


def greet_primary_blocking(connection: Any) -> None:
    """The same for a thread."""
    connection.on_connect()
    connection.send_command("INFO", "replication")
    try:
        found = connection.read_response()
    except ResponseError:
        return
    if is_replica(found):
        raise _replica(connection)


async def while_it_leads(connection: Any, step: Coroutine[Any, Any, Any]) -> None:
    """Do a part of connecting; a server that is silent is left as soon as another one leads.

    :raises redis.exceptions.ConnectionError: when another one does.
    """
    stepping = asyncio.ensure_future(step)
    try:
        while not (await asyncio.wait({stepping}, timeout=_IN_DOUBT_AFTER))[0]:
            with contextlib.suppress(LostConnection):  # nobody knows: it may still answer
                await connection.address.locate()
            if connection.address.is_left(Endpoint(connection.host, connection.port)):
                raise LostConnection("another server leads now")
        stepping.result()
    finally:
        await end(stepping)


def _replica(connection: Any) -> LostConnection:
    return LostConnection(f"{Endpoint(connection.host, connection.port)} is a replica, and no primary")
