"""What an address leads to."""

from typing import Literal, NamedTuple

Kind = Literal["tcp", "tls", "socket"]
"""Which kind of connection leads there."""


class Endpoint(NamedTuple):
    """One server, as it is reached over a network."""

    host: str
    port: int

    def __str__(self) -> str:
        """As people write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
