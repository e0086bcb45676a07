"""The one connection of a session: it opens, greets, watches over answers, and comes back by itself.

redis-py's Connection opens it, our Wire reads it.
"""

import asyncio
import contextlib
import math
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from shared.concurrency.errors import ConcurrencyError, ServerRefused
from shared.concurrency.session.address.address import Address
from shared.concurrency.session.address.causes import causes
from shared.concurrency.session.address.certificates import tls_refusal
from shared.concurrency.session.address.connections import connection
from shared.concurrency.session.address.credentials import WrongCredentials
from shared.concurrency.session.address.grammar import FORMS
from shared.concurrency.session.address.leaving import leaving
from shared.concurrency.session.admission import Admission
from shared.concurrency.session.calls import NO_ANSWER, Calls
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.examination import Examination
from shared.concurrency.session.futures import retrieve
from shared.concurrency.session.log import Log
from shared.concurrency.session.names import channel
from shared.concurrency.session.outage import Outage
from shared.concurrency.session.protocol import Wire
from shared.concurrency.session.server_errors import Disconnected, lacks

log = Log("session")

# What a server answers that wants a password, or another one.
_NO_ENTRY: Final = re.compile(r"NOAUTH|WRONGPASS|HELLO must be called|invalid username-password")
# What it answers when the address names a database that it does not have.
_NO_DATABASE: Final = re.compile(r"DB index|SELECT is not allowed")
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0
_LONGEST_IN_A_FAILOVER: Final = 0.2
LOST: Final = (RedisError, OSError, TimeoutError, EOFError)
"""What redis-py raises when a connection is lost."""


