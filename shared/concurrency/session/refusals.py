"""Refusals: what the server answers that it does not carry out now, and for how long that is waited out."""

from typing import Final

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.log import Log
from shared.concurrency.session.outage import Outage
from shared.concurrency.session.scripts import Script
from shared.concurrency.session.server_errors import Forbidden, OutOfMemory, Postponed

log = Log("session")

_ELSEWHERE: Final = ("READONLY", "MASTERDOWN", "LOADING")
_LEAVE_AFTER: Final = 2.0
_MOST_KNOWN: Final = 10_000
_FORGOTTEN_AFTER: Final = 5.0
"""Who waits tries again once a second."""


class _Refused:
    """One script under one name that the server refuses for now."""

    def __init__(self, script: Script, tag: bytes) -> None:
        self.outage = Outage(
            log, "the server refuses for now", "the server accepts again",
            script=script.name, name=tag.decode(errors="replace").lstrip("{"),
        )  # fmt: skip
        self.words = ""
        """The server's, the last time."""
        self.at = boottime()
        """When it was refused last."""
        self.is_stale = False
        """Whether something else of the name was accepted since: nobody may have tried this again."""


class Refusals:
    """What the server refuses for now, by script and name: that stands in the log, and when it is accepted again.

    What the ACL forbids is waited out for `grace` seconds where the server has accepted something of the same name
    before: a rule is changed, and changed back. A name of which it never accepted anything fails at once.
    """

    def __init__(self, grace: float) -> None:
        """Begin with none."""
        self._grace = grace
        self._accepted: set[bytes] = set()
        """Keys; kept whole, for to cut the name out costs more than to add a key that is there."""
        self._refused: dict[tuple[str, bytes], _Refused] = {}

    def judge(self, script: Script, key: bytes, refusal: ConcurrencyError, *, is_of_ours: bool) -> ConcurrencyError:
        """The error that the caller gets. `key`: one of the name; `is_of_ours`: no key is the application's own."""
        if isinstance(refusal, Forbidden):
            if not is_of_ours or _tag(key) not in map(_tag, self._accepted):
                return refusal
            if self._of(script, key).outage.seconds >= self._grace:
                return refusal
            refusal = Postponed(str(refusal))
        if isinstance(refusal, Postponed | OutOfMemory):
            refused = self._of(script, key)
            refused.at, refused.is_stale, refused.words = boottime(), False, str(refusal)
            refused.outage.goes_on(str(refusal))
        return refusal

    def words(self) -> str:
        """What the server said when it refused something last; empty where it refuses nothing now."""
        return max(self._refused.values(), key=lambda refused: refused.at).words if self._refused else ""

    def is_elsewhere(self, script: Script, key: bytes, refusal: ConcurrencyError) -> bool:
        """Whether what was the primary is a replica now, for longer than a moment: the address may lead elsewhere."""
        return str(refusal).startswith(_ELSEWHERE) and self._of(script, key).outage.seconds > _LEAVE_AFTER

    def accept(self, script: Script, key: bytes) -> None:
        """The server has carried out a script on this key."""
        if len(self._accepted) >= _MOST_KNOWN:
            self._accepted.clear()
        self._accepted.add(key)
        if not self._refused:
            return
        tag = _tag(key)
        if (refused := self._refused.pop((script.name, tag), None)) is not None:
            refused.outage.is_over()
        for (_, name), other in self._refused.items():
            other.is_stale |= name == tag

    def _of(self, script: Script, key: bytes) -> _Refused:
        about = script.name, _tag(key)
        refused = self._refused.get(about)
        if refused is not None and refused.is_stale and boottime() - refused.at > _FORGOTTEN_AFTER:
            # The refused call was cancelled, and the server has accepted others since: this is another refusal.
            refused.outage.is_over()
            refused = None
        if refused is None:
            refused = self._refused[about] = _Refused(script, about[1])
        return refused


def _tag(key: bytes) -> bytes:
    return key.partition(b"}")[0]
