"""Dead letters: messages that were given up, kept with the reason and their original bytes."""

import json
from dataclasses import dataclass

from shared.concurrency.queues.encoding.entry import read


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that spent its attempts, or cannot be read."""

    key: str
    """Unique among all messages; `replay` and `discard` take it."""
    id: str
    """The `id=` given to `put`, or else the key."""
    type: str | None
    """The name of the message's class, where it travelled with it."""
    reason: str
    """failed, crashed, shutdown, undecodable, invalid, unknown_type, too_large, or what `dead_letter()` was given."""
    error: str
    """What was wrong the last time; empty where nobody said."""
    put_at: float
    """When it was admitted; seconds since the epoch, by the server's clock."""
    died_at: float
    """When it was given up; as put_at."""
    attempt: int
    """How many times it was delivered."""
    failures: int
    """How many of these were nacked."""
    body: bytes
    """The original bytes."""
    first_error: str | None = None
    """What was wrong at the first failure, cut to 300 characters; None where nobody said. A replay keeps it."""
    last_error: str | None = None
    """The same of the last failure."""

    @classmethod
    def from_reply(cls, key: bytes, letter: bytes) -> "DeadLetter":
        """Read a stored letter; what cannot be read is all body."""
        head, _, entry = letter.partition(b"\n")
        about = json.loads(head.decode(errors="replace"))
        fate = (str(about["reason"]), str(about["error"]))
        died_at = float(about["died_ms"]) / 1000
        try:
            stored = read(entry)
        except (ValueError, IndexError):
            return cls(key.decode(errors="replace"), "", None, *fate, 0.0, died_at, 0, 0, entry)
        return cls(
            stored.key, stored.id, stored.type_name, *fate,
            stored.put_at, died_at, stored.attempt - 1, stored.failures, stored.body,
            stored.first_error, stored.last_error,
        )  # fmt: skip
