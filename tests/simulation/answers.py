"""Answers: what the futures of submitted messages were given, and of which another outcome may be given, or none."""


class Answers:
    """The outcomes of submitted messages, by their numbers."""

    def __init__(self) -> None:
        """None was given yet."""
        self.given: dict[int, str] = {}
        """What the futures of a number were given; all of them are given the same."""
        self.unwanted: set[int] = set()
        """Whose future somebody cancelled, or whose submitter was killed: no outcome is promised to others."""
        self.unsure: set[int] = set()
        """Begun before a loss of data that has not kept the effect: each may be handled again, and answered anew."""
        self.forgotten: set[int] = set()
        """Whose id the server has lost."""
        self.there: set[int] = set()
        """What the data held that the server came back with last: each comes again, and so does its outcome."""
        self.kept: set[bytes] = set()
        """Keys of those that may have come while nobody listened: their outcomes are kept for their time."""

    def give(self, number: int, answer: str) -> str:
        """A future was given this. What is wrong with it, or nothing."""
        before = self.given.setdefault(number, answer)
        return (
            "" if before == answer or self.may_differ(number) else f"{number} was answered {before!r}, and {answer!r}"
        )

    def may_differ(self, number: int) -> bool:
        """Whether its futures may be given different outcomes."""
        return number in self.unwanted or number in self.unsure

    def may_be_unknown(self, number: int) -> bool:
        """Whether its id may be unknown though its submit has returned: it was withdrawn, or lost."""
        return number in self.unwanted or number in self.forgotten

    def lose(self, begun: set[int], done: set[int], known: set[int]) -> None:
        """The server has lost data, and has these effects and ids."""
        self.unsure |= begun - done
        self.forgotten |= begun - known
