"""The web application: `uvicorn examples.web.application:application --workers 2`."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Final

from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from examples.web.pictures import URL, Shrink, pictures
from examples.web.state import State, state_of, states_of
from shared.concurrency import Cancellation, IdConflict, Queue, QueueShutDown, Session

PATIENCE: Final = 0.5
"""Seconds that a request waits for room in the queue."""
RETRY_AFTER: Final = "1"


@asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncIterator[None]:
    """One session for each process of the server."""
    async with Session.open(URL) as session:
        application.state.queue = pictures(session)
        yield


PROCESS: Final = {"X-Process": str(os.getpid())}
"""Which process answers: any of them can."""


def name_the_process(response: Response) -> None:
    """Say so in each answer."""
    response.headers.update(PROCESS)


application = FastAPI(title="Pictures", lifespan=lifespan, dependencies=[Depends(name_the_process)])


def queue_of(request: Request) -> Queue[Shrink]:
    """The queue of this process."""
    queue: Queue[Shrink] = request.app.state.queue
    return queue


Pictures = Annotated[Queue[Shrink], Depends(queue_of)]


@application.post("/pictures", status_code=202)
async def submit(
    picture: Shrink, queue: Pictures, response: Response, idempotency_key: Annotated[str | None, Header()] = None
) -> dict[str, str]:
    """Accept a picture. Repeated with the same Idempotency-Key it is the same message."""
    id_ = idempotency_key or secrets.token_hex(12)
    try:
        async with asyncio.timeout(PATIENCE):
            # The future of this process is not needed: any process finds the result by the id.
            _ = await queue.submit(picture, id=id_)
    except (TimeoutError, QueueShutDown) as error:
        # The put is withdrawn: nothing was accepted, or the same key finds it.
        raise HTTPException(503, "the queue is full: try again", {"Retry-After": RETRY_AFTER}) from error
    except IdConflict as error:
        raise HTTPException(409, str(error)) from error
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    response.headers["Location"] = f"/pictures/{id_}"
    return {"id": id_}


@application.get("/pictures/{id_}")
async def state(id_: str, queue: Pictures, response: Response) -> State:
    """What became of a picture, and its result."""
    found = await state_of(queue, id_)
    if found.state == "unknown":
        response.status_code = 404
    return found


@application.get("/pictures/{id_}/events")
async def events(id_: str, queue: Pictures) -> StreamingResponse:
    """The same as server-sent events: one for each change, until the end."""

    async def lines() -> AsyncIterator[str]:
        async for found in states_of(queue, id_):
            yield f"event: {found.state}\ndata: {found.model_dump_json(exclude_none=True)}\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-cache", **PROCESS})


@application.delete("/pictures/{id_}")
async def cancel(id_: str, queue: Pictures, response: Response) -> State:
    """Cancel a picture, in any state. 202: it is marked, and never begins again; the next worker there removes it."""
    if await queue.cancel(id_, timeout=PATIENCE) is Cancellation.ASKED:
        response.status_code = 202
    return await state_of(queue, id_)
