"""Calls: what one process asks of its server, sent in order and answered in order."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple
from weakref import WeakSet

import hiredis
from redis.exceptions import NoScriptError, ResponseError

from shared.concurrency.errors import ConcurrencyError, ServerRefused, WrongLoop
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.loads import Loads
from shared.concurrency.session.protocol import Wire
from shared.concurrency.session.refusals import Refusals
from shared.concurrency.session.replies import Replies
from shared.concurrency.session.run import Run
from shared.concurrency.session.scripts import Script
from shared.concurrency.session.server_errors import Disconnected, Forbidden, Postponed, translate, wrong_key
from shared.concurrency.session.tally import Tally

NO_ANSWER: Final = "it does not answer"
"""The problem with a server that says nothing."""


class Call(NamedTuple):
    """One run of a script, made once: where it is repeated, the same object is sent again."""

    script: Script
    keys: Mapping[str, bytes]
    """What the script calls each key -> the key."""
    arguments: tuple[bytes | str | int, ...] = ()
    more_keys: Sequence[bytes] = ()
    """Keys behind those of the script's header."""
    at_reply: Callable[[Any], object] | None = None
    """Gets the answer when it is read: before any push behind it, a turn of the loop before the caller. What it raises,
    the caller gets."""
    says_run: bool = False
    """Whether the last argument is the server's run_id, as the connection knows it that the call is sent on."""
    is_promise: bool = False
    """Whether the caller is answered once the replicas have it that `Session.open(replicas=)` asks for."""


class Insisting:
    """What runs a script again until it was carried out."""

    async def once(self, call: Call) -> Any:
        """Run a script that may not be repeated as it is."""
        raise NotImplementedError

    async def insist(self, call: Call) -> Any:
        """Run a script that may be repeated; waits out an outage.

        :raises ConcurrencyError: when the server refuses it for good, or its memory is full.
        """
        pause = 0.02
        while True:
            try:
                return await self.once(call)
            except Disconnected:
                pause = 0.02
            except Postponed:
                await asyncio.sleep(pause)
                pause = min(1.0, pause * 2)


