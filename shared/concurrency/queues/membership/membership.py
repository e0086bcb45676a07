"""A process's part in one queue: its session there, when it ends, and what it holds."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol
from weakref import ref

from shared.concurrency.session.calls import Call, Calls
from shared.concurrency.session.clock import boottime, margin
from shared.concurrency.session.log import Log
from shared.concurrency.session.names import leased_key, queue_keys
from shared.concurrency.session.scripts import Script, load
from shared.concurrency.session.server_errors import Disconnected, Postponed

log = Log("queues")

# A lane's record is needed for as long as a request may be repeated; a day outlives every outage that a caller waits out.
_KEEP_LANES_MS: Final = 24 * 3600 * 1000


class Holding(Protocol):
    """What a session holds in a queue, and is told when it is lost."""

    def lose(self) -> None:
        """Take note that the session is over."""


class Membership:
    """One session after the other of one process in one queue.

    A session that passed its deadline is over for ever (rule 8): the process goes on under a new id.
    """

    def __init__(self, calls: Calls, owner: str, ttl: float, name: str) -> None:
        """Prepare; `ready` registers."""
        self.name = name
        self.owner = owner
        self.keys: dict[str, bytes] = queue_keys(name)
        self._prefix = leased_key(name, "").removesuffix(b"leased:")
        self.held: dict[bytes, Holding | ref[Holding] | None] = {}
        """Fields of the deliveries handed to us and not settled by an answer yet; None while nobody has started
        them, a weak reference where the holder may be forgotten."""
        self.on_over: list[Callable[[], None]] = []
        self.run_id = ""
        self.draining = asyncio.Event()
        """Set when this process, a consumer service, was told to drain."""
        self._is_consumer = False
        self.calls: Final = calls
        self._ttl = ttl
        self._epoch = 0
        self._deadline = float("inf")
        self._wishes: dict[str, int] = {}
        self._registered = False
        self._registration: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._register = load("register")
        self._begin()

    def _begin(self) -> None:
        # First: the heartbeat's thread must not renew a session that nobody has registered, and find it over.
        self._fresh = True
        self._epoch += 1
        self.session_id = f"{self.owner}.{self._epoch}.{round(self._ttl * 1000)}"
        self.keys = {**self.keys, "leased": leased_key(self.name, self.session_id)}
        self._registered = False
        self._deadline = float("inf")

    @property
    def registered(self) -> bool:
        """Whether the queue knows this session and our wishes."""
        return self._registered

    def wish(self, maxsize: int | None, max_attempts: int | None) -> None:
        """Have these settings stored at the next registration, unless others are stored already."""
        wishes = {"maxsize": maxsize, "max_attempts": max_attempts}
        fresh = {word: value for word, value in wishes.items() if value is not None and word not in self._wishes}
        if fresh:
            self._wishes |= fresh
            self._registered = False

    def can_drain(self) -> None:
        """Have this process known as a consumer service, which can be told to drain, from its next call on."""
        if not self._is_consumer:
            self._is_consumer = True
            self._registered = False

    async def ready(self) -> None:
        """Wait until this session is registered.

        :raises ConcurrencyError: when the server will not have it.
        """
        while not self._registered:
            registration = self._registration
            if registration is None or registration.done():
                registration = self._registration = asyncio.create_task(self._register_now(), name="weir-register")
            await asyncio.wait({registration})
            # `self._registration` may be another one by now: whoever woke first found the session over again.
            if not registration.cancelled():
                registration.result()

    async def _register_now(self) -> None:
        session_id, wishes, is_consumer = self.session_id, dict(self._wishes), self._is_consumer
        sent_at, (now, deadline, maxsize, max_attempts) = await self._ask_to_register(session_id, wishes)
        if session_id != self.session_id:
            return
        if self._fresh:
            self._deadline = sent_at + (deadline - now) / 1000 - margin(self._ttl)
        self._fresh = False
        self._registered = (wishes, is_consumer) == (self._wishes, self._is_consumer)
        for word, stored in (("maxsize", maxsize), ("max_attempts", max_attempts)):
            if word in wishes and wishes[word] != stored:
                log.warning(
                    "the queue keeps the value it has: only resize() changes maxsize",
                    queue=self.name, setting=word, stored=stored, ignored=wishes[word],
                )  # fmt: skip
                self._wishes[word] = stored

    async def _ask_to_register(self, session_id: str, wishes: dict[str, int]) -> tuple[float, list[int]]:
        while True:
            # Not the time of an outage: a session that begins with its deadline behind it is over at once.
            await self.calls.opened()
            sent_at = boottime()
            try:
                return sent_at, await self.calls.now(
                    Call(
                        self._register,
                        self.keys,
                        (
                            session_id,
                            int(self._fresh),
                            wishes.get("maxsize", ""),
                            wishes.get("max_attempts", ""),
                            self.run_id,
                            _KEEP_LANES_MS,
                            int(self._is_consumer),
                        ),
                    )
                )
            except Disconnected:
                continue  # the next call waits for a connection
            except Postponed:
                await asyncio.sleep(0.1)

    def hold(self, field: bytes, holding: Holding) -> None:
        """Have a delivery told when the session is over; at once if it is already."""
        if field in self.held:
            self.held[field] = ref(holding)
        else:
            holding.lose()

    # --- what the heartbeat asks, in its thread ---------------------------------------------------------------------

    @property
    def shortest_ttl(self) -> float:
        """The session's time to live, once the queue knows the session."""
        return math.inf if self._fresh else self._ttl

    def greeting(self, run_id: str) -> Call:
        """Tell the queue which run of the server this is."""
        return Call(load("announce"), self.keys, (run_id,))

    def renewal(self, run_id: str, loop_idle: float) -> Call | None:  # noqa: ARG002
        """Renew the session, unless the loop hangs."""
        hang_after = max(3 * self._ttl, 10.0)
        if loop_idle > hang_after:
            log.error("the event loop hangs: sessions are no longer renewed", queue=self.name, seconds=hang_after)
            return None
        keys, session_id = self.keys, self.session_id
        return None if self._fresh else Call(load("renew"), keys, (session_id,))

    def renewed(self, call: Call, sent_at: float, answer: list[Any]) -> None:
        """Take note of the answer to a renewal."""
        (session_id,) = call.arguments
        live, now, deadline, drain = answer
        if drain:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self.draining.set)
        if live:
            if session_id == self.session_id and not self._fresh:
                self._deadline = max(self._deadline, sent_at + (deadline - now) / 1000 - margin(self._ttl))
        else:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self.over, str(session_id))

    # --- the end of a session -----------------------------------------------------------------------------------------

    def look_at_clock(self) -> None:
        """End the session when its deadline has passed."""
        if boottime() > self._deadline:
            self.over(self.session_id)

    def over(self, session_id: str) -> None:
        """End this session, unless it has ended: what it holds is lost, and a new one begins."""
        if session_id != self.session_id:
            return
        log.warning("the session passed its deadline; going on as a new one", queue=self.name, lost=len(self.held))
        lost, self.held = self.held, {}
        self._begin()
        _tell_lost(lost)
        for react in self.on_over:
            react()

    async def call(
        self,
        script: Script,
        *arguments: bytes | str | int,
        keys: Mapping[str, bytes] | None = None,
        more_keys: Sequence[bytes] = (),
        at_reply: Callable[[Any], object] | None = None,
    ) -> Any:
        """Run a step that may be repeated, waiting out an outage; `more_keys`, `at_reply`: see Call.

        :raises ConcurrencyError: when the server refuses the step for good, or its memory is full.
        """
        return await self.calls.insist(Call(script, keys or self.keys, arguments, more_keys, at_reply))

    async def call_once(
        self,
        script: Script,
        keys: Mapping[str, bytes],
        *arguments: bytes | str | int,
        at_reply: Callable[[Any], object],
    ) -> Any:
        """Run a step that may not be repeated as it is; `at_reply`: see Call.

        :raises Disconnected: when nobody knows whether it ran.
        :raises ConcurrencyError: when the server refuses it for good.
        """
        return await self.calls.once(Call(script, keys, arguments, at_reply=at_reply))

    def owns(self, key: bytes) -> bool:
        """Whether the queue keeps its own state under this key."""
        return key.startswith(self._prefix) and (key in self.keys.values() or key.startswith(self._prefix + b"leased:"))

    async def recover(self, session_id: str) -> None:
        """Give the queue back what an overdue session held."""
        keys = {**self.keys, "leased": leased_key(self.name, session_id)}
        left = 1
        taken = 0
        while left:
            count, left = await self.call(load("recover"), session_id, keys=keys)
            taken += count
        if taken:
            log.warning("recovered the deliveries of a dead session", queue=self.name, session=session_id, count=taken)

    async def leave_behind(self, session_id: str) -> None:
        """Give back what a former session of ours was handed after we had gone on."""
        await self._leave(session_id, b"")

    async def announce(self) -> None:
        """Tell the queue which run of the server this is; on a connection that is not open to others yet."""
        await self.calls.now(Call(load("announce"), self.keys, (self.run_id,)))

    async def leave(self, withdrawn: bytes) -> None:
        """Give back what the session holds and end it."""
        lost, self.held = self.held, {}
        _tell_lost(lost)
        if self._registration is not None:
            await asyncio.wait({self._registration})  # its session may be there when the answer is not
        if self._fresh and not withdrawn:
            return
        await self._leave(self.session_id, withdrawn)

    async def _leave(self, session_id: str, withdrawn: bytes) -> None:
        keys = {**self.keys, "leased": leased_key(self.name, session_id)}
        left = 1
        while left:
            _, left = await self.call(load("leave"), session_id, withdrawn, keys=keys)

    async def stop(self) -> None:
        """End what is under way."""
        if self._registration is not None:
            self._registration.cancel()
            await asyncio.wait({self._registration})


def _tell_lost(held: dict[bytes, Holding | ref[Holding] | None]) -> None:
    for holder in held.values():
        holding = holder() if isinstance(holder, ref) else holder
        if holding is not None:
            holding.lose()
