"""Settler: plain settlements go with the next take, acknowledgements with effects through a lane of their own."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from shared.concurrency.errors import EffectRefused, InvalidResult
from shared.concurrency.queues.deliveries.account import log_forwarded, log_settled
from shared.concurrency.queues.deliveries.handout import Handout
from shared.concurrency.queues.effects.effects import Effects
from shared.concurrency.queues.effects.lane import EffectLane
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.results.progress import ProgressLane
from shared.concurrency.queues.takes.lane import TakeLane
from shared.concurrency.queues.takes.settlements import LARGE
from shared.concurrency.session.futures import reject, resolve
from shared.concurrency.session.log import Log

T = TypeVar("T")

log = Log("queues")

_REFUSED_AGAIN_MS: Final = 1000

Refused: TypeAlias = "Callable[[Settler, Handout[T], Exception], None]"
"""What a consumer does with a delivery whose result or effects were refused."""


class Settler:
    """Settles the deliveries of one process at one queue."""

    def __init__(self, member: Membership, takes: TakeLane, check_here: Callable[[], None]) -> None:
        """Prepare the lane of effects and that of progress beside the lane of takes."""
        self._member = member
        self._level: Final = member.level
        self.takes: Final = takes
        self.effects: Final = EffectLane(member, self)
        self._progress = ProgressLane(member)
        self._loop = asyncio.get_running_loop()
        self.give_back_from_any_thread = takes.give_back_from_any_thread
        self.check_here = check_here

    # --- what deliveries use ----------------------------------------------------------------------------------------

    def settle(
        self, entry: bytes, kind: str, value: int | str | bytes = 0, report: str = "",
        *, headers: bytes = b"", trace: str = "",
    ) -> asyncio.Future[None]:  # fmt: skip
        """Settle with the next call, which goes at once; the future fails with StaleDelivery when it was not ours."""
        answer = self.takes.settle(entry, kind, value, report, headers=headers, trace=trace)
        if log.is_debug:
            answer.add_done_callback(partial(log_settled, self._member.name, entry, kind, value))
        return answer

    def apply(self, receipt: bytes, effects: Effects, outcome: bytes) -> asyncio.Future[None]:
        """Acknowledge and write the effects in one step; `outcome` is empty where nobody asked for the result.

        :raises EffectRefused: when an effect cannot be sent.
        """
        answer: asyncio.Future[None] = self._loop.create_future()
        self.effects.submit(receipt, effects, outcome, partial(_answered, answer))
        return answer

    def settle_cancelled(self, receipt: bytes) -> None:
        """Settle a delivery whose message was cancelled, unless that was done or its session is over."""
        held = self._member.held
        if held.get(receipt) is not None:
            held[receipt] = None
            _ = self.takes.settle(receipt, "cancelled")  # refused: it was ended elsewhere

    def report(self, receipt: bytes, progress: bytes, *, is_kept: bool) -> None:
        """Tell whoever submitted the message how far it is, and whoever listens by its id, where it `is_kept`."""
        self._progress.report(receipt, progress, is_kept=is_kept)

    def report_from_any_thread(self, receipt: bytes, progress: bytes, *, is_kept: bool) -> None:
        """As `report`, in any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(partial(self._progress.report, receipt, progress, is_kept=is_kept))

    def is_last_attempt(self, handout: Handout[Any], attempts: int | None) -> bool:
        """Whether another failure makes a dead letter of it; `attempts`: None for what is stored with the queue."""
        most = self._member.registration.max_attempts if attempts is None else attempts
        return handout.failures + 1 >= most

    # --- what the consumer service uses, which never waits for an answer ---------------------------------------------

    def acknowledge(self, handout: Handout[Any]) -> None:
        """Acknowledge with the next take: the usual end of a handout that is still held."""
        handout.state = "settled"
        receipt = handout.receipt
        settlements = self.takes.settlements
        settlements.acks.append(receipt)
        if self._level.needed and len(handout.entry) > LARGE:
            settlements.read_with_its_entry(handout.entry)
        # Nobody asks for the message any more: freed at once, it never gets in the way of the garbage collector.
        self._member.held[receipt] = None

    def acknowledge_with_more(self, handout: Handout[T], result: object, refused: "Refused[T]") -> None:
        """Acknowledge with the effects, and with the result where it is asked for.

        `refused` is called when either cannot be sent or written; the handout is still held then. A stale one is
        logged.
        """
        try:
            outcome = handout.outcome_of(result)
            if handout.collected:
                told = partial(self._applied, handout, refused)
                self.effects.submit(handout.receipt, handout.collected, outcome, told)
                handout.state = "settled"
                return
        except (EffectRefused, InvalidResult) as error:
            refused(self, handout, error)
            return
        handout.state = "settled"
        self.takes.settlements.add(handout.entry, "result", outcome)
        self._member.held[handout.receipt] = None

    def _applied(self, handout: Handout[T], refused: "Refused[T]", error: Exception | None) -> bool:
        """Take the answer to an acknowledgement with effects; it is settled here whatever that is."""
        if error is None:
            if log.is_debug and handout.collected is not None:
                log_forwarded(handout.id, handout.collected)
        elif isinstance(error, EffectRefused):
            # Other acknowledgements of the same answer are not looked at yet.
            self._loop.call_soon(self._refused, handout, refused, error)
        else:
            log.warning(
                "stale delivery: settled or recovered elsewhere",
                queue=self._member.name, id=handout.id, problem=str(error),
            )  # fmt: skip
        return True

    def _refused(self, handout: Handout[T], refused: "Refused[T]", error: EffectRefused) -> None:
        # Not before: held, it could be stopped, and the body of that is a worker that has gone on to another.
        handout.state = "held"
        refused(self, handout, error)
        self.takes.kick()  # no worker may be about to

    def settle_later(
        self, handout: Handout[Any], kind: str, value: int | str = 0, report: str = "",
        *, attempts: int | None = None, trace: str = "",
    ) -> None:  # fmt: skip
        """Settle with the next take; a refusal is logged. For the words see Settlements.add."""
        headers = handout.headers_after(report)
        self.takes.settlements.add(
            handout.settled_elsewhere(), kind, value, report, attempts=attempts, headers=headers, trace=trace
        )

    # --- the two lanes beside that of takes --------------------------------------------------------------------------

    async def flush(self) -> None:
        """Wait until everything settled so far is answered."""
        await self.effects.flush()
        await self.takes.flush()

    async def stop(self) -> None:
        """End both lanes; what is not answered yet fails."""
        await self.effects.stop()
        await self._progress.stop()

    # --- what the lane of effects uses -------------------------------------------------------------------------------

    def workers(self) -> int:
        """How many deliveries this process handles at once."""
        return self.takes.demand.getters.workers()

    def backpressure_changed(self) -> None:
        """Take, or take nothing: too much waits for room elsewhere, or for an answer."""
        self.takes.set_backpressure(is_on=self.effects.is_backpressured)

    def nack(self, receipt: bytes, report: str) -> None:
        """Nack what could not be acknowledged; nobody waits for the answer."""
        if receipt in self._member.held:
            self.takes.settle_unheard(receipt, "nack", _REFUSED_AGAIN_MS, report)

    def resync_needed(self) -> None:
        """Have the next take give back all that this process does not hold."""
        self.takes.resync_needed()


def _answered(answer: asyncio.Future[None], error: Exception | None) -> bool:
    """Complete what a caller waits for; whether there is one, for one that was cancelled settles nothing."""
    if answer.done():
        return False
    if error is None:
        resolve(answer)
    else:
        reject(answer, error)
    return True