class Connection:
    """One RESP3 connection for calls and pushes, so that both come in the order in which the server sent them."""

    def __init__(
        self,
        address: Address,
        owner: str,
        calls: Calls,
        *,
        reply_timeout: float,
        refusal_grace: float,
        on_message: Callable[[bytes], None],
        on_connected: Callable[[str], Awaitable[None]],
        on_lost: Callable[[], None],
    ) -> None:
        """Prepare; `start` connects.

        `on_connected` gets the server's run_id; it may use `Calls.now`, and other callers wait until it returns.
        A call that is not answered, and no byte that comes or goes for `reply_timeout` seconds, mean that the
        connection is dead. A server that let us in before and does not now is waited for `refusal_grace` seconds until
        callers fail.
        """
        self._channel = channel(owner)
        self._address = address
        self._calls = calls
        self._examination = Examination(calls, f"weir-{owner}")
        self._reply_timeout = reply_timeout
        self._admission = Admission(refusal_grace)
        self._on_message = on_message
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._greeted = False
        self._pause = _FIRST_PAUSE
        self._outage = Outage(log, "no connection to the server", "connected to the server again", owner=owner)
        self._runner: asyncio.Task[None] | None = None

    @property
    def leads_to(self) -> str:
        """Its address, for people."""
        return self._address.shown

    def start(self) -> None:
        """Begin to connect, and to connect again whenever the connection breaks."""
        self._runner = asyncio.create_task(self._run(), name="weir-connection")

    async def close(self) -> None:
        """Disconnect for good."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait({self._runner})

    async def _run(self) -> None:
        while True:
            began = boottime()
            try:
                await self._live()
            except Exception as error:  # noqa: BLE001  # every call of this process waits for this task
                self._report(error, is_first_refusal=began <= self._admission.refused_since < math.inf)
            await asyncio.sleep(self._pause)
            # Sentinels are asked more often: what they know changes in a moment.
            longest = _LONGEST_IN_A_FAILOVER if self._address.leads_to_primary else _LONGEST_PAUSE
            self._pause = min(longest, self._pause * 2)

    async def _live(self) -> None:
        """Open a connection and watch over it; raises what ends it, once calls and parts know."""
        opened = connection(self._address, protocol=3, socket_timeout=None, retry=Retry(NoBackoff(), 0))
        wire: Wire | None = None
        try:
            async with asyncio.timeout(self._reply_timeout):
                await opened.connect()  # type: ignore[no-untyped-call]
            wire = Wire(opened, self._calls.answered, self._pushed)
            self._calls.attach(wire)
            await self._greet(wire)
            self._pause = _FIRST_PAUSE
            self._greeted = True
            self._calls.tally.add("connections")
            self._admission.grant()
            self._calls.open_up()
            asyncio.get_running_loop().call_soon(self._report_open)
            async with leaving(self._address, opened) as left:
                await self._watch(wire, left)
        except Exception as error:
            self._calls.problem = described(error)
            if (reason := refusal(error)) is not None:
                self._refuse(reason)
            raise
        finally:
            self._drop(wire)
            with contextlib.suppress(Exception):
                await opened.disconnect(nowait=True)

    def _refuse(self, reason: str) -> None:
        self._calls.problem = reason
        self._admission.refuse()
        if self._admission.is_refused_for_good():
            self._calls.refuse(reason)

    def _report_open(self) -> None:
        if self._greeted:  # else it is lost again already
            self._outage.is_over()

    def _report(self, error: Exception, *, is_first_refusal: bool) -> None:
        problem = self._calls.problem
        if not isinstance(error, (*LOST, ConcurrencyError)):
            log.defect(error, "a defect ended the connection; it is opened again", problem=problem)
        if is_first_refusal and not self._admission.is_refused_for_good():
            log.warning(
                "the server refuses what it accepted before; calls wait",
                reason=problem,
                grace_seconds=self._admission.grace,
            )
        if self._admission.was_granted:  # before that, whoever opens the session gets the reason
            self._outage.goes_on(problem)

    async def _greet(self, wire: Wire) -> None:
        greeting = asyncio.create_task(self._introduce(wire), name="weir-greeting")
        greeting.add_done_callback(retrieve)
        ends: set[asyncio.Future[Any]] = {greeting, wire.lost}
        try:
            done, _ = await asyncio.wait(ends, timeout=self._reply_timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            greeting.cancel()
            await asyncio.wait({greeting})
        if not done:
            raise Disconnected("the server does not answer")
        if greeting.cancelled():
            raise wire.lost.result() or Disconnected(self._calls.problem)
        greeting.result()

    async def _introduce(self, wire: Wire) -> None:
        server = await self._examination.examine()
        if server.is_replica and not (self._address.leads_to_primary or server.is_on_cluster):
            raise self._refusal_of_a_replica()
        if not wire.is_open:
            raise Disconnected(self._calls.problem)
        try:
            # It has a place among the answers: success comes as a push, a refusal as an answer.
            await self._calls.command(b"SUBSCRIBE", self._channel)
        except ResponseError as error:
            raise lacks(error) or ServerRefused(
                f"the server does not let us subscribe to {self._channel.decode()}: {error}. Allow the channels of this "
                "project: ACL SETUSER <user> +subscribe &weir:* (`./run pipeline acl` prints all that is needed)"
            ) from error
        self._calls.leads_to(server.run_id)
        self._calls.run.round_trip = server.round_trip
        self._calls.is_on_cluster = server.is_on_cluster
        await self._on_connected(self._calls.run.id)

    def _refusal_of_a_replica(self) -> ConcurrencyError:
        """Final at first; a primary that became a replica is waited for, as its address may lead elsewhere."""
        problem = (
            "the server is a replica, which takes no writes. Give the address of its primary, or of sentinels that know "
            f"it: {FORMS['sentinel']}"
        )
        return Disconnected(problem) if self._admission.was_granted else ServerRefused(problem)

    def _pushed(self, push: list[Any]) -> None:
        if push[0] == b"message":
            self._on_message(push[2])
        elif push[0] == b"subscribe":
            self._calls.answered(push)

    async def _watch(self, wire: Wire, left: "asyncio.Future[None]") -> None:
        ends: set[asyncio.Future[Any]] = {wire.lost, left}
        while not wire.lost.done():
            await asyncio.wait(ends, timeout=self._reply_timeout / 4, return_when=asyncio.FIRST_COMPLETED)
            if left.done():
                left.result()
                raise Disconnected("another server leads now")
            if not wire.lost.done() and self._calls.silent_for() > self._reply_timeout:
                raise Disconnected("the server does not answer")
        raise wire.lost.result() or Disconnected(self._calls.problem)

    def _drop(self, wire: Wire | None) -> None:
        was_greeted, self._greeted = self._greeted, False
        if wire is not None:
            wire.close()
        self._calls.drop()
        if was_greeted:
            self._on_lost()


def refusal(error: Exception) -> str | None:
    """Why the server does not serve us, and what to do; None when it is only out of reach."""
    return tls_refusal(error) or _refusal(lacks(error) or error)


def _refusal(error: Exception) -> str | None:
    if isinstance(error, AuthenticationError | NoPermissionError):
        return f"the server does not let us in: {error}. Check user, password and ACL rules of the address"
    if isinstance(error, ServerRefused) or any(isinstance(each, WrongCredentials) for each in causes(error)):
        return str(error)
    if not isinstance(error, (*LOST, ConcurrencyError)):
        return None
    if _NO_ENTRY.search(str(error)):
        return f"the server does not let us in: {error}. Is there a password in the address, or the right one where it comes from?"
    if _NO_DATABASE.search(str(error)):
        return (
            f"the server does not have the database of the address: {error}. The address ends in its number, which is 0 "
            "nearly always"
        )
    return None


def described(error: BaseException) -> str:
    """What an error says, with its kind."""
    if isinstance(error, TimeoutError) and not str(error):
        return NO_ANSWER
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
