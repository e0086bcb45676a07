"""A proxy between a client and the real server that knows where a command ends and where a reply begins.

It counts commands, and breaks connections at chosen ones: before the server sees the command, or after it was
executed but before the reply is back.
"""

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from shared.concurrency.session.scripts import scripts
from tests.instruments.resp import read_command, read_reply
from tests.instruments.topology import leading, not_on_cluster
from tests.instruments.traffic import Command, Fate, Hold, Link

_UNANSWERED: Final = (b"SUBSCRIBE", b"UNSUBSCRIBE")
"""Answered by pushes in RESP3, which is what our sessions speak."""

_GONE: Final = (OSError, EOFError)


class Proxy:
    """Listens on a unix socket in `directory`; use it as an async context manager, in the loop of the test."""

    def __init__(self, upstream: str, directory: Path) -> None:
        """`upstream`: the server's address, unix:// or redis:// without TLS."""
        not_on_cluster("a proxy stands before one server")
        self._upstream = urlsplit(leading(upstream))
        self._socket = directory / "proxy.sock"
        self._scripts = {each.sha: each.name for each in scripts()}
        self._server: asyncio.Server | None = None
        self._links: dict[int, tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._swallowed: set[int] = set()
        self._hold: Hold | None = None
        self.judge: Callable[[Command], Fate] = lambda _: Fate.PASS
        """Decides about every command as it arrives."""
        self.alter: Callable[[bytes], bytes] = lambda reply: reply
        """What becomes of each reply or push on its way to a session, and to a heartbeat."""
        self.commands: list[Command] = []
        """All that arrived, in order."""
        self.pushes = 0
        """Wake-ups and the like that went to clients."""

    @property
    def url(self) -> str:
        """Where clients find it; user, password and database are those of the server's address."""
        login = f"{self._upstream.netloc.rpartition('@')[0]}@" if "@" in self._upstream.netloc else ""
        database = self._upstream.query or f"db={self._database()}"
        return f"unix://{login}{self._socket}?{database}"

    def _database(self) -> str:
        # In redis:// the path is the database, in unix:// it is the socket.
        return (self._upstream.scheme != "unix" and self._upstream.path.strip("/")) or "0"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._accept, self._socket)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        self._refusing = True
        self.cut()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # --- what a test looks at ---------------------------------------------------------------------------------------

    def of_session(self) -> list[Command]:
        """The commands on connections of sessions, each of which is one round trip."""
        return [command for command in self.commands if command.of_session]

    def count(self, *steps: str) -> int:
        """How many of these commands or steps the sessions sent."""
        return sum(command.name in steps for command in self.of_session())

    # --- what a test breaks -----------------------------------------------------------------------------------------

    def drop_nth(self, nth: int, fate: Fate, concerned: Callable[[Command], bool] | None = None) -> asyncio.Event:
        """Let the nth command from now on (of the sessions, or of those concerned) meet its fate, once.

        Returns an event that is set when it has.
        """
        left = itertools.count(nth, -1)
        met = asyncio.Event()

        def judge(command: Command) -> Fate:
            if met.is_set() or not (command.of_session if concerned is None else concerned(command)):
                return Fate.PASS
            if next(left) > 1:
                return Fate.PASS
            met.set()
            return fate

        self.judge = judge
        return met

    def cut(self) -> None:
        """Break every connection, at once."""
        for link in list(self._links):
            self._break(link)

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Cut everything, and refuse new connections inside the block."""
        self._refusing = True
        self.cut()
        try:
            yield
        finally:
            self._refusing = False

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let nothing through in either direction inside the block, with all connections open: a dead network."""
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    def swallow(self) -> None:
        """Let nothing more through on the present connections, which stay open, as a NAT does; new ones work."""
        self._swallowed.update(self._links)

    @property
    def swallows(self) -> bool:
        """Whether a connection is open yet that swallows everything."""
        return not self._swallowed.isdisjoint(self._links)

    @contextlib.asynccontextmanager
    async def holding(self, step: str, *, of_session: bool = True) -> AsyncIterator[Hold]:
        """Keep back the reply to the next command with this name, and all behind it, inside the block.

        `of_session`: of a session's calls; else of a heartbeat.
        """
        hold = self._hold = Hold(step, of_session)
        try:
            yield hold
        finally:
            self._hold = None
            hold.release()

    # --- the flow ---------------------------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        link = Link(next(self._numbers), deque(), {})
        self._links[link.number] = (writer, server_writer)
        ways = self._forth(link, reader, server_writer), self._back(link, server_reader, writer)
        for way in ways:
            task = asyncio.create_task(way)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._upstream.scheme == "unix":
            return await asyncio.open_unix_connection(unquote(self._upstream.path))
        return await asyncio.open_connection(self._upstream.hostname, self._upstream.port or 6379)

    async def _forth(self, link: Link, client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*_GONE):
            while True:
                raw, words = await read_command(client)
                await self._flowing.wait()
                if link.number in self._swallowed:
                    continue
                link.learn(words)
                command = Command(link.number, link.about.get("name", ""), self._name(words), words)
                self.commands.append(command)
                fate = self.judge(command)
                if fate is Fate.DROP_BEFORE:
                    break
                if words[0].upper() not in _UNANSWERED:
                    link.expected.append((command, fate))
                elif fate is not Fate.PASS:
                    link.doomed = True
                server.write(raw)
                await server.drain()
        self._break(link.number)

    async def _back(self, link: Link, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*_GONE):
            while True:
                reply = await read_reply(server)
                await self._flowing.wait()
                if link.number in self._swallowed:
                    continue
                fate = Fate.PASS
                if reply.startswith(b">"):
                    if link.doomed:
                        break
                    self.pushes += 1
                elif link.expected:
                    command, fate = link.expected.popleft()
                    await self._held(command)
                if fate is Fate.DROP_AFTER:
                    break
                reply = self.alter(reply)
                client.write(reply if fate is Fate.PASS else reply[: len(reply) // 2])
                await client.drain()
                if fate is Fate.DROP_WITHIN:
                    break
        self._break(link.number)

    async def _held(self, command: Command) -> None:
        hold = self._hold
        if hold is None or command.name != hold.step or command.of_session != hold.of_session:
            return
        if not hold.arrived.is_set():
            hold.arrived.set()
            await hold.released.wait()

    def _name(self, words: tuple[bytes, ...]) -> str:
        if words[0].upper() in (b"EVALSHA", b"EVALSHA_RO"):
            return self._scripts.get(words[1], "?")
        return words[0].decode().upper()

    def _break(self, number: int) -> None:
        for writer in self._links.pop(number, ()):
            writer.close()
