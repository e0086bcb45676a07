"""A ledger in SQLite: a booking carries the id of its message, and a second one with that id changes nothing."""

import sqlite3


class Ledger:
    """A file of bookings."""

    def __init__(self, path: str) -> None:
        """Open the file, or create it."""
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._connection.execute("CREATE TABLE IF NOT EXISTS bookings (id TEXT PRIMARY KEY, amount INTEGER)")

    def book(self, message_id: str, amount: int) -> bool:
        """Book once for each message; returns whether it was new. The comparison is part of the statement."""
        done = self._connection.execute("INSERT OR IGNORE INTO bookings VALUES (?, ?)", (message_id, amount))
        return done.rowcount == 1

    def total(self) -> int:
        """Return the sum of all bookings."""
        (total,) = self._connection.execute("SELECT TOTAL(amount) FROM bookings").fetchone()
        return int(total)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
