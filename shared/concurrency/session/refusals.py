"""Refusals: what the server answers that it does not carry out now, and for how long that is waited out."""

from typing import Final

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.session.log import Log
from shared.concurrency.session.outage import Outage
from shared.concurrency.session.scripts import Script
from shared.concurrency.session.server_errors import Forbidden, OutOfMemory, Postponed

log = Log("session")

_ELSEWHERE: Final = ("READONLY", "MASTERDOWN", "LOADING")
_LEAVE_AFTER: Final = 2.0
_MOST_KNOWN: Final = 10_000


class Refusals:
    """The scripts that the server refuses for now: that stands in the log, and when they are accepted again.

    What the ACL forbids is waited out for `grace` seconds where the server has accepted something of the same name
    before: a rule is changed, and changed back. A name of which it never accepted anything fails at once.
    """

    def __init__(self, grace: float) -> None:
        """Begin with none."""
        self._grace = grace
        self._accepted: set[bytes] = set()
        """Keys; kept whole, for to cut the name out costs more than to add a key that is there."""
        self._refused: dict[str, Outage] = {}

    def judge(self, script: Script, key: bytes, refusal: ConcurrencyError, *, is_of_ours: bool) -> ConcurrencyError:
        """The error that the caller gets. `key`: one of the name; `is_of_ours`: no key is the application's own."""
        if isinstance(refusal, Forbidden):
            if not is_of_ours or _tag(key) not in map(_tag, self._accepted):
                return refusal
            if self._outage(script).seconds >= self._grace:
                return refusal
            refusal = Postponed(str(refusal))
        if isinstance(refusal, Postponed | OutOfMemory):
            self._outage(script).goes_on(str(refusal))
        return refusal

    def is_elsewhere(self, script: Script, refusal: ConcurrencyError) -> bool:
        """Whether what was the primary is a replica now, for longer than a moment: the address may lead elsewhere."""
        return str(refusal).startswith(_ELSEWHERE) and self._outage(script).seconds > _LEAVE_AFTER

    def accept(self, script: Script, key: bytes) -> None:
        """The server has carried out a script on this key."""
        if len(self._accepted) >= _MOST_KNOWN:
            self._accepted.clear()
        self._accepted.add(key)
        if self._refused and (outage := self._refused.pop(script.name, None)) is not None:
            outage.is_over()

    def _outage(self, script: Script) -> Outage:
        outage = self._refused.get(script.name)
        if outage is None:
            outage = self._refused[script.name] = Outage(
                log, "the server refuses for now", "the server accepts again", script=script.name
            )
        return outage


def _tag(key: bytes) -> bytes:
    return key.partition(b"}")[0]
