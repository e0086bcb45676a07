"""Leftovers: what is kept though nothing goes on, in a process that has nothing to do and at the server."""

import asyncio
from typing import Any, Final

from shared.concurrency import Session
from shared.concurrency.queues.membership.keys import queue_keys
from shared.concurrency.queues.participant import QueueParticipant
from shared.concurrency.session.session import process_of
from tests.simulation.world import Process, World

_LISTS: Final = ("pending", "released", "returned", "suspects", "putters")
_SETS: Final = ("delayed", "line_own", "line_fair", "ready", "gated")
_HASHES: Final = ("behind", "passed", "bodies")
_OF_SESSIONS: Final = ("sessions", "idle", "joiners")
_MAY_STAY: Final = frozenset({
    *("settings", "totals", "lanes"),  # what the queue is, and what it has done for whom
    *("ids", "ids_due", "dead", "dead_index", "dead_groups"),  # what is known for a time, or until somebody decides
    *("results", "results_due"),  # of who died, or asks under an id
    *("marks", "flow"),  # of which only some, below
    "let_in",  # goes by itself after a while, by the server's own clock
    *("sessions", "idle", "joiners", "handed"),  # looked at by themselves
})  # fmt: skip
"""What a queue keeps where nothing goes on, and nobody is there."""
_OF_NUMBERS: Final = (b"l:", b"s:*", b"w:", b"limits", b"watch")
"""What begins the fields of `flow` that may stay: numbers of limits, weights, and who looked at the gates last."""
_OF_A_SESSION: Final = (b":process", b":load", b":staged", b":consumer")


def messages_left(world: World, name: str) -> dict[str, int]:
    """Where something of a queue waits, or is in hands, and how much; dead letters are not counted."""
    call, keys = world.control.call, queue_keys(name)
    found = {word: call("LLEN", keys[word]) for word in _LISTS}
    found |= {word: call("ZCARD", keys[word]) for word in _SETS} | {word: call("HLEN", keys[word]) for word in _HASHES}
    found["leased"] = sum(call("HLEN", key) for key in call("KEYS", f"{{{name}}}:leased:*"))
    found["handed"] = sum(entry != b"" for entry in call("HVALS", keys["handed"]))
    return {word: count for word, count in found.items() if count}


def dead_letters(world: World, name: str) -> int:
    """How many dead letters a queue has."""
    return int(world.control.call("HLEN", queue_keys(name)["dead"]))


def sessions_left(world: World, name: str) -> int:
    """How many sessions a queue knows, the dead included that nobody has recovered."""
    return int(world.control.call("ZCARD", queue_keys(name)["sessions"]))


def left_at_server(world: World, name: str) -> list[str]:
    """What a queue keeps of sessions that have ended, and of messages that are done."""
    call, keys = world.control.call, queue_keys(name)
    found = {word: call("ZRANGE", keys[word], 0, -1) for word in _OF_SESSIONS} | {
        "handed": call("HKEYS", keys["handed"]),
        "marks": _marks(call("ZRANGE", keys["marks"], 0, -1, "WITHSCORES")),
        "leased": call("KEYS", f"{{{name}}}:leased:*"),
        "lanes": [field for field in call("HKEYS", keys["lanes"]) if field.endswith(_OF_A_SESSION)],
    }
    found |= {word: [key] for word, key in keys.items() if word not in _MAY_STAY and call("EXISTS", key)}
    found["flow"] = _flow(set(call("HKEYS", keys["flow"])))
    return [f"{name} {word} {there[:3]}" for word, there in found.items() if there]


def _flow(fields: set[bytes]) -> list[bytes]:
    """All but numbers, and the time until which a limit that has a rate is paid for."""
    of_rates = {field.replace(b"l:", b"t:l", 1) for field in fields if field.startswith(b"l:")}
    return sorted(field for field in fields - of_rates if not field.startswith(_OF_NUMBERS))


def _marks(found: list[bytes]) -> list[bytes]:
    """Those of `cancel`. What a submitter has cancelled may be on its way into the queue: its mark stays for days."""
    return [key for key, mark in zip(found[::2], found[1::2], strict=True) if float(mark) % 1]


def left_in_process(session: Session) -> list[str]:
    """What an idle process still waits for, or has in hands."""
    process, found = process_of(session), []
    for part in process._parts:
        if isinstance(part, QueueParticipant):
            found += [f"{part.member.name} {what}" for what in _left_in(part)]
    if process.background._tasks:
        found.append(f"{len(process.background._tasks)} tasks in the background")
    return found


def _left_in(part: QueueParticipant) -> list[str]:
    puts, takes, results, effects = part.puts, part.takes, part.results._waiting, part.settler.effects
    kept: dict[str, Any] = {
        "held": part.member.held,
        "unsent puts": list(puts._unsent),
        "waiting puts": puts._putters.entries,
        "withdrawn puts": puts._putters.withdrawn,
        "settlements": takes.settlements,
        "acknowledgements": effects._waiting,
        "forwards": list(effects._forwards._waiting),
        "forwards expected": part.destination.waiting,
        "results": results._own,
        "results of others": results._attached,
        "results asked for": results.asked,
        "unwanted results": results.unwanted,
        "ids looked up": part.results._ids,
    }
    return [f"{what} {there!r:.80}" for what, there in kept.items() if there]


def tasks_left(process: Process) -> list[str]:
    """The tasks of a process that has ended, and of its heartbeat's thread."""
    return [
        task.get_name()
        for loop in (process.loop, process.thread)
        for task in asyncio.all_tasks(loop)
        if task is not process.task
    ]
