"""Puts and takes with only a socket and the scripts: nothing of this project is imported. See docs/protocol.md.

`python -m examples.protocol.raw SCRIPTS ADDRESS QUEUE put TEXT...` or `... take COUNT`; SCRIPTS is the directory that
`./run pipeline scripts --into SCRIPTS` has written, ADDRESS is HOST:PORT or the path of a socket.
"""

import json
import secrets
import socket
import sys
import time
from pathlib import Path
from typing import Any

RECEIPT, FIXED = 45, 52
TTL_MS = 10_000


class Server:
    """Commands and answers of RESP2. A client that polls needs no pushes."""

    def __init__(self, address: str) -> None:
        """Connect."""
        host, _, port = address.rpartition(":")
        if host:
            self._socket = socket.create_connection((host, int(port)))
        else:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(address)
        self._answers = self._socket.makefile("rb")

    def command(self, *words: bytes | str | int) -> Any:
        """Send a command, read its answer; an error is raised."""
        packed = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self._socket.sendall(b"*%d\r\n" % len(packed) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in packed))
        return self._read()

    def _read(self) -> Any:
        line = self._answers.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b"$":
            return None if rest == b"-1" else self._answers.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self._read() for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest

    def close(self) -> None:
        """Disconnect."""
        self._answers.close()
        self._socket.close()


class Client:
    """One process at one queue."""

    def __init__(self, server: Server, scripts: Path, queue: str) -> None:
        """Register a session."""
        self._server = server
        self._scripts = {name: (scripts / f"{name}.lua", contract) for name, contract in _contracts(scripts).items()}
        self._queue = queue
        self._owner = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(12))
        self._session = f"{self._owner}.1.{TTL_MS}"
        self._sequence = self._puts = self._takes = self._settles = 0
        info = dict(
            line.split(":", 1) for line in server.command("INFO", "server").decode().splitlines() if ":" in line
        )
        self.call("register", self._session, 1, *[""] * 5, info["run_id"], 24 * 3600 * 1000, 0, 0, "", 0)

    def call(self, name: str, *arguments: bytes | str | int) -> Any:
        """Run a script: its keys are those of the contract, under the queue's prefix."""
        path, contract = self._scripts[name]
        keys = [f"{{{self._queue}}}:{key['suffix'].replace('SESSION', self._session)}" for key in contract["keys"]]
        words = (len(keys), *keys, *arguments)
        try:
            return self._server.command("EVALSHA", contract["sha1"], *words)
        except RuntimeError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        self._server.command("SCRIPT", "LOAD", path.read_bytes())
        return self._server.command("EVALSHA", contract["sha1"], *words)

    def put(self, body: bytes, headers: dict[str, str] | None = None) -> str:
        """Put a message; "a" when it is in the queue, "f" when there is no room."""
        self._sequence += 1
        self._puts += 1
        packed = json.dumps(headers).encode() if headers else b""
        outgoing = b"%b%010d%b.%03d%b%b" % (self._owner.encode(), self._sequence, b"0" * 10, len(packed), packed, body)
        answer = self.call("put", self._session, self._puts, 0, 0, 0, "", "", "", outgoing)
        verdict: bytes = answer[2][0]
        return verdict.decode()

    def settle_and_take(self, acks: list[bytes], want: int) -> bytes | None:
        """Acknowledge all that is held, and take up to one; None when there is none now."""
        self._takes += 1
        self._settles += bool(acks)
        receipts = b"".join(acks)
        answer = self.call(
            "settle_and_take",
            *(self._session, self._takes, self._settles, len(acks), receipts, "", 0, "", "", want, 0, 0),
        )
        state, _, refused, entries, poll_again, overdue, *_ = answer
        if state != b"ok" or refused:
            raise RuntimeError(f"the session is over, or a delivery was not ours: {state!r} {refused!r}")
        if overdue:
            self._recover(overdue.decode())
        elif want and not entries:
            time.sleep(min(poll_again, 50) / 1000)
        return entries[0] if entries else None

    def _recover(self, session: str) -> None:
        mine, self._session = self._session, session  # the call needs its `leased` key
        while self.call("recover", session)[1]:
            pass
        self._session = mine

    def leave(self) -> None:
        """Give back what is held, and end the session."""
        while self.call("leave", self._session, "")[1]:
            pass


def _contracts(scripts: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((scripts / "scripts.json").read_text())
    return found


def body_of(entry: bytes) -> bytes:
    """Return the message itself."""
    return entry[FIXED + int(entry[FIXED - 3 : FIXED]) :]


def main(scripts: str, address: str, queue: str, what: str, *words: str) -> None:
    """Put each word as a JSON text, or take and acknowledge this many messages and print their bodies."""
    server = Server(address)
    client = Client(server, Path(scripts), queue)
    if what == "put":
        for word in words:
            print(client.put(json.dumps(word).encode()))
    else:
        left = int(words[0])
        held: list[bytes] = []
        while left or held:
            entry = client.settle_and_take(held, min(1, left))
            held = []
            if entry is not None:
                print(body_of(entry).decode())
                held, left = [entry[:RECEIPT]], left - 1
    client.leave()
    server.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
