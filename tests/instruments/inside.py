"""What tests reach into of the engine's own objects: the one file to change when these are built another way.

Most functions come twice: by session and name (`member_of`), and by queue (`member_at`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis

from shared.concurrency import Delivery, Lease, Queue, ReadersWritersLease, Session
from shared.concurrency.locks.leases.acquirable import Acquirable
from shared.concurrency.locks.leases.hold import Hold
from shared.concurrency.locks.leases.lease import tenure_of
from shared.concurrency.locks.leases.participant import LeaseParticipant
from shared.concurrency.queues.deliveries.handout import handout_of
from shared.concurrency.queues.deliveries.settling import Settler
from shared.concurrency.queues.effects.lane import EffectLane
from shared.concurrency.queues.membership.lane import Lane
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.participant import QueueParticipant
from shared.concurrency.queues.prefetch import Prefetch
from shared.concurrency.queues.puts.lane import PutLane
from shared.concurrency.queues.queue import participant_of as _participant_at
from shared.concurrency.queues.results.lane import ResultLane
from shared.concurrency.queues.takes.lane import TakeLane
from shared.concurrency.session.calls import Call, Calls
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.cluster.route import Route
from shared.concurrency.session.names import StoredName
from shared.concurrency.session.parts import Listener
from shared.concurrency.session.process import Process
from shared.concurrency.session.scripts import load
from shared.concurrency.session.session import process_of

# --- the process ------------------------------------------------------------------------------------------------------


def owner_of(session: Session) -> str:
    """What a session's process is called on the server."""
    return process_of(session).owner


def owner_at(queue: Queue[Any]) -> str:
    """What the process of a queue's session is called on the server."""
    return _process_at(queue).owner


def session_of(queue: Queue[Any]) -> Session:
    """The session that a queue was built from."""
    return Session(_process_at(queue))


def new_id_of(session: Session, ttl: float = 10.0) -> str:
    """An id for a hold, as the session would give it one."""
    return process_of(session).new_id(ttl)


def run_id_of(session: Session) -> str:
    """The run of the server that a session sees."""
    return process_of(session).calls.run_id


def renew_now(session: Session) -> None:
    """Have the heartbeat renew at once all that the session holds."""
    process_of(session).renew_within(0.0)


def renewed_in(session: Session) -> int:
    """How many names the heartbeat of a session renews."""
    return len(process_of(session)._heartbeat.timetable._due)


def notify_by_hand(session: Session) -> Callable[[bytes], object]:
    """What a session's connection calls with each notification."""
    return process_of(session)._parts.dispatch


def parts_of(session: Session) -> int:
    """How many parts a session's process has at present."""
    return len(list(process_of(session)._parts))


async def ask(session: Session, script: str, keys: dict[str, bytes], *arguments: bytes | str | int) -> Any:
    """Ask the server for one script by hand, over the session's connection."""
    return await process_of(session).call(Call(load(script), keys, arguments))


async def command_at(queue: Queue[Any], *words: str) -> Any:
    """One plain command over the connection of a queue's session."""
    calls = member_at(queue).calls
    if isinstance(calls, Route):
        await calls.opened()  # the link to a node is made at first use
        assert calls.link is not None
        calls = calls.link.calls
    assert isinstance(calls, Calls)
    return await calls.command(*words)


def _process_at(queue: Queue[Any]) -> Process:
    return _participant_at(queue).process


# --- the session at one queue -----------------------------------------------------------------------------------------


def member_of(session: Session, name: str) -> Membership:
    """The membership of a session at the queue of that name."""
    return participant_of(session, name).member


def member_at(queue: Queue[Any]) -> Membership:
    """The membership of a queue's session there."""
    return _participant_at(queue).member


def session_id_of(session: Session, name: str) -> str:
    """What a session is called at the queue of that name, until it is over."""
    return member_of(session, name).session_id


