"""Link: sends what only reads, many in a round trip."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar

import redis.asyncio
from redis.crc import key_slot
from redis.exceptions import NoScriptError, RedisError, ResponseError

from shared.concurrency import ServerUnavailable
from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.cluster import ClusterAddress
from shared.concurrency.session.address.connections import client
from shared.concurrency.session.address.endpoint import Endpoint
from shared.concurrency.session.calls import Call
from shared.concurrency.session.cluster.survey import survey
from shared.concurrency.session.cluster.topology import Topology
from shared.concurrency.session.server_errors import moved

PATIENCE: Final = 5.0
"""Seconds for which an answer is waited for."""
_MOST_MOVES: Final = 5
"""So often keys that have moved are looked for."""

T = TypeVar("T")


class Link:
    """A connection for those who only look. Nothing it sends can write, so its user needs no right to."""

    def __init__(self, client: "redis.asyncio.Redis | None") -> None:
        """`client`: bytes in and out; whoever made it closes it. A link to several servers has one for each."""
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

    async def servers(self) -> Sequence[Endpoint | None]:
        """Each server that holds keys, for `at`."""
        return (None,)

    async def commands(self, commands: Sequence[tuple[Any, ...]], at: Endpoint | None = None) -> list[Any]:  # noqa: ARG002  # there is one
        """Run commands that change nothing in one round trip; an answer may be a ResponseError.

        `at`: one of `servers`, for what has no key.

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


class ClusterLink(Link):
    """Sends each command to the node that serves its key, in one round trip to each, and follows keys that move."""

    def __init__(self, address: ClusterAddress, **options: Any) -> None:
        """Use `open_link`. `options`: redis-py's, for each connection."""
        super().__init__(None)
        self._address = address
        self._options = options
        self._topology = Topology(address.seeds)
        self._silent: set[Endpoint] = set()
        self._clients: dict[Endpoint, redis.asyncio.Redis] = {}

    async def look(self) -> None:
        """Ask which node serves what.

        :raises ServerUnavailable: when none answers.
        """
        found = await survey(self._address, self._topology.to_ask(), PATIENCE, self._silent)
        self._topology.learn(found.nodes, lambda _, __: True)
        for node in self._clients.keys() - set(self._topology.nodes()):
            await self._clients.pop(node).aclose()

    async def close(self) -> None:
        """Close all connections."""
        for node in list(self._clients):
            await self._clients.pop(node).aclose()

    async def servers(self) -> Sequence[Endpoint]:
        """The masters."""
        if not self._topology.is_known:
            await self.look()
        return self._topology.nodes()

    async def scripts(self, calls: Sequence[Call]) -> list[Any]:
        """As a Link's; what is served elsewhere meanwhile goes again."""
        return await self._spread(calls, [call.keys[call.script.keys[0]] for call in calls], Link.scripts)

    async def commands(self, commands: Sequence[tuple[Any, ...]], at: Endpoint | None = None) -> list[Any]:
        """As a Link's, where the word behind the name of a command is its key; goes again as `scripts`."""
        if at is not None:
            return await self._at(at).commands(commands)
        return await self._spread(commands, [command[1] for command in commands], Link.commands)

    async def _spread(
        self, what: Sequence[T], keys: Sequence[bytes | str], run: Callable[[Link, Sequence[T]], Awaitable[list[Any]]]
    ) -> list[Any]:
        answers: list[Any] = [None] * len(what)
        left = list(range(len(what)))
        for _ in range(_MOST_MOVES):
            by_node: dict[Endpoint, list[int]] = {}
            nodes = await self.servers()
            for number in left:
                node = self._topology.node_of(key_slot(_bytes(keys[number])))
                by_node.setdefault(node or nodes[0], []).append(number)
            for node, group in by_node.items():
                found = await self._run(node, partial(run, self._at(node), [what[number] for number in group]))
                for number, answer in zip(group, found, strict=True):
                    answers[number] = answer
            left = [number for number in left if _is_elsewhere(answers[number])]
            if not left:
                break
            await self.look()
        return answers

    async def _run(self, node: Endpoint, send: Callable[[], Awaitable[list[Any]]]) -> list[Any]:
        try:
            return await send()
        except ServerUnavailable:
            self._silent.add(node)
            await self.look()  # its replica may serve next time
            raise

    def _at(self, node: Endpoint) -> Link:
        if node not in self._clients:
            self._clients[node] = client(self._address.at(node), **self._options)
        return Link(self._clients[node])


def _bytes(key: bytes | str) -> bytes:
    return key if isinstance(key, bytes) else key.encode()


def _is_elsewhere(answer: object) -> bool:
    """Whether an answer says that another node serves the key."""
    return isinstance(answer, ResponseError) and moved(str(answer)) is not None


@asynccontextmanager
async def open_link(url: str) -> AsyncIterator[Link]:
    """A link to the server at an address; it connects when something is sent, and again after an outage."""
    options = {"protocol": 3, "socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
    address = read_address(url)
    if isinstance(address, ClusterAddress):
        link = ClusterLink(address, **options)
        try:
            yield link
        finally:
            await link.close()
        return
    async with client(address, **options) as connected:
        yield Link(connected)
