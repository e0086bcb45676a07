"""How a dead letter is shown: as the fields of an object, and as text."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from cli.listing import short_time_of, time_of
from shared.concurrency import DeadLetter


def fields_of(letter: DeadLetter) -> dict[str, Any]:
    """All that is known of a dead letter, its body aside."""
    return {
        "id": letter.id or letter.key,
        "key": letter.key,
        "type": letter.type,
        "reason": letter.reason,
        "error": letter.error,
        "first_error": letter.first_error,
        "last_error": letter.last_error,
        "attempts": letter.attempt,
        "failures": letter.failures,
        "put_at": time_of(letter.put_at) or None,
        "died_at": time_of(letter.died_at),
    }


def body_of(letter: DeadLetter) -> dict[str, Any]:
    """Its body, in base64 where that is not JSON."""
    try:
        body = json.loads(letter.body, parse_constant=_refuse)
        json.dumps(body, indent=2)  # a nesting may be read, and too deep to be written
    except (ValueError, RecursionError):
        return {"body_base64": base64.b64encode(letter.body).decode()}
    return {"body": body}


def _refuse(word: str) -> None:
    """NaN and Infinity, which Python reads and writes, are no JSON."""
    raise ValueError(f"{word} is no JSON")


def cells_of(letter: DeadLetter) -> tuple[Any, ...]:
    """What a table shows: id, class, reason, attempts, when it was put, when it died, error."""
    return (
        letter.id or letter.key, letter.type or "", letter.reason, letter.attempt,
        short_time_of(letter.put_at), short_time_of(letter.died_at), letter.error,
    )  # fmt: skip


def text_of(letter: DeadLetter) -> Iterator[str]:
    """The lines that show all of it."""
    for word, value in fields_of(letter).items():
        if value not in (None, ""):
            yield f"{word.replace('_', ' ')}: {value}"
    for word, value in body_of(letter).items():
        yield f"{word.replace('_', ' in ')}:"
        text = value if word != "body" else json.dumps(value, indent=2, ensure_ascii=False)
        for line in text.split("\n"):
            yield f"  {line}"
