"""PasswordFile: a password in a file that somebody else replaces, read again at every connect."""

from pathlib import Path

from shared.concurrency.session.address.credentials import NoCredentials
from shared.concurrency.session.outage import Outage
from shared.environment import Environment
from shared.logs import Log
from shared.secret_files import read_secret


class PasswordFile:
    """Called, it reads the file. One that is missing or empty for a moment gives what it gave last."""

    def __init__(self, path: Path) -> None:
        """`path`: the file; a line break at its end is no part of the password."""
        self.path = path
        self._last = ""
        self._outage = Outage(
            Log("pipeline"), "the password file cannot be read: the last password is used", "the password file is read again",
            file=str(path),
        )  # fmt: skip

    def __call__(self) -> str:
        """The password; called in any thread.

        :raises NoCredentials: when there is none, and was none before.
        """
        try:
            self._last = read_secret(self.path)
        except ValueError as error:
            if not self._last:
                raise NoCredentials(f"the password file {self.path} {error}") from None
            self._outage.goes_on(str(error))
        else:
            self._outage.is_over()
        return self._last


def password_of(settings: Environment) -> PasswordFile | None:
    """What gives the password of the server, where PIPELINE_PASSWORD_FILE names one."""
    return None if settings.password_file is None else PasswordFile(settings.password_file)


def clock_password_of(settings: Environment) -> PasswordFile | None:
    """What gives that of the clock's server, which is the same server where it has no address of its own."""
    if settings.clock_password_file is not None:
        return PasswordFile(settings.clock_password_file)
    has_own = settings.clock_url is not None and settings.clock_url != settings.redis_url
    return None if has_own else password_of(settings)
