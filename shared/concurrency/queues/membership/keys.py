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
        "`SESSION:process` -> pid and host; `SESSION:load` -> what a consumer service measured, as JSON; "
        "`SESSION:staged` -> the folds that it has staged, and how many puts each holds; "
        "`KEY:cancel` -> what became of a message that is cancelled (`-` until that is known), and the owners that wait for that",
    ),
    "ids": KeyDescription(
        "ids",
        "HASH",
        "known id -> expiry in ms, digest, and the message's key, behind `-` where its result is not asked for; "
        "` !` behind it once a message that was cancelled has ended; `once NAME` likewise, with `-` as digest, of a name that is put "
        "once in a time",
    ),
    "ids_due": KeyDescription("ids:due", "ZSET", "known id -> expiry in ms"),
    "settings": KeyDescription(
        "settings",
        "HASH",
        "maxsize, max_attempts, max_crashes (0: never), max_dead, dead_for in ms, shutdown, refused_upto: places of the line "
        "that a shutdown has looked at, paused, joining, the server's run_id, epoch: since when it is known, in us, clock: "
        "what a renewal saw last, and behind: how far it went back so far, both in ms; flow: the protocol level that the queue needs",
    ),
    "totals": KeyDescription(
        "totals",
        "HASH",
        "counters: put, acked, nacked, dead, recovered, replayed, cancelled, unreadable, discarded, replaced; onward: waiting puts that nobody "
        "owns; named: those of them that have a NAME, which `put` does not count yet; folded: waiting puts less the fields of `bodies`; "
        "the last stamp",
    ),
    "results": KeyDescription(
        "results",
        "HASH",
        "key -> outcome of a submitted message, until it is received or expires; key and `~` -> how far its handler is",
    ),
    "results_due": KeyDescription("results:due", "ZSET", "key of an outcome, or key and `~` -> expiry in ms"),
    "marks": KeyDescription(
        "marks",
        "ZSET",
        "key of a message that nobody wants -> when, in ms; with .5 behind where `cancel` was called, not only the future "
        "cancelled, with .25 for both; forgotten after 8 days",
    ),
    # From here on: of queues with a protocol level, for messages that say something of their way.
    "flow": KeyDescription(
        "flow",
        "HASH",
        "V and F, LV and LF: the virtual times of `ready` and of `line:fair`; `w:SHARE` -> its weight; "
        "`l:LIMIT` and, of every share, `s:*` -> at_once, interval in us, burst, count, seconds, and the name where it is a digest; limits: 1 "
        "where there was one; `t:GATE` -> until when its rate is paid for, in us, and the virtual time of the gate; watch: when "
        "the first gate opens, in us, and which idle session looks then",
    ),
    "tags": KeyDescription(
        "tags",
        "HASH",
        "`PRIORITY SHARE` -> the tag of its next message in `ready`; behind `L` in `line:fair`; "
        "`GGATE PRIORITY SHARE` -> the same at a gate",
    ),
    "tails": KeyDescription(
        "tails", "HASH", "KEY of messages -> key of the last message that has it, and how many stand behind the first"
    ),
    "behind": KeyDescription("behind", "HASH", "key of a message -> the entry that comes after it in its KEY"),
    "passed": KeyDescription(
        "passed",
        "HASH",
        "key of a message -> the same, of an entry that failed and let others pass: delay in ms, entry",
    ),
    "released": KeyDescription("released", "LIST", "entries that stood behind another of their KEY, and may go now"),
    "ready": KeyDescription(
        "ready",
        "ZSET",
        "entries with a share or a priority that may go, by tag; 1e15 later where they were delivered before",
    ),
    "gated": KeyDescription(
        "gated",
        "ZSET",
        "`CGATE TAG` and an entry that stands at a gate, in order of their text; C is 0 for one that was delivered before, 1 for a new one",
    ),
    "running": KeyDescription(
        "running", "ZSET", "`wGATE MESSAGE` of one that was let go and is ready, `rGATE MESSAGE` of one in hands"
    ),
    "opens": KeyDescription("opens", "ZSET", "gate that its rate has closed -> when it opens, in us"),
    "line_fair": KeyDescription("line:fair", "ZSET", "keys of waiting puts with a share or a priority, by tag"),
    "line_own": KeyDescription(
        "line:own",
        "ZSET",
        "`kKEY STAMP`, and the key of a put that waits for its own KEY; `GATE STAMP` where it waits for a limit; `!kKEY` or "
        "`!GATE` where one of that may be let in; "
        "`oNAME`, and the key of a put of which one of that NAME is to wait",
    ),
    "let_in": KeyDescription(
        "let_in", "ZSET", "keys of puts let in out of their turn, which their owner has not confirmed"
    ),
    "once": KeyDescription(
        "once",
        "HASH",
        "NAME of a message of which one is to wait -> `FIRST DUE STUB`: when it was put first and when it is due, in ms, and its "
        "stamp and key, or the entry where it is delayed; `=NAME` -> what replaced it, from FLAG on; `#` and its key -> NAME",
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
