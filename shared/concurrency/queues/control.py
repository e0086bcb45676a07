"""What operators do with a queue as a whole: look at it, stop it, change its bound, put dead letters back."""

import asyncio
from collections.abc import Iterable
from types import EllipsisType
from typing import Final

from shared.concurrency.checks import check_count, check_seconds
from shared.concurrency.errors import QueueShutDown
from shared.concurrency.queues.consumers import Consumers
from shared.concurrency.queues.dead_letters import DeadLetter, DeadLetters, Selection
from shared.concurrency.queues.encoding.flow import LEVEL_OF_FLOW, check_name, stored_name
from shared.concurrency.queues.encoding.outgoing import check_id
from shared.concurrency.queues.limits import OF_SHARES, QueueLimit, gate_of, numbers_of, read_limits
from shared.concurrency.queues.participant import QueueParticipant
from shared.concurrency.queues.results.cancellation import LONGEST_WAIT, NAMED, Cancellation
from shared.concurrency.queues.settings import LARGEST_BOUND, changes_of
from shared.concurrency.queues.shares import MOST_SHARES, QueueShare, largest_shares, words_of_weight
from shared.concurrency.queues.statistics import QueueSession, QueueStatistics, read_statistics
from shared.concurrency.rate import Rate

_LOOK_AGAIN: Final = 1.0


