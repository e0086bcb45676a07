"""Level: which protocol a queue needs, and which of the two sets of scripts goes with it."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from shared.concurrency.errors import ServerRefused
from shared.concurrency.session.log import Log
from shared.concurrency.session.scripts import Script, load

log = Log("queues")

KNOWN: Final = 1
"""The highest level that this project knows; the part `level` of the scripts says the same."""


class NewerQueue(ServerRefused):
    """A newer Weir uses the queue, in a way that this process does not know."""

    def __init__(self, name: str) -> None:
        """`name`: of the queue."""
        super().__init__(f"this queue is used by a newer Weir: upgrade this process (queue {name})")


class Level:
    """The protocol level of one queue, as far as this process knows it; a level is never lowered."""

    __slots__ = ("_name", "needed", "wanted")

    def __init__(self, name: str) -> None:
        """Begin with none; the registration says what is stored."""
        self._name = name
        self.needed = 0
        """The level that is stored with the queue; 0 while no message of it says anything of its way."""
        self.wanted = 0
        """The level that this process has stored by its next registration, for what it puts needs it."""

    @property
    def is_newer(self) -> bool:
        """Whether the queue is used in a way that this process does not know."""
        return self.needed > KNOWN

    def load(self, name: str) -> Script:
        """The script of this name, of the set that goes with the queue."""
        return load(name, flow=True) if self.needed else load(name)

    def of_registration(self) -> Script:
        """The script that registers: that of the flow set also where this process is about to raise the level."""
        return load("register", flow=max(self.needed, self.wanted) > 0)

    def learn(self, needed: int) -> None:
        """Take note of what is stored; the first time that it is too new, that stands in the log."""
        was_newer, self.needed = self.is_newer, needed
        if self.is_newer and not was_newer:
            log.error(
                "this queue is used by a newer Weir: upgrade this process; its puts are refused, and it takes nothing",
                queue=self._name, level=needed, known=KNOWN,
            )  # fmt: skip

    def found_newer(self) -> None:
        """Take note that the queue is used by a newer Weir."""
        if not self.is_newer:
            self.learn(KNOWN + 1)

    async def run(self, name: str, send: Callable[[Script], Awaitable[Any]]) -> Any:
        """Send a call with the script of the set that goes with the queue, and again where that has just changed.

        :raises NewerQueue: when no set of this project goes with it.
        """
        while True:
            script = self.load(name)
            answer = await send(script)
            if not self.moved(script, answer):
                return answer

    def moved(self, script: Script, answer: Any) -> bool:
        """Whether this answer says that the script was of the wrong set, and changed nothing: it goes again.

        :raises NewerQueue: when there is no set for it.
        """
        if type(answer) is not list or not answer or answer[0] != b"flow":
            return False
        self.learn(int(answer[1]))
        if script.is_flow:
            raise NewerQueue(self._name)
        return True
