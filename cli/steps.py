"""The steps as the server runs them, for clients in other languages: one Lua file each, and their contracts as JSON."""

import json
from pathlib import Path
from typing import Any

from shared.concurrency.session import scripts
from shared.concurrency.session.names import CONDITION_KEYS, EVENT_KEYS, LEASE_KEYS, QUEUE_KEYS

_LEASE_STEPS = frozenset({"acquire", "release", "renew_holds", "downgrade", "lease_statistics"})


class StepsError(Exception):
    """The steps cannot be written; the message says why."""


def write(directory: Path) -> list[Path]:
    """Write all files into a directory, which is made if it is not there; returns them, sorted. Raises StepsError."""
    steps = [scripts.load(name) for name in scripts.names()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for step in steps:
            (directory / f"{step.name}.lua").write_bytes(step.source)
        contracts = {step.name: _contract(step) for step in steps}
        (directory / "steps.json").write_text(json.dumps(contracts, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise StepsError(f"the steps cannot be written: {error}") from error
    return sorted([directory / "steps.json", *(directory / f"{step.name}.lua" for step in steps)])


def _contract(step: scripts.Script) -> dict[str, Any]:
    return {
        "sha1": step.sha.decode(),
        "keys": [{"word": word, "type": kind, "suffix": _suffix(step, word)} for word, kind in step.keys.items()],
        "arguments": list(step.arguments),
        "any_number_of": step.rest,
    }


def _suffix(step: scripts.Script, word: str) -> str:
    """What stands behind the prefix; a lease has a line as a queue does."""
    if word == "leased":
        return "leased:SESSION"
    known = {**EVENT_KEYS, **CONDITION_KEYS, **QUEUE_KEYS}
    of_lease = step.name in _LEASE_STEPS or step.name.startswith("condition_")
    return {**known, **LEASE_KEYS}[word] if of_lease else known[word]
