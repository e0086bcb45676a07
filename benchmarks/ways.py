"""What the server pays for what messages ask of their way: its own microseconds, of its count of each script.

`python -m benchmarks.ways [CASE ...]`: puts of 250 and takes of 100, which settle what the take before has delivered,
with so many messages pending. It reads INFO commandstats, so that a busy machine does not count, but for its caches.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import redis

from shared.concurrency.queues.membership.keys import leased_key, queue_keys
from shared.concurrency.session.scripts import Script, load
from shared.local.embedded import EmbeddedServer

_OWNER: Final = "abcdefghijkl"
_SESSION: Final = f"{_OWNER}.1.600000"
_BODY: Final = b'{"text":"' + b"x" * 89 + b'"}'
_PUT: Final = 250
_TAKE: Final = 100
_ROUNDS: Final = 150
_DECILE: Final = 10

CASES: Final[dict[str, Callable[[int], str] | None]] = {
    "plain": None,
    "100,000 keys": lambda number: f"1  c{number % 100_000}  ",
    "1,000 keys": lambda number: f"1  c{number % 1_000}  ",
    "three priorities": lambda number: f"{number % 3}    ",
    "1,000 shares": lambda number: f"1 t{number % 1_000}   ",
    "100,000 shares": lambda number: f"1 t{number % 100_000}   ",
    "100 shares, 3 priorities": lambda number: f"{number % 3} t{number % 100}   ",
    "100 shares, 1,000 keys": lambda number: f"1 t{number % 100} c{number % 1_000}  ",
    "limit that is open": lambda _: "1   open ",
    "rate that is open": lambda _: "1   often ",
    "limit 50, 100 asked for": lambda _: "1   api ",
}
"""What the header flow says of the message with this number; None for a queue without a level."""


_LIMITS: Final = {"limits": 1, "l:open": "1000000 0 0 0 0", "l:often": "0 1 1000000 1000000 1.0", "l:api": "50 0 0 0 0"}
"""What `limit` stores: the numbers of those."""


class Caller:
    """Puts and takes by hand, one call after the other."""

    def __init__(self, client: redis.Redis, way: Callable[[int], str] | None) -> None:
        """Register; `way`: as CASES."""
        self._client: Final = client
        self._way: Final = way
        self._keys: Final = {**queue_keys("ways"), "leased": leased_key("ways", _SESSION)}
        self._scripts = {word: load(word, flow=way is not None) for word in ("register", "put", "settle_and_take")}
        for script in self._scripts.values():
            client.script_load(script.source)
        info: Any = client.info("server")
        run_id = info["run_id"]
        self._call("register", 1, "", "", "", "", "", run_id, 86_400_000, 0, 0, "", int(way is not None))
        if way is not None and way(0).split(" ")[3]:
            client.hset("{ways}:flow", mapping=_LIMITS)
        self._calls = 0
        self._put = 0
        self._held: list[bytes] = []

    def _call(self, word: str, *words: Any) -> Any:
        script: Script = self._scripts[word]
        client: Any = self._client  # its types know no bytes as keys
        return client.execute_command("EVALSHA", script.sha, *script.pack(self._keys, (_SESSION, *words)))

    def put(self, count: int) -> None:
        """Put so many."""
        self._calls += 1
        answer = self._call("put", self._calls, 1, 0, 0, "", b"", b"", *(self._entry() for _ in range(count)))
        if answer[:1] != [b"ok"]:
            raise RuntimeError(f"put answers {answer!r:.200}")

    def _entry(self) -> bytes:
        self._put += 1
        start = b"%b%010d0000000000" % (_OWNER.encode(), self._put)
        if self._way is None:
            return b"%b.000%b" % (start, _BODY)
        headers = json.dumps({"flow": self._way(self._put)}, separators=(",", ":")).encode()
        return b"%bf%03d%b%b" % (start, len(headers), headers, _BODY)

    def take(self, want: int) -> int:
        """Settle what is held, and take so many at most; how many came."""
        self._calls += 1
        number, held = self._calls, self._held
        words = (number, number, len(held), b"".join(entry[:45] for entry in held), b"", 0, b"", b"", want, 0, 0)
        answer = self._call("settle_and_take", *words)
        if answer[0] != b"ok" or answer[2]:
            raise RuntimeError(f"settle_and_take answers {answer!r:.200}")
        self._held = answer[3]
        return len(self._held)


def server_us(client: redis.Redis) -> int:
    """Microseconds of all scripts so far."""
    stats: Any = client.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {}).get("usec", 0))


def measure(client: redis.Redis, way: Callable[[int], str] | None, pending: int) -> tuple[float, float]:
    """Microseconds a message for a put, and for taking and settling: the low decile of the calls."""
    client.flushall()
    client.config_resetstat()
    caller = Caller(client, way)
    puts: list[float] = []
    for _ in range(pending // _PUT):
        before = server_us(client)
        caller.put(_PUT)
        puts.append((server_us(client) - before) / _PUT)
    takes: list[float] = []
    caller.take(_TAKE)
    for _ in range(_ROUNDS):
        before = server_us(client)
        count = caller.take(_TAKE)
        takes.append((server_us(client) - before) / count)
        caller.put(count)
    return _low(puts[len(puts) // 2 :]), _low(takes)


def _low(figures: list[float]) -> float:
    return sorted(figures)[len(figures) // _DECILE]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a row for each case."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ways", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--pending", type=int, default=100_000, help="messages that are pending (100000)")
    options = parser.parse_args(arguments)
    sys.stdout.write("| messages | put, 250 a call | settle + take, 100 a call | together |\n|---|---:|---:|---:|\n")
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServer(Path(folder)) as server,
        redis.Redis.from_url(server.url) as client,
    ):
        for case in options.cases or CASES:
            put, take = measure(client, CASES[case], options.pending)
            sys.stdout.write(f"| {case} | {put:.2f} | {take:.2f} | {put + take:.2f} |\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
