"""What is logged of a delivery at debug, so that all of a message is found by its id."""

import asyncio

from shared.concurrency.queues.effects.effects import Effects, writes_of
from shared.concurrency.queues.encoding.entry import read
from shared.concurrency.session.log import Log

log = Log("queues")

_NO_STAMP = b"0" * 16
_WORDS = {"result": "ack", "pass": "nack", "dead": "dead_letter"}
"""Kind of settlement -> what its caller asked for."""


def log_settled(queue: str, entry: bytes, kind: str, value: int | str | bytes, answer: "asyncio.Future[None]") -> None:
    """Log how a delivery was settled, by a handler itself or by `async with`, once the server has answered."""
    if answer.cancelled() or answer.exception() is not None:
        return  # whoever settles is told
    stored = read(entry)
    again = {"again_in": value / 1000} if kind in {"nack", "pass"} and isinstance(value, int) else {}
    log.debug(
        "a delivery is settled",
        queue=queue, id=stored.id, type=stored.type_name, attempt=stored.attempt, how=_WORDS.get(kind, kind), **again,
    )  # fmt: skip


def log_forwarded(id_: str, effects: Effects) -> None:
    """Log what an acknowledgement has put into other queues, where it may wait for room; `id_`: of its message."""
    for write in writes_of(effects):
        if not isinstance(write.key, bytes):
            for entry in write.operands:
                stored = read(_NO_STAMP + entry)
                log.debug(
                    "a message is forwarded", queue=write.key.member.name, id=stored.id, type=stored.type_name, by=id_
                )
