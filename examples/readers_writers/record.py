"""A record of two fields that must agree, and how often readers saw that they do not."""

import asyncio


class Record:
    """Written in two steps; between them it must not be read."""

    def __init__(self) -> None:
        """Begin with fields that agree."""
        self.left = self.right = 0
        self.torn = 0

    async def write(self) -> None:
        """Write one field, pause, write the other."""
        self.left += 1
        await asyncio.sleep(0.002)
        self.right += 1

    async def read(self) -> None:
        """Compare both fields."""
        await asyncio.sleep(0)
        self.torn += self.left != self.right
