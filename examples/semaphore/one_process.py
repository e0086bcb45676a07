"""Ten users of something that allows three at once."""

import asyncio


class Room:
    """Counts how many are inside."""

    inside = 0
    most = 0


async def user(semaphore: asyncio.Semaphore, room: Room) -> None:
    """Go in for a moment."""
    async with semaphore:
        room.inside += 1
        room.most = max(room.most, room.inside)
        await asyncio.sleep(0.02)
        room.inside -= 1


async def main() -> None:
    """Let ten users enter at once."""
    semaphore, room = asyncio.Semaphore(3), Room()
    await asyncio.gather(*(user(semaphore, room) for _ in range(10)))
    print("10 users were inside, at most", room.most, "at once")


if __name__ == "__main__":
    asyncio.run(main())
