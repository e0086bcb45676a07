"""The lane of acknowledgements that carry effects: one call in flight, numbered; what comes meanwhile goes in the next.

A step of its own, for it needs memory: when that is full the other steps run on, and these wait.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from redis.crc import key_slot

from shared.concurrency.errors import ConcurrencyError, EffectRefused, StaleDelivery
from shared.concurrency.queues.effects.effects import Destination, Effects
from shared.concurrency.queues.encoding.entry import KEY
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.session.log import Log
from shared.concurrency.session.scripts import load
from shared.concurrency.session.server_errors import Forbidden, OutOfMemory

log = Log("queues")

_MOST: Final = 500
"""Acknowledgements in one call; with as many unanswered nothing more is taken."""
_MOST_WEIGHT: Final = 20_000
_MOST_BYTES: Final = 4 << 20
_LOOK_AGAIN: Final = 1.0
_GROUP: Final = 14
"""The keys of a queue that the step needs of each queue that is put to: the first of its header."""


class _Acknowledgement:
    """One delivery that is done with, and its effects."""

    __slots__ = ("effects", "field", "future", "outcome")

    def __init__(self, field: bytes, effects: Effects, outcome: bytes, future: asyncio.Future[None]) -> None:
        self.field = field
        self.effects = effects
        self.outcome = outcome
        self.future = future


class _Call:
    """What one call carries; a repetition carries the same."""

    def __init__(self, member: Membership, number: int, acknowledgements: list[_Acknowledgement]) -> None:
        self.session_id = member.session_id
        self.keys = member.keys
        self.number = number
        self.acknowledgements = acknowledgements


class EffectLane:
    """The acknowledgements with effects of one process at one queue, in order."""

    def __init__(
        self,
        member: Membership,
        *,
        workers: Callable[[], int],
        kick: Callable[[], object],
        nack: Callable[[bytes, str], None],
        distrust: Callable[[], None],
    ) -> None:
        """Prepare. `workers`: how many deliveries this process handles at once; `kick`: more may be taken, or less.

        `nack`: what nobody waits for could not be acknowledged; `distrust`: nobody knows what a failed step has done.
        """
        self._member = member
        self._workers = workers
        self._kick = kick
        self._nack = nack
        self._distrust = distrust
        self._script = load("settle_with_effects")
        self._number = 0
        self._waiting: deque[_Acknowledgement] = deque()
        self._sent: list[_Acknowledgement] = []
        self._onward: dict[bytes, Destination] = {}
        self.stuck = False
        """Whether nothing is to be taken: too many of our entries wait for room elsewhere, or too much is unanswered."""
        self._pause = 0.0
        self._alone = 0
        """So many of those that wait go one by one."""
        self._kicked = asyncio.Event()
        self._answered: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._closed = False
        member.on_over.append(self._session_over)

    # --- what deliveries use ----------------------------------------------------------------------------------------

    def submit(self, field: bytes, effects: Effects, outcome: bytes) -> asyncio.Future[None]:
        """Acknowledge with the next call; `outcome` is empty where nobody asked for it. The future fails with StaleDelivery or EffectRefused.

        :raises EffectRefused: when a key can not be written to from here; nothing was sent.
        """
        self._check(effects)
        acknowledgement = _Acknowledgement(field, effects, outcome, self._loop.create_future())
        self._waiting.append(acknowledgement)
        self._look_whether_stuck()
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._run(), name="weir-effects")
            self._task.add_done_callback(self._ended)
        self._kicked.set()
        return acknowledgement.future

    def _check(self, effects: Effects) -> None:
        if self._closed:
            raise ConcurrencyError("the session is closed")
        there = list(effects.destinations())
        if any(destination.member.calls is not self._member.calls for destination in there):
            raise EffectRefused("a queue that is put to with an acknowledgement belongs to the same session")
        members = (self._member, *(destination.member for destination in there))
        for key in effects.written_keys():
            if any(member.owns(key) for member in members):
                raise EffectRefused(f"the key {_shown(key)} is the queue's own: write to another one")
        if self._member.calls.is_on_cluster:
            slot = key_slot(self._member.keys["pending"])
            foreign = [key for key in effects.written_keys() if key_slot(key) != slot]
            foreign += [one.member.keys["pending"] for one in there if key_slot(one.member.keys["pending"]) != slot]
            if foreign:
                raise EffectRefused(
                    f"on a Cluster the key {_shown(foreign[0])} lies in another slot than the queue: begin keys with "
                    f"{{{self._member.name.partition('/')[0]}}}, and give queues that chain one group="
                )

    async def flush(self) -> None:
        """Wait until all that was submitted is answered."""
        while self._waiting or self._sent:
            answered = self._loop.create_future()
            self._answered.append(answered)
            await answered

    async def finish(self, patience: float) -> None:
        """Wait until all is answered, then end the lane; after `patience` seconds it ends as it is.

        While the server's memory is full no answer comes: what was not written is given back with all that the session holds.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.flush()
        await self.stop()

    async def stop(self) -> None:
        """End the lane; what is not answered yet fails."""
        self._closed = True
        for task in (self._task, self._watch):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        self._fail_all(ConcurrencyError("the session was closed before the server answered"))
        for key, there in self._onward.items():
            there.onward.pop(key, None)
        self._onward.clear()

    # --- what waits elsewhere ---------------------------------------------------------------------------------------

    def let_in(self, key: bytes) -> None:
        """An entry of ours has left the line of the queue that it was put to."""
        if self._onward.pop(key, None) is not None:
            self._look_whether_stuck()

    def _look_whether_stuck(self) -> None:
        unanswered = len(self._waiting) + len(self._sent)
        waiting = len(self._onward) + (unanswered if self._pause else 0)
        stuck = unanswered >= _MOST or (waiting > 0 and waiting > self._workers())
        if stuck != self.stuck:
            self.stuck = stuck
            self._kick()

    async def _look_after_onward(self) -> None:
        """What a script told us while we were cut off is lost: ask once a second while anything waits."""
        while self._onward:
            await asyncio.sleep(_LOOK_AGAIN)
            for there in {id(one): one for one in self._onward.values()}.values():
                keys = [key for key, where in self._onward.items() if where is there][:_MOST]
                try:
                    answer = await there.member.call(load("onward"), *keys)
                except ConcurrencyError as error:
                    # Nothing is taken meanwhile: whoever looks for the reason finds it.
                    log.warning("can not see whether room has appeared", queue=there.member.name, problem=str(error))
                    continue
                waiting = {answer[at : at + KEY] for at in range(0, len(answer), KEY)}
                for key in keys:
                    if key not in waiting:
                        there.onward.pop(key, None)
                        self.let_in(key)

    # --- the lane ---------------------------------------------------------------------------------------------------

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Nobody waits for a lane that a defect has ended."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._fail_all(error)

    def _fail_all(self, error: Exception) -> None:
        for one in (*self._sent, *self._waiting):
            _fail(one, error)
        self._sent = []
        self._waiting.clear()
        self._tell_answered()

    def _session_over(self) -> None:
        for one in self._waiting:
            _fail(one, _stale())
        self._waiting.clear()
        self._tell_answered()

    async def _run(self) -> None:
        while True:
            while not self._waiting:
                self._kicked.clear()
                await self._kicked.wait()
            try:
                await self._exchange()
            except Forbidden as error:
                self._find_forbidden(error)
            except ConcurrencyError as error:
                # It may have failed half-way: what is still ours goes back, as after a lost reply.
                failed, self._sent = self._sent, []
                for one in failed:
                    self._member.held.pop(one.field, None)
                    _fail(one, error)
                self._distrust()
                self._tell_answered()
                # It comes again at once, and uncounted: it was no fault of the message.
                await asyncio.sleep(_LOOK_AGAIN)
            self._tell_answered()

    def _find_forbidden(self, error: Forbidden) -> None:
        """One key that the ACL forbids stops the whole call: refuse what was alone in it, else send each alone."""
        sent, self._sent = self._sent, []
        if len(sent) == 1:
            self._refuse(sent[0], str(error))
        else:
            self._alone = len(sent)
            self._waiting.extendleft(reversed(sent))

    async def _exchange(self) -> None:
        self._sent = self._portion()
        await self._register_destinations()
        if not self._sent:
            return
        if not self._member.registered:
            await self._member.ready()
        self._number += 1
        call = _Call(self._member, self._number, self._sent)
        more_keys, words = self._pack(call)
        while True:
            try:
                await self._member.call(
                    self._script,
                    call.session_id,
                    call.number,
                    *words,
                    keys=call.keys,
                    more_keys=more_keys,
                    at_reply=partial(self._take_answer, call),
                )
            except OutOfMemory:
                # The same call again: when its reply was lost before, it may have been what filled the memory.
                self._pause = min(1.0, self._pause * 2 or 0.05)
                self._look_whether_stuck()
                await asyncio.sleep(self._pause)
            else:
                return

    async def _register_destinations(self) -> None:
        """See to it that every queue that is put to knows its bound before; refuse what can not be put."""
        for one in list(self._sent):
            try:
                for destination in one.effects.destinations():
                    if not destination.member.registered:
                        await destination.member.ready()
            except ConcurrencyError as error:
                self._sent.remove(one)
                self._refuse(one, str(error))

    def _portion(self) -> list[_Acknowledgement]:
        portion: list[_Acknowledgement] = []
        weight = size = 0
        most = 1 if self._alone else _MOST
        self._alone = max(0, self._alone - 1)
        while self._waiting and len(portion) < most:
            effects = self._waiting[0].effects
            weight, size = weight + effects.weight, size + effects.size + len(self._waiting[0].outcome)
            if portion and (weight > _MOST_WEIGHT or size > _MOST_BYTES):
                break
            portion.append(self._waiting.popleft())
        return portion

    def _pack(self, call: _Call) -> tuple[list[bytes], list[bytes | str | int]]:
        """The keys behind the header's, and the words of the call."""
        places: dict[bytes, int] = {call.keys["pending"]: 1}
        more_keys: list[bytes] = []
        group = list(self._script.keys)[:_GROUP]
        for member in (one.member for ack in call.acknowledgements for one in ack.effects.destinations()):
            if member.keys["pending"] not in places:
                places[member.keys["pending"]] = len(self._script.keys) + len(more_keys) + 1
                more_keys += [member.keys[word] for word in group]
        words: list[bytes | str | int] = []
        for acknowledgement in call.acknowledgements:
            writes = acknowledgement.effects.writes
            outcome = acknowledgement.outcome
            words += [acknowledgement.field, len(writes) + bool(outcome)]
            for command, where, operands in writes:
                key = where if isinstance(where, bytes) else where.member.keys["pending"]
                if key not in places:
                    more_keys.append(key)
                    places[key] = len(self._script.keys) + len(more_keys)
                words += [command, places[key], len(operands), *operands]
            if outcome:
                words += ["result", 1, 1, outcome]
        return more_keys, words

    def _take_answer(self, call: _Call, answer: list[Any]) -> None:
        if answer[0] == b"late":
            raise ConcurrencyError("the server saw a later call of this process: is the owner id used twice?")
        self._pause = 0.0
        state, verdicts = answer
        self._sent = []
        if state == b"over":
            for one in call.acknowledgements:
                _fail(one, _stale())
            self._member.over(call.session_id)
        else:
            current = call.session_id == self._member.session_id
            for one, verdict in zip(call.acknowledgements, verdicts, strict=True):
                self._decide(one, verdict, current=current)
        self._look_whether_stuck()

    def _decide(self, one: _Acknowledgement, verdict: bytes, *, current: bool) -> None:
        kind, _, rest = verdict.partition(b" ")
        if kind == b"refused":
            place, _, why = rest.partition(b" ")
            self._refuse(one, _reason(one.effects, int(place), why.decode()))
            return
        if current:
            self._member.held.pop(one.field, None)
        if kind == b"stale":
            _fail(one, _stale())
            return
        if not one.future.done():
            one.future.set_result(None)
        if rest:
            self._wait_for(one.effects, {rest[at : at + KEY] for at in range(0, len(rest), KEY)})

    def _wait_for(self, effects: Effects, keys: set[bytes]) -> None:
        """Remember which entries wait elsewhere. Those for our own queue do not count: taking is what frees it."""
        for write in effects.writes:
            if isinstance(write.key, bytes) or write.key.member is self._member:
                continue
            for tail in write.operands:
                if (key := tail[:KEY]) in keys:
                    self._onward[key] = write.key
                    write.key.onward[key] = self
        if self._onward and (self._watch is None or self._watch.done()):
            self._watch = self._loop.create_task(self._look_after_onward(), name="weir-onward")

    def _refuse(self, one: _Acknowledgement, why: str) -> None:
        error = EffectRefused(f"{why}. Nothing was written, and the delivery is not acknowledged")
        if one.future.done():
            self._nack(one.field, f"EffectRefused: {error}")
        else:
            one.future.set_exception(error)

    def _tell_answered(self) -> None:
        answered, self._answered = self._answered, []
        for future in answered:
            if not future.done():
                future.set_result(None)
        self._look_whether_stuck()


def _fail(one: _Acknowledgement, error: Exception) -> None:
    if not one.future.done():
        one.future.set_exception(error)
        one.future.exception()  # whoever was cancelled does not look


def _stale() -> StaleDelivery:
    return StaleDelivery("this delivery is not yours any more: it was settled before, or its session is over")


def _reason(effects: Effects, place: int, why: str) -> str:
    """What the server has against a write, in words."""
    write = effects.writes[place - 1]
    if not isinstance(write.key, bytes):
        name = write.key.member.name
        return (
            f"the queue {name} is shut down" if why == "shutdown" else f"keys of the queue {name} hold what is not ours"
        )
    if why.startswith("type "):
        return (
            f"{write.command} can not write to the key {_shown(write.key)}, which holds a {why.removeprefix('type ')}"
        )
    if why == "forbidden":
        return f"the server's ACL forbids {write.command} on the key {_shown(write.key)}"
    return f"{write.command} on {_shown(write.key)} finds no number, or would reach 2**53"


def _shown(key: bytes) -> str:
    return repr(key.decode(errors="backslashreplace")[:200])
