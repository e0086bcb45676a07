"""Waiting: the submissions of this process whose outcomes have not come yet, and what the server is to know of them."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from shared.concurrency.errors import ResultLost
from shared.concurrency.queues.results.future import ResultFuture, Submission
from shared.concurrency.session.clock import boottime
from shared.concurrency.session.futures import reject, resolve

_MOST_LOOKED_AT: Final = 300
"""Keys that one look of insurance asks for."""
_NUMBERS_ARE_KEPT: Final = 23 * 3600.0
"""Seconds for which the server remembers the last call of a process, at least."""
_REPORT: Final = b"~"
_IN_LINE_AGAIN: Final = "the server has come back with older data, and the message waits for room again in it: it is cancelled, submit it again"
_NOT_IN_OLDER_DATA: Final = "the server has come back with older data, and the message is not in it: submit it again"
_FORGOTTEN: Final = "the server has forgotten the queue, and the message with it, unless it was handled before"
_GONE: Final = "the result was too large to be told, and gone when this process asked for it: it was kept for {:g} s"


class Waiting:
    """Submissions by the key of their message; the lane sends what they leave in `received`, `unwanted` and `asked`."""

    def __init__(self, changed: Callable[[], object]) -> None:
        """Begin with none; `changed` is called when there is something to send."""
        self._changed = changed
        self._own: dict[bytes, Submission] = {}
        self._attached: dict[bytes, list[Submission]] = {}
        """Those of messages that another submission under the same id put: nobody notifies us, so we look."""
        self.received: list[bytes] = []
        """Keys whose outcome has come: the server may forget it."""
        self.unwanted: list[bytes] = []
        """Keys of messages to cancel."""
        self.asked: dict[bytes, None] = {}
        """Keys whose outcome is asked for."""
        self._told: set[bytes] = set()
        """Keys of ours whose outcome is there, and too large to be told: it goes while we do not ask."""
        self._on_cancel: Final = self._cancelled  # made once: a bound method for each future would be one more object

    def __bool__(self) -> bool:
        return bool(self._own or self._attached)

    def expect(self, submission: Submission) -> None:
        """Wait for the outcome of a message that is about to be put."""
        self._own[submission.key] = submission
        submission.future._on_cancel = self._on_cancel  # noqa: SLF001  # its own

    def listen(self, submission: Submission, since: float) -> None:
        """Wait for the outcome of a message that somebody submitted; as `attach`."""
        submission.future._on_cancel = self._on_cancel  # noqa: SLF001  # its own
        self.attach(submission, submission.key, since)

    def attach(self, submission: Submission, key: bytes, since: float) -> None:
        """Wait for the outcome of another submission under the same id.

        `since`: when the server was asked for the key, by the local boot-time clock.
        """
        if self._own.get(submission.key) is submission:  # a listener has the key of one that may be ours, too
            del self._own[submission.key]
        submission.wait_for(key)
        submission.admitted = False  # it is not ours to cancel
        submission.put, submission.batch, submission.since = (0, 0.0), None, since
        self._attached.setdefault(key, []).append(submission)
        self.ask([key])

    def looked(self, keys: Iterable[bytes], gap: float, asked_at: float) -> None:
        """Take note that the server was asked for these at that time, after a gap of so many seconds.

        What it has was received. Fails those whose outcome has come and gone, or may have.
        """
        now = boottime()
        for key in keys:
            own = self._own.get(key)
            if own is not None:
                own.look_back(now - gap, now)
                if key in self._told:
                    reject(own.future, ResultLost(_GONE.format(own.kept_for)))
                if own.future.done():
                    self._remove(own)
            for submission in list(self._attached.get(key, ())):
                submission.look_back(now - gap, now)
                submission.since = max(submission.since, asked_at)
                if submission.looked is not None:
                    resolve(submission.looked)
                if submission.future.done():
                    self._remove(submission)

    def _remove(self, submission: Submission) -> None:
        """Its future has ended: wait for it no more."""
        key = submission.key
        if submission.looked is not None:
            resolve(submission.looked)
        if self._own.get(key) is submission:
            del self._own[key]
            self._told.discard(key)
        elif submission in self._attached.get(key, ()):
            self._attached[key].remove(submission)
            if not self._attached[key]:
                del self._attached[key]

    def _lose(self, submission: Submission, why: str) -> None:
        reject(submission.future, ResultLost(why))
        self._remove(submission)

    def _cancelled(self, future: ResultFuture[Any]) -> None:
        key = future._key  # noqa: SLF001  # its own
        for submission in (*self._attached.get(key, ()), *filter(None, (self._own.get(key),))):
            if submission.future is not future:
                continue
            self._remove(submission)
            if submission.admitted and not submission.answered:
                self.unwanted.append(key)
                self._forget(submission)
                self._changed()

    def _forget(self, submission: Submission) -> None:
        # Under an id it stays as long as the id is known: somebody may submit that again.
        if not submission.has_id:
            self.received.append(submission.key)

    def receive(self, key: bytes, outcome: bytes) -> None:
        """Take an outcome; behind `~` how far the handler is, where there is none yet."""
        if outcome[:1] == _REPORT:
            self.receive_progress(key, outcome[1:])
            return
        own = self._own.pop(key, None)
        if own is not None:
            self._told.discard(key)
            self._forget(own)
            own.receive(outcome)
        for submission in self._attached.pop(key, ()):
            submission.receive(outcome)
            if submission.looked is not None:
                resolve(submission.looked)

    def receive_progress(self, key: bytes, report: bytes) -> None:
        """Take note of how far a handler is."""
        own = self._own.get(key)
        for submission in [*([own] if own is not None else ()), *self._attached.get(key, ())]:
            submission.receive_progress(report)

    def ask(self, keys: Iterable[bytes]) -> None:
        """Ask for the outcomes of these messages."""
        self.asked.update(dict.fromkeys(keys))
        if self.asked:
            self._changed()

    def ask_for_told(self, key: bytes) -> None:
        """Ask for an outcome that is there, and was too large to be told, if we put its message and wait for it."""
        if key in self._own:
            self._told.add(key)
            self.ask([key])

    def forget_what_was_told(self) -> None:
        """The server has come back: with older data, an outcome that was there may be still to come."""
        self._told.clear()

    def ask_for_all(self) -> None:
        """Ask for all that is waited for."""
        self.ask([*self._own, *self._attached])

    def ask_for_the_next(self) -> None:
        """Ask for some: those that were put first, at the next look the next ones."""
        for key in list(islice(self._own, _MOST_LOOKED_AT)):
            self._own[key] = self._own.pop(key)
            self.asked[key] = None
        self.asked.update(dict.fromkeys(self._attached))

    def lose_all(self) -> None:
        """The server has forgotten the queue: fail those whose message was in it. Others have not gone in yet."""
        for submission in [*(own for own in self._own.values() if own.admitted), *self.attached()]:
            self._lose(submission, _FORGOTTEN)

    def lose_after(self, known: int) -> None:
        """The server knows no call of puts after this one, 0 for none: fail those whose message came by a later one."""
        now = boottime()
        for own in list(self._own.values()):
            # Of who puts nothing for a day the server forgets the number.
            put_by, put_at = own.put
            if put_by > known and (known or now - put_at < _NUMBERS_ARE_KEPT):
                self._lose(own, _NOT_IN_OLDER_DATA)

    def went_in(self) -> list[bytes]:
        """Keys of messages that this process put, and that went into the queue."""
        return [key for key, own in self._own.items() if own.batch is not None and own.batch.admitted]

    def lose_in_line(self, keys: Iterable[bytes]) -> None:
        """The server has come back, and these wait for room once more: fail them, and cancel the messages."""
        for key in keys:
            own = self._own.get(key)
            if own is not None and not own.future.done():
                self._lose(own, _IN_LINE_AGAIN)
                self.unwanted.append(key)
                self._changed()

    def attached(self) -> list[Submission]:
        """Those that wait for the outcome of another submission under their id."""
        return [submission for several in self._attached.values() for submission in several]

    def lose_unless_known(self, submission: Submission, key: bytes | None) -> None:
        """The server has come back, and this is the message it has under the id now, None for none."""
        if key != submission.key:
            self._lose(submission, _NOT_IN_OLDER_DATA)

    def fail(self, error: Exception) -> None:
        """Fail all of them."""
        for submission in list(self._all()):
            reject(submission.future, error)
            self._remove(submission)

    def _all(self) -> Iterator[Submission]:
        yield from self._own.values()
        yield from self.attached()

    def forget_what_is_unsent(self) -> None:
        """Send nothing of what the server was to know."""
        self.received.clear()
        self.unwanted.clear()
        self.asked.clear()
