"""Web: what the monitor answers to a browser. It only reads, but for actions where they are switched on."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from monitor.feed import Feed
from monitor.page.actions import Actions
from monitor.page.guard import Guard
from monitor.page.letters import newest_letter
from monitor.page.view import view
from monitor.probes import Probes
from shared.concurrency import ConcurrencyError

STATIC: Final = Path(__file__).with_name("static")
MOST_PAYLOAD: Final = 65_536
"""So many bytes of a payload are shown."""
MOST_READERS: Final = 200
"""Streams at the same time; a page that finds no place says so, and tries again."""


class Web:
    """The routes over a feed."""

    def __init__(self, feed: Feed, probes: Probes, actions: Actions | None, queue: str) -> None:
        """`queue`: the one that is shown to a reader who has not chosen. Without `actions` there are none."""
        self._feed: Final = feed
        self._probes: Final = probes
        self._actions: Final = actions
        self._queue: Final = queue
        self._readers = 0

    def application(self, names: frozenset[str]) -> Starlette:
        """`names`: of this host, as a browser may call it besides localhost and an address."""
        routes = [
            Route("/", self._page),
            Route("/events", self._events),
            Route("/snapshot.json", self._snapshot),
            Route("/letter", self._letter),
            *self._probes.routes(),
            *([Route("/actions/{action}", self._actions.act, methods=["POST"])] if self._actions else ()),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
        return Starlette(routes=routes, middleware=[Middleware(Guard, names=names)])

    async def _page(self, _: Request) -> Response:
        return FileResponse(STATIC / "page.html", headers={"Cache-Control": "no-cache"})

    async def _snapshot(self, _: Request) -> Response:
        """The last snapshot; its schema is monitor/snapshot.schema.json in docs/."""
        latest = self._feed.latest
        if latest is None:
            trouble = self._feed.trouble
            return _problem(503, "there is no snapshot yet" if trouble is None else trouble.text)
        return Response(latest.model_dump_json(), media_type="application/json")

    async def _events(self, request: Request) -> Response:
        """What the page shows, once a second; the first at once."""
        if self._readers >= MOST_READERS:
            return _problem(503, f"{MOST_READERS} pages are open already")
        chosen = request.query_params.get("queue") or self._queue
        # Taken here: a crowd that asks at once is counted before any of its streams has begun.
        self._readers += 1
        return _Stream(self._views(chosen, request.query_params.get("lease")), self._leave)

    def _leave(self) -> None:
        self._readers -= 1

    async def _views(self, queue: str, lease: str | None) -> AsyncIterator[dict[str, str]]:
        async for _ in self._feed.ticks():
            shown = {**view(self._feed, queue, lease), "actions": self._actions is not None}
            yield {"event": "view", "data": json.dumps(shown, separators=(",", ":"))}

    async def _letter(self, request: Request) -> Response:
        """The newest dead letter of a group; its payload only where it is asked for."""
        asked, latest = request.query_params, self._feed.latest
        queue = None if latest is None else latest.queue(asked.get("queue", ""))
        if queue is None:
            return _problem(404, "queue= names no queue that is here")
        try:
            letter = await newest_letter(self._feed.link, queue.name, asked.get("reason", ""), asked.get("type", ""))
        except ConcurrencyError as error:
            return _problem(503, str(error))
        if letter is None:
            return _problem(404, "it is no dead letter any more, or 10,000 newer ones are of other kinds")
        if asked.get("key", letter.key) != letter.key:
            return _problem(409, "there is a newer one meanwhile: ask for the sample again")
        found = {
            "key": letter.key, "id": letter.id, "attempt": letter.attempt, "failures": letter.failures,
            "error": letter.error, "first_error": letter.first_error, "put_at": letter.put_at,
            "died_at": letter.died_at, "bytes": len(letter.body),
        }  # fmt: skip
        if asked.get("payload") == "yes":
            found["payload"] = letter.body[:MOST_PAYLOAD].decode(errors="replace")
        return JSONResponse(found)


class _Stream(EventSourceResponse):
    """A stream of views that gives its place back when it ends, also where it was never begun."""

    def __init__(self, views: AsyncIterator[dict[str, str]], leave: Callable[[], None]) -> None:
        super().__init__(views, ping=20)
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


def _problem(status: int, text: str) -> JSONResponse:
    return JSONResponse({"problem": text}, status_code=status)
