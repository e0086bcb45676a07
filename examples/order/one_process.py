"""Two tasks in a fixed order, though the second starts first."""

import asyncio


async def first(done: asyncio.Event, diary: list[str]) -> None:
    """Do what must come first."""
    await asyncio.sleep(0.01)
    diary.append("first")
    done.set()


async def second(done: asyncio.Event, diary: list[str]) -> None:
    """Do what must come second."""
    await done.wait()
    diary.append("second")


async def main() -> None:
    """The second starts first."""
    done = asyncio.Event()
    diary: list[str] = []
    await asyncio.gather(second(done, diary), first(done, diary))
    print(*diary)


if __name__ == "__main__":
    asyncio.run(main())
