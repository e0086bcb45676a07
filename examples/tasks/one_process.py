"""Ten tasks on one event loop; gather waits for all and has their results in order."""

import asyncio


async def square(number: int) -> int:
    """Some work."""
    await asyncio.sleep(0.01)
    return number * number


async def main() -> None:
    """Compute ten at once."""
    squares = await asyncio.gather(*(square(number) for number in range(10)))
    print(*squares)


if __name__ == "__main__":
    asyncio.run(main())
