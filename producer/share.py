"""Share: the part of a source that one producer puts; what producer/source.py imports."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """One of PIPELINE_SHARES: `async def messages(pipeline, share)` yields this part of all messages.

    For example `rows[share.index :: share.count]`.
    """

    index: int
    """From 0."""
    count: int
    """How many there are; with 1 it is the whole source."""
