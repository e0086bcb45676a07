"""Survey: asks nodes of a Cluster which of them serves which slot."""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from shared.concurrency.errors import ServerRefused, ServerUnavailable
from shared.concurrency.session.address.cluster import ClusterAddress
from shared.concurrency.session.address.connections import connection
from shared.concurrency.session.address.endpoint import Endpoint
from shared.concurrency.session.cluster.topology import QUESTION, read_slots
from shared.concurrency.session.connection import LOST, described, refusal


class Found(NamedTuple):
    """What a node has answered."""

    asked: Endpoint
    nodes: list[Endpoint | None]


async def survey(address: ClusterAddress, nodes: Iterable[Endpoint], patience: float, silent: set[Endpoint]) -> Found:
    """Ask one node after the other, on a connection that lasts as long as the question, until one answers.

    `patience`: seconds for each. `silent`: those that did not answer the last time, which are asked last.

    :raises ServerRefused: when those that answer refuse.
    :raises ServerUnavailable: when none does.
    """
    problem, refused = "", ""
    for node in sorted(nodes, key=lambda node: node in silent):
        try:
            async with asyncio.timeout(patience):
                answer = await _ask(address, node)
        except (*LOST, ServerRefused) as error:
            problem, refused = described(error), refused or refusal(error) or ""
            silent.add(node)
            continue
        silent.discard(node)
        return Found(node, read_slots(answer, node))
    if refused:
        raise ServerRefused(refused)
    raise ServerUnavailable(problem)


async def _ask(address: ClusterAddress, node: Endpoint) -> Any:
    opened = connection(address.at(node), protocol=3, socket_timeout=None, retry=Retry(NoBackoff(), 0))
    try:
        await opened.connect()  # type: ignore[no-untyped-call]
        await opened.send_command(*QUESTION)
        return await opened.read_response()
    except ResponseError as error:
        if "cluster support disabled" in str(error):
            raise ServerRefused(
                f"the server at {node} is no node of a Cluster: write the address as redis://{node}/0"
            ) from error
        raise
    finally:
        with contextlib.suppress(Exception):  # it is dropped in any case
            await opened.disconnect(nowait=True)
