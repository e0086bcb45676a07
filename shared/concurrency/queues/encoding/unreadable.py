"""Unreadable: why a stored message cannot become an object in this process."""


class Unreadable(Exception):
    """A stored message that cannot become an object; `reason` goes on its dead letter."""

    def __init__(self, reason: str, report: str, trace: str = "") -> None:
        """Keep the reason (too_large, undecodable, invalid, unknown_type, too_new) and what was wrong.

        `trace`: the traceback, where an upgrade function raised.
        """
        super().__init__(f"{reason}: {report}")
        self.reason = reason
        self.report = report
        self.trace = trace


class Unsupported(Unreadable):
    """A message that this process does not have the code for: another process may, so it is not dead."""

    def __init__(self, reason: str, report: str, type_name: str | None, version: int) -> None:
        """`type_name`, `version`: those that the message travels with."""
        super().__init__(reason, report)
        self.type_name = type_name
        self.version = version


class UnknownType(Unsupported):
    """No class here has this name."""

    def __init__(self, type_name: str | None, version: int) -> None:
        """As Unsupported."""
        super().__init__("unknown_type", f"no message class is called {type_name!r}", type_name, version)


class TooNew(Unsupported):
    """The class here has a lower version."""

    def __init__(self, type_name: str | None, version: int, ours: int) -> None:
        """`ours`: the version that the class has here."""
        super().__init__(
            "too_new", f"{type_name} has version {version}, this process reads up to {ours}", type_name, version
        )
        self.ours = ours
