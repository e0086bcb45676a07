"""Acknowledgements with effects: checked before they are sent, and packed as the script reads them."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from redis.crc import key_slot

from shared.concurrency.errors import EffectRefused, StaleDelivery
from shared.concurrency.queues.effects.acknowledgement import Acknowledgement
from shared.concurrency.queues.effects.forwards import Destination, Fold
from shared.concurrency.queues.effects.own_keys import is_own_key
from shared.concurrency.queues.effects.staging import Staged
from shared.concurrency.queues.effects.writes import Write, Writes, shown
from shared.concurrency.queues.encoding.entry import KEY, keys_in
from shared.concurrency.queues.membership.level import NewerQueue
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.session.scripts import Script

MOST: Final = 500
"""Acknowledgements in one call; with as many unanswered nothing more is taken."""
_MOST_WEIGHT: Final = 3_000
_MOST_BYTES: Final = 4 << 20
_GROUP_ENDS: Final = "leased"
"""The keys of a queue that the script needs of each queue that is put to stand before this one in its header."""


@dataclass(slots=True)
class Portion:
    """What one call carries."""

    session_id: str
    keys: Mapping[str, bytes]
    acknowledgements: list[Acknowledgement]


def check(writes: Writes, member: Membership) -> None:
    """Refuse writes that cannot be made with an acknowledgement in this queue.

    :raises EffectRefused: when one goes to another session's queue, to a key of a queue, or to another slot of a
        Cluster.
    """
    there = [destination.member for destination in writes.destinations]
    if there and any(other.owner != member.owner for other in there):
        raise EffectRefused("a queue that is put to with an acknowledgement belongs to the same session")
    for write in writes:
        if isinstance(write.key, bytes) and is_own_key(write.key):
            raise EffectRefused(f"the key {shown(write.key)} is a queue's or a lock's own: write to another one")
    if member.calls.is_on_cluster:
        slot = key_slot(member.keys["pending"])
        foreign = [key for key in writes.written_keys() if key_slot(key) != slot]
        foreign += [other.keys["pending"] for other in there if key_slot(other.keys["pending"]) != slot]
        if foreign:
            raise EffectRefused(
                f"on a Cluster the key {shown(foreign[0])} lies in another slot than the queue: begin keys with "
                f"{{{member.name.partition('/')[0]}}}, and give queues that chain one group="
            )


def take_out(waiting: deque[Acknowledgement], most: int) -> list[Acknowledgement]:
    """Take out what one call carries, `most` acknowledgements at most."""
    portion: list[Acknowledgement] = []
    weight = size = 0
    while waiting and len(portion) < most:
        first = waiting[0]
        weight, size = weight + first.writes.weight, size + first.writes.size + len(first.outcome)
        if portion and (weight > _MOST_WEIGHT or size > _MOST_BYTES):
            break
        portion.append(waiting.popleft())
    return portion


def is_flow(member: Membership, portion: Portion) -> bool:
    """Whether the call takes the flow set: where one of its queues has a level, for all of them."""
    there = (one.member for ack in portion.acknowledgements for one in ack.writes.destinations)
    return bool(member.level.needed) or any(other.level.needed for other in there)


def pack(script: Script, portion: Portion) -> tuple[list[bytes], list[bytes | str | int]]:
    """The keys behind those of the script's header, and the words of the call."""
    places: dict[bytes, int] = {portion.keys["pending"]: 1}
    more_keys: list[bytes] = []
    group = script.keys[: script.keys.index(_GROUP_ENDS)]
    for member in (one.member for ack in portion.acknowledgements for one in ack.writes.destinations):
        if member.keys["pending"] not in places:
            places[member.keys["pending"]] = len(script.keys) + len(more_keys) + 1
            more_keys += [member.keys[word] for word in group]
    words: list[bytes | str | int] = []
    for acknowledgement in portion.acknowledgements:
        writes, outcome = acknowledgement.writes, acknowledgement.outcome
        words += [acknowledgement.receipt, writes.count + bool(outcome)]
        for write in writes:
            key = write.key if isinstance(write.key, bytes) else write.key.member.keys["pending"]
            if key not in places:
                more_keys.append(key)
                places[key] = len(script.keys) + len(more_keys)
            staged = acknowledgement.staged.get(write)
            command, operands = ("staged", staged.operands) if staged else (write.command, write.operands)
            words += [command, places[key], len(operands), *operands]
        if outcome:
            words += ["result", 1, 1, outcome]
    return more_keys, words


def forwarded(writes: Writes, member: Membership, waiting: bytes) -> list[tuple[bytes, Destination]]:
    """The entries that wait, by the joined keys in the server's answer, and where they wait.

    Those for our own queue do not count: taking is what frees it.
    """
    keys = keys_in(waiting)
    return [
        (entry[:KEY], write.key)
        for write in writes
        if not isinstance(write.key, bytes) and write.key.member is not member
        for entry in write.operands
        if entry[:KEY] in keys
    ]


def folded(staged: Mapping[Write, Staged], member: Membership, waiting: bytes) -> Iterator[tuple[Fold, Destination]]:
    """The folds that wait, as `forwarded`."""
    keys = keys_in(waiting)
    for each in staged.values():
        if each.destination.member is not member:
            yield from ((fold, each.destination) for fold in each.folds if fold.key in keys)


def has_moved(writes: Writes, number: int, why: bytes) -> bool:
    """Whether the write was refused for the set of its queue alone: it goes again with that of the queue's level."""
    word, _, level = why.partition(b" ")
    key = list(writes)[number - 1].key
    if word != b"flow" or isinstance(key, bytes):
        return False
    key.member.level.learn(int(level))
    return not key.member.level.is_newer


def reason(writes: Writes, number: int, why: str) -> str:
    """What the server has against the write with this number, in words."""
    write = list(writes)[number - 1]
    command, key = write.command, write.key
    if not isinstance(key, bytes):
        name = key.member.name
        if why.startswith("flow "):
            return str(NewerQueue(name))
        return (
            f"the queue {name} is shut down" if why == "shutdown" else f"keys of the queue {name} hold what is not ours"
        )
    if why.startswith("type "):
        return f"{command} cannot write to the key {shown(key)}, which holds a {why.removeprefix('type ')}"
    if why == "forbidden":
        return f"the server's ACL forbids {command} on the key {shown(key)}"
    return f"{command} on {shown(key)} finds no number, or would reach 2**53"


def stale() -> StaleDelivery:
    """The refusal of a delivery that this session does not hold."""
    return StaleDelivery("this delivery is not yours any more: it was settled before, or its session is over")
