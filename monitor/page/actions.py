"""Actions: what the page may change at a queue, for those who may."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from monitor.feed import Feed
from monitor.page.access import Access, AccessRefused, address_of
from shared.concurrency import ConcurrencyError, Queue, Selection, Session
from shared.concurrency.queues.settings import LARGEST_BOUND
from shared.concurrency.session.address.credentials import Credentials
from shared.logs import Log

log = Log("monitor")

LARGEST_BODY: Final = 4096
"""Bytes of a request at most."""
PATIENCE: Final = 3.0
"""Seconds that the server has to answer a new session."""
LONGEST: Final = 60.0
"""Seconds that an action may take."""
CUT: Final = 100
"""Bytes of a reason or a class by which dead letters are grouped."""
_PORTION: Final = 500


class Asked(BaseModel):
    """What an action is to change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    queue: str
    maxsize: int | None = Field(None, ge=0, le=LARGEST_BOUND)
    """Of `resize`."""
    key: str | None = Field(None, min_length=1, max_length=200)
    """The one dead letter that is meant; without it those of a reason and a class."""
    reason: str | None = None
    type: str | None = None
    consumer: str | None = Field(None, min_length=1, max_length=100)
    """The one that `drain` notifies; without it all of the queue."""


Outcome = dict[str, Any]
Act = Callable[[Queue[Any], Asked], Awaitable[Outcome]]


class Actions:
    """Does what a page asks for, in a session that ends with it: the monitor itself takes part in nothing."""

    def __init__(self, feed: Feed, access: Access, url: str, credentials: Credentials | None = None) -> None:
        """`url`: of the server; `credentials`: what gives its password."""
        self._feed: Final = feed
        self._access: Final = access
        self._url: Final = url
        self._credentials: Final = credentials

    async def act(self, request: Request) -> Response:
        """Answer POST /actions/ACTION: 200 and what became of it, else a problem."""
        action = request.path_params["action"]
        try:
            who = await self._access.check(request)
        except AccessRefused as error:
            log.warning(
                "an action was refused",
                action=action, by=error.by, address=address_of(request), problem=str(error),
            )  # fmt: skip
            return _problem(error.status, str(error))
        act = _ACTIONS.get(action)
        if act is None:
            return _problem(404, f"there are {', '.join(_ACTIONS)}")
        try:
            asked = Asked.model_validate(json.loads(await _body(request)))
            self._check(action, asked)
        except (ValueError, RecursionError) as error:
            return _problem(400, _told(error))
        about = {"action": action, **asked.model_dump(exclude_none=True), "by": who, "address": address_of(request)}
        return await self._done(act, asked, about)

    async def _done(self, act: Act, asked: Asked, about: dict[str, Any]) -> Response:
        # Before it, too: what a monitor does that is killed meanwhile stands in its log.
        log.info("an action begins", **about)
        outcome, status, problem = Outcome(), 503, "the monitor is stopped meanwhile"
        try:
            # A call waits through an outage, however long: nobody wants a pause an hour after he asked for it.
            async with asyncio.timeout(LONGEST), _opened(self._url, self._credentials, asked.queue) as queue:
                outcome = await act(queue, asked)
            problem = ""
        except ConcurrencyError as error:
            problem = str(error)
        except TimeoutError:
            status, problem = 504, f"it is not done after {LONGEST:g} s; what is done of it stays done"
        finally:
            if problem:
                log.warning("an action failed", **about, problem=problem)
        if problem:
            return _problem(status, problem)
        log.info("an action", **about, **outcome)
        return JSONResponse(outcome)

    def _check(self, action: str, asked: Asked) -> None:
        """Refuse what is not whole.

        :raises ValueError: saying what is missing.
        """
        latest = self._feed.latest
        if latest is None or latest.queue(asked.queue) is None:
            raise ValueError("queue: no queue that is here has this name")
        if action == "resize" and asked.maxsize is None:
            raise ValueError("maxsize: how many may be pending? 0 for no bound")
        if action in {"replay", "discard"} and (asked.key is None) == (asked.reason is None):
            raise ValueError("give key, or reason with type: which dead letters are meant?")


async def _pause(queue: Queue[Any], _: Asked) -> Outcome:
    await queue.pause()
    return {}


async def _resume(queue: Queue[Any], _: Asked) -> Outcome:
    await queue.resume()
    return {}


async def _resize(queue: Queue[Any], asked: Asked) -> Outcome:
    await queue.resize(asked.maxsize)
    return {}


async def _drain(queue: Queue[Any], asked: Asked) -> Outcome:
    return {"consumers": len(await queue.drain(asked.consumer))}


async def _replay(queue: Queue[Any], asked: Asked) -> Outcome:
    replayed = stayed = 0
    why = ""
    async for keys in _chosen(queue, asked):
        # Once there is no room, or the queue is shut down, those behind stay too, however many they are.
        if why in {"no_room", "shut_down"}:
            stayed += len(keys)
            continue
        became = await queue.letters.replay(keys)
        replayed, stayed = replayed + became.replayed, stayed + became.stayed
        why = next((word for word in ("no_room", "shut_down", "unreadable") if getattr(became, word)), why)
    return {"replayed": replayed, "stayed": stayed, "why": why}


async def _discard(queue: Queue[Any], asked: Asked) -> Outcome:
    discarded = 0
    async for keys in _chosen(queue, asked):
        discarded += await queue.letters.discard(keys)
    return {"discarded": discarded}


async def _chosen(queue: Queue[Any], asked: Asked) -> AsyncIterator[list[str]]:
    """Keys of the letters that are meant, in portions: one, or all of a group as the page shows it.

    A group without a class is of those without one alone; reasons and classes are cut there.
    """
    if asked.key is not None:
        yield [asked.key]
        return
    is_cut = len((asked.reason or "").encode()) >= CUT
    portion: list[str] = []
    async for letter in queue.letters.find(Selection(reason=None if is_cut else asked.reason)):
        if _cut(letter.reason) == asked.reason and _cut(letter.type or "") == (asked.type or ""):
            portion.append(letter.key)
        if len(portion) == _PORTION:
            yield portion
            portion = []
    if portion:
        yield portion


def _cut(text: str) -> str:
    return text.encode()[:CUT].decode(errors="replace")


_ACTIONS: Final[dict[str, Act]] = {
    "pause": _pause, "resume": _resume, "resize": _resize, "drain": _drain, "replay": _replay, "discard": _discard,
}  # fmt: skip


@asynccontextmanager
async def _opened(url: str, credentials: Credentials | None, name: str) -> AsyncIterator[Queue[Any]]:
    group, slash, alone = name.rpartition("/")
    async with Session.open(url, connect_timeout=PATIENCE, credentials=credentials) as session:
        yield Queue(session, alone, Any, group=group if slash else None)


async def _body(request: Request) -> bytes:
    """What was sent.

    :raises ValueError: when it is too long.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BODY:
            raise ValueError(f"an action has {LARGEST_BODY} bytes at most")
    return body


def _told(error: ValueError | RecursionError) -> str:
    if isinstance(error, ValidationError):
        parts = error.errors(include_url=False, include_context=False, include_input=False)
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in parts)
    return "an action is a JSON object" if isinstance(error, json.JSONDecodeError | RecursionError) else str(error)


def _problem(status: int, text: str) -> JSONResponse:
    return JSONResponse({"problem": text}, status_code=status)
