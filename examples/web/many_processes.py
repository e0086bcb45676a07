"""Two web processes, one worker, one client: pictures are accepted, followed by their events, and done."""

import json
import os
import secrets
import subprocess
import sys
import urllib.request
from collections import Counter

from examples.server import server
from examples.web.server import web
from shared.local.parent_death import tied

_PICTURES = 6


def submit(address: str, picture: dict[str, object]) -> str:
    """POST a picture; returns its id."""
    request = urllib.request.Request(  # noqa: S310  # our own server
        f"{address}/pictures", json.dumps(picture).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        id_: str = json.load(answer)["id"]
        return id_


def follow(address: str, id_: str) -> str:
    """Read the events of a picture until the last; returns the state that it names."""
    with urllib.request.urlopen(f"{address}/pictures/{id_}/events", timeout=30) as events:  # noqa: S310
        named: list[str] = [line.decode().split()[1] for line in events if line.startswith(b"event:")]
    return named[-1]


def main() -> None:
    """Run all of it."""
    with server() as url:
        settings = {"REDIS_URL": url, "PICTURES_QUEUE": f"pictures-{secrets.token_hex(4)}"}
        worker = subprocess.Popen(
            [sys.executable, "-m", "examples.web.worker"],
            env={**os.environ, **settings},
            preexec_fn=tied(),  # noqa: PLW1509  # it only calls the kernel
        )
        try:
            with web(settings) as address:
                ids = [submit(address, {"path": f"{number}.png", "width": 300}) for number in range(_PICTURES)]
                ended = Counter(follow(address, id_) for id_ in ids)
        finally:
            worker.terminate()
            worker.wait()
    print(f"{_PICTURES} pictures accepted, {ended['done']} done")


if __name__ == "__main__":
    main()
