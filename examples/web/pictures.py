"""The message of the example, and the queue that the web application and the worker share."""

import os
from typing import Final

from pydantic import BaseModel, Field

from shared.concurrency import Queue, Session

URL: Final = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
QUEUE: Final = os.environ.get("PICTURES_QUEUE", "pictures")
MAXSIZE: Final = int(os.environ.get("PICTURES_MAXSIZE", "100"))


class Size(BaseModel):
    """What resizing comes to."""

    width: int
    height: int


class Shrink(BaseModel):
    """Make a picture smaller. It is the body of the request as it is: no other model beside it."""

    path: str = Field(min_length=1)
    width: int = Field(ge=1, le=10_000)


def pictures(session: Session) -> Queue[Shrink]:
    """The queue; its bound is what answers 503."""
    return Queue(session, QUEUE, Shrink, maxsize=MAXSIZE, result=Size)