def session_id_at(queue: Queue[Any]) -> str:
    """What a queue's session is called there, until it is over."""
    return member_at(queue).session_id


async def end_session(client: Redis, session: Session, name: str) -> None:
    """Put the deadline of a session at a queue in the past: at the server, which the session does not know yet."""
    await client.zadd(f"{{{name}}}:sessions", {session_id_of(session, name): 1})


async def recover(observer: Session, name: str, session_id: str) -> None:
    """Have another session give the queue back what an overdue one held."""
    await member_of(observer, name).recovery.recover(session_id)


def pass_deadline(session: Session, name: str) -> None:
    """Have a session at a queue find out that it is over: what it holds is lost, and it goes on as a new one."""
    member = member_of(session, name)
    member.over(member.session_id)


async def crash(client: Redis, observer: Session, name: str, dying: Session) -> None:
    """End a session at a queue as if its process had died: its deadline passes, another one recovers what it held."""
    dead = session_id_of(dying, name)
    await end_session(client, dying, name)
    await recover(observer, name, dead)
    pass_deadline(dying, name)


async def ask_at(queue: Queue[Any], script: str, *arguments: bytes | str | int, **more: Any) -> Any:
    """Ask the server for one script about a queue by hand, as a client would that is not ours."""
    return await member_at(queue).call(script, *arguments, **more)


async def operate_at(queue: Queue[Any], script: str, *arguments: bytes | str | int) -> Any:
    """Run one call of an operation, which a queue would go on with; returns the first word of the answer."""
    return (await _participant_at(queue).operate(script, *arguments))[0]


async def give_up_membership(queue: Queue[Any]) -> None:
    """Have the server forget a queue's session, as when it was recovered while its process was stopped."""
    member, session = member_at(queue), session_id_at(queue)
    assert isinstance(member.calls, Calls)
    await member.calls.command("ZADD", member.keys["sessions"], 1, session)
    await ask_at(queue, "recover", session, b"")


def registration_of(session: Session, name: str) -> "asyncio.Task[None]":
    """The registration that is under way; AssertionError when there is none."""
    registration = member_of(session, name).registration._task
    if registration is None:
        raise AssertionError("nothing registers")
    return registration


def held_at(queue: Queue[Any]) -> dict[bytes, Any]:
    """All that the process believes that it holds of a queue."""
    return member_at(queue).held


def participant_of(session: Session, name: str) -> QueueParticipant:
    """A session's part in the queue of that name."""
    return process_of(session).part(QueueParticipant, name)


# --- puts -------------------------------------------------------------------------------------------------------------


def put_lane_of(session: Session, name: str) -> PutLane:
    """The lane that puts."""
    return participant_of(session, name).puts


def unsent_at(queue: Queue[Any]) -> int:
    """How many puts wait in the process until a call carries them."""
    return len(queue._participant.puts._unsent)


# --- takes ------------------------------------------------------------------------------------------------------------


def take_lane_at(queue: Queue[Any]) -> TakeLane:
    """The lane that takes and settles."""
    return _participant_at(queue).takes


def settler_at(queue: Queue[Any]) -> Settler:
    """What settles the deliveries of a queue's process."""
    return participant_of(session_of(queue), queue.full_name).settler


def is_idle(session: Session, name: str) -> bool:
    """Whether the server knows that the session waits to be woken."""
    return participant_of(session, name).takes.demand.idle.is_registered


async def take_unheard(queue: Queue[Any], want: int = 1) -> list[Any]:
    """Take so many messages in a call whose answer nobody reads: its number is used up, its entries leased to us."""
    lane, member = take_lane_at(queue), member_at(queue)
    number = lane._flight.number + 1
    answer: list[Any] = await member.call(
        "settle_and_take", member.session_id, number, 0, 1, b"", b"", 0, b"", b"", want, 0, 0
    )
    lane._flight.number = number
    return answer


