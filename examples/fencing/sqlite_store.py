"""A write to SQLite that refuses an old token: the comparison is part of the statement."""

import sqlite3


class SqliteStore:
    """One value, in a file."""

    def __init__(self, path: str) -> None:
        """Open the file, or create it."""
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS guarded (id INTEGER PRIMARY KEY, token INTEGER, value TEXT)"
        )

    def write(self, token: int, value: str) -> bool:
        """Write, unless a larger token has been seen; returns whether it was written."""
        done = self._connection.execute(
            "INSERT INTO guarded VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE SET token = excluded.token, "
            "value = excluded.value WHERE guarded.token <= excluded.token",
            (token, value),
        )
        return done.rowcount == 1

    def read(self) -> str:
        """Return the value."""
        (value,) = self._connection.execute("SELECT value FROM guarded").fetchone()
        return str(value)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
