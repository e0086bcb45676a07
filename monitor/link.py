"""Link: sends what only reads, many in a round trip."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import redis.asyncio
from redis.crc import key_slot
from redis.exceptions import AuthenticationError, NoScriptError, RedisError, ResponseError

from shared.concurrency import ServerRefused, ServerUnavailable
from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.certificates import tls_refusal
from shared.concurrency.session.address.cluster import ClusterAddress
from shared.concurrency.session.address.connections import client
from shared.concurrency.session.address.credentials import Credentials
from shared.concurrency.session.address.endpoint import Endpoint
from shared.concurrency.session.calls import Call
from shared.concurrency.session.cluster.survey import survey
from shared.concurrency.session.cluster.topology import Topology
from shared.concurrency.session.server_errors import moved

PATIENCE: Final = 5.0
"""Seconds for which an answer is waited for."""
_MOST_MOVES: Final = 5
"""So often keys that have moved are looked for."""

# Wrong passwords arrive as lost connections, too.
_NO_ENTRY: Final = re.compile(r"NOAUTH|WRONGPASS|invalid username-password")


class Link:
    """A connection for those who only look. Nothing it sends can write, so its user needs no right to."""

    def __init__(self, client: "redis.asyncio.Redis | None") -> None:
        """`client`: bytes in and out; whoever made it closes it. None: a link to several servers has its own."""
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
            again = await self._load_and_run([calls[at] for at in unknown], [commands[at] for at in unknown])
            for at, answer in zip(unknown, again, strict=True):
                answers[at] = answer
        return answers

    async def servers(self) -> Sequence[Endpoint | None]:
        """Each server that holds keys, for `commands`."""
        return (None,)

    async def _load_and_run(self, calls: Sequence[Call], commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Load each script once, and run the calls again behind that; `commands`: the calls as they are sent."""
        missing = {call.script.sha: call.script.source for call in calls}
        found = await self.commands([*(("SCRIPT", "LOAD", source) for source in missing.values()), *commands])
        refused = {sha: each for sha, each in zip(missing, found, strict=False) if isinstance(each, ResponseError)}
        again = found[len(missing) :]
        return [refused.get(call.script.sha, answer) for call, answer in zip(calls, again, strict=True)]

    async def commands(self, commands: Sequence[tuple[Any, ...]], at: Endpoint | None = None) -> list[Any]:  # noqa: ARG002  # there is one
        """Run commands that change nothing in one round trip; an answer may be a ResponseError.

        `at`: one of `servers`, for what has no key.

        :raises ServerUnavailable: when the server does not answer. ServerRefused: when it does not let us in.
        """
        return await _run(self._client, commands)


class ClusterLink(Link):
    """Sends each command to the node that serves its key, and follows keys that move."""

    def __init__(self, address: ClusterAddress, **options: Any) -> None:
        """Use `open_link`. `options`: redis-py's, for each connection."""
        super().__init__(None)
        self._address = address
        self._options = options
        self._topology = Topology(address.seeds)
        self._clients: dict[Endpoint, redis.asyncio.Redis] = {}
        self._silent: set[Endpoint] = set()

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

    async def _load_and_run(self, calls: Sequence[Call], commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        missing = {
            (call.script.sha, self._node(_key(command))): call.script
            for call, command in zip(calls, commands, strict=True)
        }
        for (_, node), script in missing.items():
            await self.commands([("SCRIPT", "LOAD", script.source)], node)
        return await self.commands(commands)

    async def commands(self, commands: Sequence[tuple[Any, ...]], at: Endpoint | None = None) -> list[Any]:
        """As a Link's, in one round trip to each node; those that are served elsewhere meanwhile go again."""
        if not self._topology.is_known:
            await self.look()
        answers: list[Any] = [None] * len(commands)
        left = list(range(len(commands)))
        for _ in range(_MOST_MOVES):
            try:
                await self._run_each(commands, left, at, answers)
            except ServerUnavailable:
                await self.look()
                raise
            left = [number for number in left if _is_elsewhere(answers[number])]
            if not left:
                break
            await self.look()
        return answers

    async def _run_each(
        self, commands: Sequence[tuple[Any, ...]], numbers: list[int], at: Endpoint | None, answers: list[Any]
    ) -> None:
        by_node: dict[Endpoint, list[int]] = {}
        for number in numbers:
            node = at or self._node(_key(commands[number]))
            if node is None:
                raise ServerUnavailable("a slot of the Cluster is not served")
            by_node.setdefault(node, []).append(number)
        for node, group in by_node.items():
            found = await _run(self._client_of(node), [commands[number] for number in group])
            for number, answer in zip(group, found, strict=True):
                answers[number] = answer

    def _node(self, key: bytes | str | None) -> Endpoint | None:
        if key is None:
            return self._topology.nodes()[0]
        return self._topology.node_of(key_slot(key if isinstance(key, bytes) else key.encode()))

    def _client_of(self, node: Endpoint) -> "redis.asyncio.Redis":
        if node not in self._clients:
            self._clients[node] = client(self._address.at(node), **self._options)
        return self._clients[node]


def _key(command: tuple[Any, ...]) -> bytes | str | None:
    """The first key of a command; None where it has none."""
    at = 3 if command[0] in ("EVALSHA", b"EVALSHA", "EVALSHA_RO", b"EVALSHA_RO") else 1
    return command[at] if len(command) > at else None


def _is_elsewhere(answer: object) -> bool:
    """Whether an answer says that another node serves the key."""
    return isinstance(answer, ResponseError) and moved(str(answer)) is not None


async def _run(client: Any, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    if not commands:
        return []
    try:
        async with client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            found: list[Any] = await pipeline.execute(raise_on_error=False)
    except (RedisError, OSError) as error:
        if (reason := tls_refusal(error)) is not None:
            raise ServerRefused(reason) from error
        if isinstance(error, AuthenticationError) or _NO_ENTRY.search(str(error)):
            raise ServerRefused(f"the server does not let us in: {error}. Check user and password") from error
        raise ServerUnavailable(f"the server does not answer: {error}") from error
    for answer in found:
        if isinstance(answer, Exception) and not isinstance(answer, ResponseError):
            raise ServerUnavailable(f"the server does not answer: {answer}") from answer
    return found


@asynccontextmanager
async def open_link(url: str, credentials: Credentials | None = None) -> AsyncIterator[Link]:
    """A link to the server at an address; it connects when something is sent, and again after an outage."""
    options = {"protocol": 3, "socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
    address = read_address(url, credentials)
    if isinstance(address, ClusterAddress):
        link = ClusterLink(address, **options)
        try:
            yield link
        finally:
            await link.close()
        return
    async with client(address, **options) as connected:
        yield Link(connected)
