"""The monitor as an OS process, and what a browser would ask of it."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.instruments.command_line import ROOT
from tests.instruments.services import Service, running, wait_for

PATIENCE = 20.0


@dataclass(frozen=True)
class Answer:
    """What was answered."""

    status: int
    headers: dict[str, str]
    """Their names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        """The body, from JSON."""
        return json.loads(self.body)


class Stream:
    """An open stream of views."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        """Use `Page.stream`."""
        self._response = response

    def view(self) -> Any:
        """Wait for the next view; AssertionError where the stream has ended."""
        while line := self._response.readline():
            if line.startswith(b"data: "):
                return json.loads(line[6:])
        raise AssertionError("the stream has ended")

    def until(self, satisfied: Any) -> Any:
        """Wait for a view that satisfies, for a minute of views at most."""
        view = None
        for _ in range(60):
            if satisfied(view := self.view()):
                return view
        raise AssertionError(f"still {view!r}")

    def rest(self) -> bytes:
        """Read to its end."""
        return self._response.read()


class Page:
    """The page of a running monitor."""

    def __init__(self, service: Service, port: int) -> None:
        """Use `watching`."""
        self.service = service
        self.port = port

    @property
    def address(self) -> str:
        """What is typed into a browser."""
        return f"http://127.0.0.1:{self.port}/"

    def ask(self, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
        """Ask once."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, {word.lower(): text for word, text in answer.getheaders()}, answer.read())

    @contextmanager
    def stream(self, path: str = "/events") -> Iterator[Stream]:
        """Open a stream."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            yield Stream(answer)


@contextmanager
def watching(url: str, **settings: str) -> Iterator[Page]:
    """A monitor of the server at `url`, once it serves its page."""
    given = {"REDIS_URL": url, "PIPELINE_MONITOR_PORT": "0", "PYTHONWARNINGS": "error", **settings}
    with running("monitor", ROOT, **given) as service:
        *_, last = wait_for(service, "the page is served")
        yield Page(service, json.loads(last)["port"])
