"""A record of two fields that have to agree, and what readers saw of it."""

import asyncio


class Record:
    """Written in two steps; between them it is not fit to be read."""

    def __init__(self) -> None:
        """Begin with fields that agree."""
        self.left = self.right = 0
        self.torn = 0

    async def write(self) -> None:
        """One step, a pause, the other step."""
        self.left += 1
        await asyncio.sleep(0.002)
        self.right += 1

    async def read(self) -> None:
        """Look at both."""
        await asyncio.sleep(0)
        self.torn += self.left != self.right
