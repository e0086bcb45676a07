"""The keys of a queue, each described once: its type, and what it holds."""

from typing import Final

from shared.concurrency.session.names import Key, KeyDescription, keys_under

QUEUE_KEYS: Final = {
    "pending": KeyDescription("pending", "LIST", "entries never delivered, in order"),
    "returned": KeyDescription("returned", "LIST", "entries given back or recovered; served first"),
    "suspects": KeyDescription("suspects", "LIST", "entries of two crashes or more; a session holds one at a time"),
    "delayed": KeyDescription("delayed", "ZSET", "entries that wait for their next attempt, by due time in ms"),
    "handed": KeyDescription(
        "handed", "HASH", "session -> the entry that a put handed to it; empty while it waits for a handoff"
    ),
    "putters": KeyDescription(
        "line",
        "LIST",
        "a place for each waiting put, in order of arrival: its key, and `@NUMBER` where it was put again, or for a fold of "
        "many; one that is not in `bodies` is passed over",
    ),
    "bodies": KeyDescription(
        "bodies",
        "HASH",
        "key of a waiting put -> `SESSION ENTRY`, `SESSION@NUMBER ENTRY` where it was put again, or `+OWNER ENTRY` for one "
        "that nobody owns; key of a fold -> `*OWNER COUNT`, and each entry behind its length",
    ),
    "dead": KeyDescription("dead", "HASH", "key -> dead letter: JSON of reason, error and time, a newline, the entry"),
    "dead_index": KeyDescription("dead:index", "ZSET", "key of a dead letter -> time of death in ms"),
    "dead_groups": KeyDescription(
        "dead:groups",
        "HASH",
        "JSON of reason and class, each cut to 100 bytes -> how many dead letters there are of both; `others`: of the groups "
        "beyond 200",
    ),
    "sessions": KeyDescription("sessions", "ZSET", "session -> deadline in ms; 0 while it is recovered"),
    "idle": KeyDescription("idle", "ZSET", "sessions that wait for work -> since when, in us"),
    "joiners": KeyDescription("joiners", "ZSET", "sessions that wait for the end -> since when, in ms"),
    "lanes": KeyDescription(
        "lanes",
        "HASH",
        "`OWNER:LANE` -> last number and verdicts; `OWNER:consumer` -> session, and whether it is to drain; "
        "`SESSION:process` -> pid and host; `SESSION:load` -> what a consumer service measured, as JSON; `SESSION:staged` -> the folds that it has staged, and how many puts each holds",
    ),
    "ids": KeyDescription(
        "ids", "HASH", "known id -> expiry in ms, digest, and the message's key where its result is asked for"
    ),
    "ids_due": KeyDescription("ids:due", "ZSET", "known id -> expiry in ms"),
    "settings": KeyDescription(
        "settings",
        "HASH",
        "maxsize, max_attempts, max_crashes (0: never), max_dead, dead_for in ms, shutdown, refused_upto: places of the line "
        "that a shutdown has looked at, paused, joining, the server's run_id, epoch: since when it is known, in us, clock: "
        "what a renewal saw last, and behind: how far it went back so far, both in ms",
    ),
    "totals": KeyDescription(
        "totals",
        "HASH",
        "counters: put, acked, nacked, dead, recovered, replayed, given_up, unreadable, discarded; onward: waiting puts that nobody "
        "owns; folded: waiting puts less the fields of `bodies`; the last stamp",
    ),
    "results": KeyDescription(
        "results", "HASH", "key -> outcome of a submitted message, until it is received or expires"
    ),
    "results_due": KeyDescription("results:due", "ZSET", "key of an outcome -> expiry in ms"),
    "given_up": KeyDescription(
        "given_up", "ZSET", "key of a message whose future was cancelled -> when, in ms; forgotten after a day"
    ),
}
"""What a script calls a key -> the key."""

LEASED: Final = KeyDescription(
    "leased:", "HASH", "receipt -> entry: what one session holds; its id stands behind the colon"
)
"""What a script calls `leased`: the one key of a session of its own."""


def queue_keys(name: str) -> dict[str, bytes]:
    """The keys of a queue, by what the scripts call them."""
    return keys_under(name, QUEUE_KEYS)


def leased_key(name: str, session: str) -> bytes:
    """The key of the deliveries that one session holds."""
    return Key.under(name, LEASED, session)
