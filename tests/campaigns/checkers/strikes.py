"""Strikes: what a campaign did to whom, and when. Whoever was struck has an excuse; nobody else has."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault, from its beginning to where it is healed; nanoseconds."""

    word: str
    began: int
    ended: int
    pid: int | None = None
    """The process that it struck; None: the server, or the way to it, and so everybody."""
    kept: int | None = None
    """The server may have forgotten what it answered from this moment on; None: it forgets nothing."""

    def strikes(self, pid: int) -> bool:
        """Whether that process had to do with it."""
        return self.pid is None or self.pid == pid

    def meets(self, began: float, ended: float) -> bool:
        """Whether it has a moment in common with that time."""
        return self.began <= ended and self.ended >= began
