"""What passes through the proxy."""

import asyncio
import enum
from collections import deque
from dataclasses import dataclass


class Fate(enum.Enum):
    """What happens to a command."""

    PASS = "passes"
    DROP_BEFORE = "the connection breaks before the server sees it"
    DROP_AFTER = "the connection breaks after it was executed, before the reply"
    DROP_WITHIN = "the connection breaks in the middle of the reply"


@dataclass(frozen=True)
class Command:
    """One command that a client sent."""

    connection: int
    client: str
    """What the connection is called (CLIENT SETNAME); the heartbeat's has no name."""
    name: str
    """The command, or the step when it is one of our scripts."""
    words: tuple[bytes, ...]

    @property
    def of_session(self) -> bool:
        """Whether it belongs to a session's connection, and not to its heartbeat or to a test's own client."""
        return self.client.startswith("weir-")


@dataclass
class Link:
    """One client and its connection to the server."""

    number: int
    expected: deque[tuple[Command, Fate]]
    about: dict[str, str]
    doomed: bool = False

    def learn(self, words: tuple[bytes, ...]) -> None:
        """Take note of the name that the client gives its connection."""
        upper = [word.upper() for word in words[:2]]
        if upper == [b"CLIENT", b"SETNAME"]:
            self.about["name"] = words[2].decode()


class Hold:
    """One reply that is kept back."""

    def __init__(self, step: str, of_session: bool) -> None:  # noqa: FBT001  # one caller
        """Wait for the reply to this step, on a session's connection or on a heartbeat's."""
        self.step = step
        self.of_session = of_session
        self.arrived = asyncio.Event()
        """Set when the server has executed the command."""
        self.released = asyncio.Event()

    def release(self) -> None:
        """Let it go."""
        self.released.set()