async def take_again(queue: Queue[Any]) -> None:
    """Send the next take as one that does not know what became of those before."""
    lane = take_lane_at(queue)
    lane._resync.doubt()
    await lane.send(lane.compose())


async def return_of(delivery: Delivery[Any]) -> None:
    """Give a delivery back, as a consumer that drains does: neither a failure nor a crash."""
    await handout_of(delivery).settled("return")


async def nack_by_hand(queue: Queue[Any], delivery: Delivery[Any], headers: bytes) -> None:
    """Nack a delivery past its own checks, with these headers."""
    lane, member = take_lane_at(queue), member_at(queue)
    lane._flight.number += 1
    lane._settle_number += 1
    await member.call(
        "settle_and_take", member.session_id, lane._flight.number, lane._settle_number, 1, b"", b"", 0, b"", b"", 0, 0, 0,
        receipt_of(delivery), "nack", 0, "", "", headers,
    )  # fmt: skip
    forget(queue, delivery)


async def settle_by_hand(queue: Queue[Any], receipt: bytes, kind: str) -> list[Any]:
    """Settle by its receipt what this process may not hold, past its own checks; the script's answer."""
    lane, member = take_lane_at(queue), member_at(queue)
    lane._flight.number += 1
    lane._settle_number += 1
    acks, returns = (receipt if kind == each else b"" for each in ("ack", "return"))
    others = () if acks or returns else (receipt, kind, 0, "", "", "", "")
    answer: list[Any] = await member.call(
        "settle_and_take", member.session_id, lane._flight.number, lane._settle_number, 1, acks, returns, 0, b"", b"",
        0, 0, 0, *others,
    )  # fmt: skip
    return answer


def forget(queue: Queue[Any], delivery: Delivery[Any]) -> None:
    """Have the process know no more of a delivery that it holds."""
    handout_of(delivery).state = "settled"
    member_at(queue).held.pop(receipt_of(delivery))


def receipt_of(delivery: Delivery[Any]) -> bytes:
    """What names a delivery on the server."""
    return handout_of(delivery).receipt


def is_held(delivery: Delivery[Any]) -> bool:
    """Whether a delivery is still to be settled."""
    return handout_of(delivery).state == "held"


def is_lost(delivery: Delivery[Any]) -> bool:
    """Whether the session of a delivery is over."""
    return handout_of(delivery).state == "lost"


def is_calling(queue: Queue[Any]) -> bool:
    """Whether a take is on the wire."""
    return take_lane_at(queue)._flight.is_begun


def resync_needed(queue: Queue[Any]) -> None:
    """Have the next take give back what the process does not know that it holds."""
    take_lane_at(queue).resync_needed()


async def progress_sent(queue: Queue[Any]) -> None:
    """Wait until the progress that was reported is at the server; nothing to wait for is all right."""
    await _participant_at(queue).settler._progress.flush()


def in_hand(lane: TakeLane) -> int:
    """How many messages are with the workers of a lane and not handled yet."""
    return sum(taker.pace.in_hand() for taker in lane.demand.getters.takers if isinstance(taker, Prefetch))


# --- effects ----------------------------------------------------------------------------------------------------------


def effect_lane_of(session: Session, name: str) -> EffectLane:
    """The lane that applies effects, by session and name."""
    return participant_of(session, name).settler.effects


def effect_lane_at(queue: Queue[Any]) -> EffectLane:
    """The lane that applies effects."""
    return _participant_at(queue).settler.effects


def waits_for_memory(lane: Lane[Any]) -> bool:
    """Whether the server refused what a lane sent because its memory is full."""
    return lane.pause.is_for_memory


def is_backpressured(queue: Queue[Any]) -> bool:
    """Whether no more is taken because too much waits where effects are put to."""
    return effect_lane_at(queue).is_backpressured


def forget_forwards(queue: Queue[Any]) -> None:
    """Have a queue forget who put what waits in its line with an acknowledgement: as if nobody had notified us."""
    _participant_at(queue).destination.waiting = {}


