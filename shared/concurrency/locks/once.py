"""Once: calls that have one effect, however often they are sent again after a lost answer."""

from typing import Any, Final

from shared.concurrency.session.calls import Call
from shared.concurrency.session.process import Process
from shared.concurrency.session.scripts import load


class Once:
    """Runs scripts that keep the id of a call, so that it is not done again over what others did since."""

    def __init__(self, process: Process, keys: dict[str, bytes]) -> None:
        """Begin with no call."""
        self._process: Final = process
        self._keys = keys
        self._answered = ""
        """The last call whose answer came: the server need not keep its id."""

    async def call(self, script: str, *arguments: str | int) -> Any:
        """Run a script, whose last two arguments are the call and the one that was answered; waits out an outage.

        :raises ConcurrencyError: when the session is closed, or the server refuses the script.
        """
        call = self._process.new_id(0)
        answer = await self._process.call(Call(load(script), self._keys, (*arguments, call, self._answered)))
        self._answered = call
        return answer
