"""Credentials: a function that is asked for the password at every connect, so that it may change while we work."""

import asyncio
import concurrent.futures
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.concurrency.session.clock import boottime

Credentials = Callable[[], str | tuple[str, str]]
"""What gives a password, or a user and a password; an ordinary function, for it is called in a thread."""

_PATIENCE: Final = 5.0
"""Seconds for which an answer is waited for; a later one serves the next connect."""
_MOST_AT_ONCE: Final = 4
"""Calls that may hang; from then on the newest of them is waited for."""
_KEEPS: Final = 30.0
"""Seconds for which an answer that came too late is still good: a token may run out."""


class NoCredentials(RedisConnectionError):
    """There is no password now; there may be one later."""


class WrongCredentials(NoCredentials):
    """What was given is no password."""


class _Asked:
    """One call."""

    def __init__(self, ask: Callable[[], tuple[str, ...]]) -> None:
        self.answer: concurrent.futures.Future[tuple[str, ...]] = concurrent.futures.Future()
        self.answer.set_running_or_notify_cancel()  # who waits for it no longer must not cancel it for the others
        self.began = boottime()
        self.is_used = False
        self._ask = ask
        # A daemon: a call that hangs must not keep the process from its end.
        threading.Thread(target=self._run, name="weir-credentials", daemon=True).start()

    def _run(self) -> None:
        try:
            self.answer.set_result(self._ask())
        except NoCredentials as error:
            self.answer.set_exception(error)
        except BaseException as error:  # noqa: BLE001  # also SystemExit: whoever waits must get an answer
            refusal = NoCredentials(f"credentials= failed: {type(error).__name__}: {error}")
            refusal.__cause__ = error
            self.answer.set_exception(refusal)

    @property
    def is_good(self) -> bool:
        """Whether one more connect may use it: it is under way, or its answer came too late for whoever asked."""
        age = boottime() - self.began
        if self.answer.done():
            return age < _KEEPS and not self.is_used and self.answer.exception() is None
        return age < _PATIENCE


class AskedCredentials(CredentialProvider):
    """Asks a function at every connect, in a thread of its own: neither event loop nor heartbeat hangs in it."""

    def __init__(self, credentials: Credentials, user: str = "") -> None:
        """`user`: whose password it is, where the function gives that alone."""
        self._credentials = credentials
        self._user = user
        self._lock = threading.Lock()
        self._asked: list[_Asked] = []
        """Those that are under way, and the last."""

    def get_credentials(self) -> tuple[str, ...]:  # type: ignore[override]  # redis-py takes either
        """The password, or the user and the password, for a thread, which waits.

        :raises NoCredentials: when there is none now.
        """
        asked = self._ask()
        concurrent.futures.wait({asked.answer}, _PATIENCE)
        return self._used(asked)

    async def get_credentials_async(self) -> tuple[str, ...]:  # type: ignore[override]  # redis-py takes either
        """The same for an event loop."""
        asked = self._ask()
        waiting = asyncio.wrap_future(asked.answer)
        try:
            await asyncio.wait({waiting}, timeout=_PATIENCE)
        finally:
            waiting.cancel()
            if waiting.done() and not waiting.cancelled():
                waiting.exception()  # it is read below
        return self._used(asked)

    def _ask(self) -> _Asked:
        with self._lock:
            if self._asked and self._asked[-1].is_good:
                return self._asked[-1]
            self._asked = [asked for asked in self._asked if not asked.answer.done()]
            if len(self._asked) < _MOST_AT_ONCE:
                self._asked.append(_Asked(self._read))
            return self._asked[-1]

    def _used(self, asked: _Asked) -> tuple[str, ...]:
        if not asked.answer.done():
            raise NoCredentials(f"credentials= has not answered for {_PATIENCE:g} s")
        asked.is_used = True
        return asked.answer.result()

    def _read(self) -> tuple[str, ...]:
        """Ask.

        :raises WrongCredentials: when what is given is no password; it is not repeated.
        """
        given: Any = self._credentials()
        if isinstance(given, str) and given:
            return (self._user, given) if self._user else (given,)
        if isinstance(given, tuple) and len(given) == 2 and all(isinstance(word, str) and word for word in given):
            return given
        if inspect.iscoroutine(given):
            given.close()
        raise WrongCredentials(
            f"credentials= must give a password, or a tuple of user and password, and gave {_kind_of(given)}"
        )


def _kind_of(given: object) -> str:
    return "an empty text" if given == "" else f"something else (its type: {type(given).__name__})"


def identified(options: Mapping[str, Any], credentials: Credentials | None) -> dict[str, Any]:
    """The options of an address whose password is asked for at every connect.

    :raises ValueError: when the address has a password, too. TypeError: when it is no function, or an async one.
    """
    if credentials is None:
        return dict(options)
    if not callable(credentials) or inspect.iscoroutinefunction(credentials):
        raise TypeError(
            "credentials= must be a function that gives a password, or a tuple of user and password; no async one, for it "
            "is called in a thread"
        )
    if "password" in options:
        raise ValueError("the address has a password, and credentials= gives one: leave it out of the address")
    kept = {name: value for name, value in options.items() if name != "username"}
    return kept | {"credential_provider": AskedCredentials(credentials, options.get("username", ""))}