class Calls(Insisting):
    """The calls of one process on its connection; callers wait for futures, so no cancellation reaches it."""

    def __init__(
        self,
        refusals: Refusals,
        tally: Tally | None = None,
        on_change: Callable[[], object] | None = None,
        replies: Replies | None = None,
    ) -> None:
        """Begin without a connection. `on_change` is called when callers may use it, and when they may not any more."""
        self.problem = NO_ANSWER
        """Why the last attempt to connect failed."""
        self.run: Final = Run()
        """Which run of the server is at the other end."""
        self.is_on_cluster = False
        """Whether the server is a node of a Cluster."""
        self.is_open = False
        """Whether callers may use the connection now: `opened` would return at once."""
        self.tally: Final = Tally() if tally is None else tally
        """What this process counts."""
        self._refusals = refusals
        self._wire: Wire | None = None
        self.replies: Final = Replies() if replies is None else replies
        """Those that are awaited."""
        self._usable = asyncio.Event()
        self.refusal: ConcurrencyError | None = None
        """What callers get: the server refuses, the session is closed, or this is a forked child, which inherits it."""
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._loads = Loads(self._send)
        _all.add(self)

    # --- what callers use -------------------------------------------------------------------------------------------

    async def opened(self) -> None:
        """Wait until the connection can be used.

        :raises ServerRefused: when the server answers but cannot be used as it is.
        :raises ConcurrencyError: when the session is closed.
        """
        await self._usable.wait()
        if self.refusal is not None:
            raise self.refusal

    async def once(self, call: Call) -> Any:
        """Run a script that may not be repeated as it is; while there is no connection, wait for one.

        :raises Disconnected: when the connection broke before the answer came: nobody knows whether it ran.
        :raises Postponed: when the server refused it for now, OutOfMemory when its memory is full.
        :raises ServerRefused: when the server refuses it for good.
        :raises ConcurrencyError: when a key of ours holds something that is not ours.
        """
        if not self.is_open:
            await self.opened()
        return await self.now(call)

    async def now(self, call: Call) -> Any:
        """As `once`, but does not wait for a connection.

        :raises Disconnected: also when there is none.
        """
        script = call.script
        first = call.keys[script.keys[0]]
        arguments = (*call.arguments, self._run_of_server()) if call.says_run else call.arguments
        packed = script.pack(call.keys, arguments, call.more_keys)
        at_reply, is_promise = call.at_reply, call.is_promise
        try:
            try:
                answer = await self.command(
                    script.command, script.sha, *packed, at_reply=at_reply, is_promise=is_promise
                )
            except NoScriptError:
                again = partial(
                    self.command, script.command, script.sha, *packed, at_reply=at_reply, is_promise=is_promise
                )
                answer = await self._loads.behind(script, again)
        except ResponseError as error:
            if "WRONGTYPE" in str(error):
                kinds = {word: await self._type_of(call.keys[word]) for word in script.keys}
                raise wrong_key(script, call.keys, kinds) from error
            refusal = translate(error, script)
            is_of_ours = not call.more_keys or (isinstance(refusal, Forbidden) and await self._is_forbidden(first))
            refusal = self._refusals.judge(script, first, refusal, is_of_ours=is_of_ours)
            if self._wire is not None and self._refusals.is_elsewhere(script, first, refusal):
                self.problem = str(refusal)
                self._wire.close()
            try:
                raise refusal from error
            finally:
                del refusal  # as in `command`
        self._refusals.accept(script, first)
        return answer

    async def command(
        self,
        *command: bytes | str | int,
        at_reply: Callable[[Any], object] | None = None,
        is_promise: bool = False,
    ) -> Any:
        """Run a command on the present connection, also before callers may use it.

        :raises Disconnected: when there is none, or it broke before the answer came.
        :raises WrongLoop: in a forked child.
        """
        reply = self._send(*command, at_reply=at_reply)
        if is_promise:
            self.replies.promise(self._send)
        answer = await reply
        if isinstance(answer, Exception):
            try:
                raise answer
            finally:
                # Its traceback leads to this frame: they would keep each other, and the caller's objects, alive.
                del answer, reply
        return answer

    def _send(
        self, *command: bytes | str | int, at_reply: Callable[[Any], object] | None = None
    ) -> asyncio.Future[Any]:
        wire = self._wire
        if wire is None or not wire.is_open:
            # It broke, and the watch has not noticed yet: whoever calls again waits for the next connection.
            self._forget_wire()
            raise self.refusal if isinstance(self.refusal, WrongLoop) else Disconnected(self.problem)
        # Before the reply is awaited: what cannot be packed must not shift all answers by one.
        packed = pack(*command)
        reply: asyncio.Future[Any] = self._loop.create_future()
        self.replies.expect(reply, at_reply)
        wire.send(packed)
        return reply

    def _run_of_server(self) -> str:
        if not self.run.is_known:  # the connection is not greeted yet: the run that we know may be the one before
            raise Disconnected(self.problem)
        return self.run_id

    async def _is_forbidden(self, key: bytes) -> bool:
        """Whether the server forbids this key of ours, too: then the application's keys are not what it minds."""
        try:
            await self.command("TYPE", key)
        except ResponseError:
            return True
        return False

    async def _type_of(self, key: bytes) -> str:
        found = await self.command("TYPE", key)
        return found.decode() if isinstance(found, bytes) else str(found)

    @property
    def replicas(self) -> int:
        """How many replicas must have what is promised."""
        return self.replies.replicas

    def why_they_wait(self) -> str:
        """What the server refuses now, in its words, or why there is no connection."""
        return self._refusals.words() or self.problem

    @property
    def run_id(self) -> str:
        """The run_id of the server at the other end; `?` and a number where it does not tell."""
        return self.run.id

    @property
    def connection(self) -> object:
        """The connection that `now` sends on, if any: what was sent on another one may run behind that."""
        return self._wire

    @property
    def is_busy(self) -> bool:
        """Whether a call is not answered."""
        return bool(self.replies)

    # --- what the connection does -----------------------------------------------------------------------------------

    def attach(self, wire: Wire) -> None:
        """Send on this wire from here on; `open_up` lets callers use it."""
        self._wire = wire
        self.run.is_known = False
        self._loads.forget()

    def leads_to(self, run_id: str) -> None:
        """Note which run of the server the connection leads to; empty where it does not tell."""
        self.run.leads_to(run_id)

    def open_up(self) -> None:
        """Let callers use the connection."""
        self.refusal = None
        self.is_open = True
        self._usable.set()
        self._changed()

    def refuse(self, reason: str) -> None:
        """Fail callers with the server's reason, until a connection can be used."""
        self.problem = reason
        if self.refusal is None:
            self.refusal = ServerRefused(reason)
            self.is_open = False
            self._usable.set()
            self._changed()

    def close(self) -> None:
        """Fail callers from here on: no connection will come."""
        self.refusal = ConcurrencyError("the session was closed before the server answered")
        self.is_open = False
        self._usable.set()
        self._changed()

    def answered(self, answer: Any) -> None:
        """Hand an answer to the call that has waited longest.

        :raises Unasked: when there is none, or that call cannot read it: it and all behind it may be for other calls.
        """
        self.replies.answered(answer)

    def silent_for(self) -> float:
        """For how many seconds nothing has come or gone while a call is not answered."""
        sent_at = self.replies.oldest
        if sent_at is None or self._wire is None:
            return 0.0
        return boottime() - max(sent_at, self._wire.moved_at())

    def drop(self) -> None:
        """Fail what is not answered: the connection was dropped."""
        self._forget_wire()
        self.replies.drop(self.problem)

    def in_child(self) -> None:
        """Send nothing, and read nothing, in a process that was forked: the connection is its parent's."""
        self.refusal = WrongLoop(
            "this session belongs to the process that opened it, and this is a forked child: open a session here"
        )
        self._usable.set()
        if self._wire is not None:
            self._wire.cut_off()

    def _forget_wire(self) -> None:
        self._wire = None
        self.is_open = False
        if self.refusal is None:
            self._usable.clear()
        self._changed()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change()


_all: Final[WeakSet[Calls]] = WeakSet()


def _in_child() -> None:
    for calls in _all:
        calls.in_child()


os.register_at_fork(after_in_child=_in_child)


def pack(*command: bytes | str | int) -> bytes:
    """A command as it goes over the wire."""
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub knows tuples of one only
    return packed