class QueueControl:
    """The half of Queue that needs no messages.

    An operation (shutdown, reopen, pause, resume, resize, weigh, drain, replay, discard) has one effect, though its
    answer is lost and it is sent again. Cancelled, also by asyncio.timeout, a call is sent no more; one that is on its
    way may have its effect.
    """

    def __init__(self, participant: QueueParticipant) -> None:
        """`participant`: what this process has at the queue."""
        self._participant = participant
        self._consumers = Consumers(participant.ask, participant.operate, participant.member)

    async def qsize(self) -> int:
        """How many messages are pending: never delivered yet."""
        return (await self.statistics()).pending

    async def statistics(self) -> QueueStatistics:
        """Count the queue, in one round trip."""
        return read_statistics(await self._participant.ask("statistics"))

    async def join(self) -> None:
        """Wait until every message put so far, and while we wait, is acknowledged or a dead letter.

        While the queue is paused nothing is handed out, so this waits for `resume` too.
        """
        finished = self._participant.finished
        while True:
            finished.clear()
            if await self._participant.ask("join", self._participant.member.session_id) <= 0:
                return
            # The script that finishes the last message notifies us; once a second is insurance.
            try:
                async with asyncio.timeout(_LOOK_AGAIN):
                    await finished.wait()
            except TimeoutError:
                continue

    async def shutdown(self, immediate: bool = False) -> None:  # noqa: FBT001, FBT002  # asyncio's signature
        """Shut the queue down for all processes: puts raise QueueShutDown, waiting ones too; gets once all is done.

        `immediate`: nothing more is delivered. What waits for delivery becomes dead letters (reason `shutdown`), and so
        does what fails or is given back from then on; nothing accepted is dropped. `reopen` ends it. A queue that is
        paused stays so: without `immediate` it is not done until `resume`.
        """
        await self._in_parts("shutdown", first=(int(immediate), 1), later=(int(immediate), 0))

    async def reopen(self) -> None:
        """End a shutdown; does nothing when there is none."""
        await self._in_parts("reopen")

    async def pause(self) -> None:
        """Hand out nothing, in any process, until `resume`; does nothing when the queue is paused already.

        Puts go in while there is room, and wait then. What is in consumers' hands is settled as ever, and recovered
        from the dead. `get` waits, `get_nowait` raises QueueEmpty.
        """
        await self._participant.operate("pause")

    async def resume(self) -> None:
        """End a pause, and wake all who wait in `get`; does nothing when there is none."""
        await self._participant.operate("resume")

    async def resize(
        self,
        maxsize: int | None = None,
        *,
        max_attempts: int | None = None,
        max_crashes: int | EllipsisType | None = ...,
        max_dead: int | EllipsisType | None = ...,
        dead_for: float | EllipsisType | None = ...,
    ) -> None:
        """Change the stored bound; 0 for none. After a shrink nothing enters until there is room.

        The other settings are those of `Queue`, and are changed in the same step; what is left out stays as it is.
        None is no limit for `max_crashes`, `max_dead` and `dead_for`. They hold from the next failure, crash or dead
        letter on, in all processes; dead letters beyond a new limit go with renewals.

        :raises ValueError: when a number is out of range, or none is given.
        """
        changes = changes_of(maxsize, max_attempts, max_crashes, max_dead, dead_for)
        bound = changes.pop("maxsize", "")
        others = [word for both in changes.items() for word in both]
        await self._in_parts("resize", first=(bound, *others), later=("",))

    async def weigh(self, share: str, weight: float) -> None:
        """Give a share so many turns for each of another one, from a thousandth to 1,000; 1 is what each has.

        Stored with the queue. It holds for what is put, or comes again, from then on.

        :raises TypeError, ValueError: when the share is no text of 1 to 1,000 characters, or the weight is out of
            range; nothing was sent.
        """
        await self._operate_on_flow("weigh", *words_of_weight(share, weight))

    async def shares(self, most: int = 20) -> list[QueueShare]:
        """The shares that have most in the queue and in the line, the largest first; 1,000 of them at most.

        Counted by their turns, so about, and after `weigh` as if all had been put with the new weight. Not read in one
        step.
        """
        check_count("most", most, 1, MOST_SHARES)
        return await largest_shares(self._participant.ask, most)

    async def _in_parts(
        self, script: str, *, first: tuple[str | int, ...] = (), later: tuple[str | int, ...] = ()
    ) -> None:
        """Run an operation until nothing of it is left; from its beginning where the server has come back meanwhile.

        `first` and `later`: the words that begin it and that go on with it. What came back may be older data, which
        knows nothing of it.
        """
        member, begins, left = self._participant.member, True, 1
        while left > 0 or begins:
            run_id = member.run_id
            (left,) = await self._participant.operate(script, *(first if begins else later))
            begins = member.run_id != run_id

    async def cancel(self, id: str, *, timeout: float = 5.0) -> Cancellation:  # noqa: A002, ASYNC109  # as Queue.put; for the outcome
        """Cancel a message, in any state; returns what became of it.

        It never begins again from then on, in no attempt, whoever dies: it is removed where it waits, and its handler
        is stopped where it runs. `id`: the one that it was put under, or `delivery.id`; of a message without an id that
        is its key. `timeout`: seconds to wait for whoever has it in hands; ASKED when that was too short, and 0 waits
        for the server's answer only. An acknowledgement that is on its way wins: FINISHED. A put that waits for room
        raises MessageCancelled, and whoever submitted the message gets RemoteError with the reason `cancelled`.

        The id stays known: a put under it adds nothing until `forget`. An outage is waited out.

        :raises ValueError: when it is no id, or the timeout is out of range; nothing was sent.
        """
        check_id(id)
        check_seconds("timeout", timeout, 0, LONGEST_WAIT)
        return await self._participant.canceller.cancel(id, timeout)

    async def cancel_unique(self, name: str, *, timeout: float = 5.0) -> Cancellation:  # noqa: ASYNC109  # as `cancel`
        """Cancel the message that waits under a name of `put_unique`; as `cancel`.

        A put of the name after this one returned is a new message. One that was handed out has no name: UNKNOWN, unless
        another waits. Puts of the name that wait for room raise MessageCancelled.

        :raises ValueError, TypeError: as `put_unique` and `cancel`; nothing was sent.
        """
        stored = stored_name(check_name("once", name))
        check_seconds("timeout", timeout, 0, LONGEST_WAIT)
        return await self._participant.canceller.cancel(f"{NAMED}{stored}", timeout)

    async def forget(self, id: str) -> bool:  # noqa: A002  # as Queue.put
        """Forget an id: a put under it adds a message again, whatever became of the one that had it.

        Returns whether it was known. Of a put that still waits for room the id is not known yet: it will be, from when
        the message is let in. A future of `submit` gets its result all the same. Waits for the server's answer; a
        cancelled call may have forgotten it or not.

        :raises ValueError: when it is no id.
        """
        check_id(id)
        (was_known,) = await self._participant.operate("forget", id)
        return bool(was_known)

    # --- limits -----------------------------------------------------------------------------------------------------

    async def limit(self, name: str, *, at_once: int | None = None, rate: Rate | None = None) -> None:
        """Limit the messages that were put with this `limit=`, in all processes; None for both lifts it.

        `at_once`: so many are in hands at most. `rate`: no more are delivered in any time than it has, and one burst; a
        delivery counts, though it is given back. What is over it waits on the server: no attempt, no worker, no poll.
        Stored with the queue, and changed while it is used: what is in hands beyond a smaller number stays there. What
        was in hands before there was a limit does not count.

        :raises ValueError, TypeError: when the name or a number is none; nothing was sent.
        """
        gate, called = gate_of(name)
        await self._operate_on_flow("limit", gate, *numbers_of(at_once, rate), called)

    async def limit_shares(self, *, at_once: int | None = None, rate: Rate | None = None) -> None:
        """Limit the messages of each share alike; None for both lifts it. Otherwise as `limit`."""
        await self._operate_on_flow("limit", OF_SHARES, *numbers_of(at_once, rate), b"")

    async def _operate_on_flow(self, script: str, *words: str | bytes) -> None:
        member = self._participant.member
        member.need_level(LEVEL_OF_FLOW)
        await member.registration.ready()
        await self._participant.operate(script, *words)

    async def limits(self) -> list[QueueLimit]:
        """The limits of the queue, and how many messages of each are in hands and wait. Not read in one step."""
        limits: list[QueueLimit] = []
        cursor: bytes | str = "0"
        while True:
            cursor, found = await self._participant.ask("limits", cursor)
            limits += read_limits(found)
            if cursor == b"0":
                return sorted(limits, key=lambda each: each.name or "")

    # --- the processes at it ----------------------------------------------------------------------------------------

    async def sessions(self) -> list[QueueSession]:
        """The sessions of all processes at this queue, ours included; by owner. Not read in one step."""
        return await self._consumers.sessions()

    async def drain(self, owner: str | None = None) -> list[str]:
        """Notify consumer services to drain: the one with this owner, or all; returns the owners notified.

        `owner`: as `sessions` names it. Each takes no more, finishes what it handles and ends, as at SIGTERM; this does
        not wait for it. One that is cut off learns of it at its next renewal, a third of its time to live later. Other
        sessions (producers, whoever only calls `get`) are not notified.
        """
        return await self._consumers.drain(owner)

    # --- dead letters -----------------------------------------------------------------------------------------------

    @property
    def letters(self) -> DeadLetters:
        """The dead letters, to be read, put back and deleted by id, class or reason, however many there are."""
        return DeadLetters(self._participant.ask, self._participant.operate)

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """Read the oldest dead letters."""
        check_count("limit", limit, 1, LARGEST_BOUND)
        return [letter async for letter in self.letters.find(Selection(), limit)]

    async def replay(self, keys: Iterable[str] | None = None) -> int:
        """Put dead letters (default: all) back into the queue, their counts reset, as far as there is room.

        Returns how many went in; the others stay dead letters. `letters.replay` says why.

        :raises QueueShutDown: when the queue is shut down.
        """
        outcome = await self.letters.replay(Selection() if keys is None else keys)
        if outcome.shut_down:
            raise QueueShutDown("the queue is shut down: reopen() it first")
        return outcome.replayed

    async def discard(self, keys: Iterable[str] | None = None) -> int:
        """Delete dead letters (default: all); returns how many."""
        return await self.letters.discard(Selection() if keys is None else keys)