def replace_call(queue: Queue[Any], replacement: Callable[..., Awaitable[Any]]) -> None:
    """Have all calls about a queue made through this one."""
    member_at(queue).call = replacement  # type: ignore[assignment, method-assign]


# --- results ----------------------------------------------------------------------------------------------------------


def result_lane_of(session: Session, name: str) -> ResultLane:
    """The lane that asks for results, by session and name."""
    return participant_of(session, name).results


def result_lane_at(queue: Queue[Any]) -> ResultLane:
    """The lane that asks for results."""
    return _participant_at(queue).results


async def results_flushed(queue: Queue[Any]) -> None:
    """Wait until the server knows which results nobody waits for any more."""
    await result_lane_at(queue).flush()


def forget_results(queue: Queue[Any]) -> None:
    """Have the lane of results wait for none: what comes is not its own, and stays at the server."""
    result_lane_at(queue)._waiting._own.clear()


def no_contact_for(session: Session, name: str, seconds: float) -> None:
    """Have the lane of results believe that it heard of the server so long ago, and that all was submitted before."""
    lane = participant_of(session, name).results
    lane._contact.at -= seconds
    for own in lane._waiting._own.values():
        own.since -= seconds
        if own.batch is not None:
            own.batch.out_at -= seconds


def last_looked(queue: Queue[Any], seconds: float) -> None:
    """Have the lane of results believe that it asked so long ago for what others submitted: it has slept since."""
    for submission in result_lane_at(queue)._waiting.attached():
        submission.since -= seconds


def last_look(queue: Queue[Any]) -> float:
    """How many seconds ago the lane of results asked for what others submitted."""
    return max(boottime() - submission.since for submission in result_lane_at(queue)._waiting.attached())


def longest_missed(queue: Queue[Any]) -> float:
    """For how many seconds notifications may have been missed of what may be in the queue, and may not."""
    return max(own.unheard[1] - own.unheard[0] for own in result_lane_at(queue)._waiting._own.values())


def results_awaited(queue: Queue[Any]) -> int:
    """How many results are waited for."""
    return len(result_lane_at(queue)._waiting._own)


# --- leases -----------------------------------------------------------------------------------------------------------


def lease_participant_of(session: Session, name: str) -> LeaseParticipant:
    """A session's part in the lease of that name."""
    return process_of(session).part(LeaseParticipant, StoredName.of(name))


def hold_of(lease: Lease) -> Hold:
    """The hold that a lease relies on."""
    return tenure_of(lease).hold


def has_ended(lease: Lease) -> bool:
    """Whether a lease was given back, or its body has ended."""
    return tenure_of(lease).ended


def joined(catalog: ReadersWritersLease) -> Hold | None:
    """A place in the read hold that stands, where that needs no question."""
    return catalog._holds._readers.join()


def held_by_hand(claim: Acquirable[Any]) -> int:
    """How many holds an object keeps that were acquired by hand."""
    return len(claim._by_hand or ())


def lease_leftovers(participant: LeaseParticipant) -> list[str]:
    """What a session's part in a lease still holds, asks for, or ends in the background."""
    background = [task.get_name() for task in participant._process.background._tasks]
    return [*participant.holds, *participant.asking._waiters, *background]


def listeners_of(session: Session) -> int:
    """How many wait for a notification, whichever."""
    receivers = process_of(session)._parts._receivers.values()
    return sum(isinstance(each, Listener) for there in receivers for each in there)


def leases_kept_by(lease: Lease) -> int:
    """How many leases a task's reads before this one keep in memory."""
    count, tenure = 0, tenure_of(lease).outer
    while tenure is not None:
        count, tenure = count + 1, tenure.outer
    return count


def is_closed_to_children(session: Session, name: str, ttl: float) -> bool:
    """Whether a writer has waited for so long that children join no hold of their parents."""
    return not lease_participant_of(session, name).asking.is_open_to_children(ttl)
