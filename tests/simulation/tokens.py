"""Tokens: whether each grant has a larger one than every grant before it."""

from tests.simulation.world import Process, World


class Tokens:
    """The tokens of all who came in, in whichever way.

    A grant lies between a question and the entry behind it: whoever asks once another is inside has a larger token.
    Readers of one process share a hold, and its token; they count as having asked with the first who asked for it.
    """

    def __init__(self, world: World, failures: list[str]) -> None:
        """Note in `failures` what must not be."""
        self._world = world
        self._failures = failures
        self._asking: dict[int, tuple[Process, str, int]] = {}
        """Who asks -> its process, its mode, and the largest token that anybody had when it asked."""
        self._known: dict[int, Process] = {}
        self._largest = self._last_alone = 0

    def asks(self, number: int, process: Process, mode: str) -> None:
        """Somebody begins to ask."""
        together = (theirs for one, how, theirs in self._asking.values() if one is process and how == mode == "r")
        self._asking[number] = process, mode, min((self._largest, *together))

    def enters(self, number: int, token: int) -> None:
        """Its question was granted."""
        process, mode, before = self._asking.pop(number)
        shares = mode == "r" and self._known.get(token) is process
        if not shares and token in self._known:
            self._fail(f"the token {token} twice")
        elif not shares and token <= before:
            self._fail(f"the token {token} of {mode} behind {before}")
        self._known[token] = process
        self._largest = max(self._largest, token)

    def enters_alone(self, token: int) -> None:
        """It believes that it is alone: so was everybody who believed it before."""
        if token <= self._last_alone:
            self._fail(f"token {token} behind {self._last_alone}")
        self._last_alone = token

    def leaves(self, number: int) -> None:
        """It asks no more."""
        self._asking.pop(number, None)

    def _fail(self, what: str) -> None:
        self._failures.append(f"{what} at {self._world.now:.3f} s")
