"""The consumer service: takes deliveries and has them handled. `python -m consumer` runs it."""

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack

from consumer.executors.dispatch import Dispatch
from consumer.executors.observed import LoggedDeliveries, ObservedDispatch, Observer
from consumer.executors.traced import TracedDeliveries
from consumer.hooks import HOOKS
from consumer.registry import handlers
from consumer.rules.errors import HandlerError
from consumer.rules.limits import check_batches
from consumer.rules.queues import queues_of
from consumer.worker.blocked_loop import BlockedLoop
from consumer.worker.crew import Crew
from consumer.worker.dead_notices import DeadNotices
from consumer.worker.worker import Worker
from shared.concurrency import Queue
from shared.concurrency.queues.service import notified_of_dead, spans_at
from shared.health.watched import watched
from shared.logs import Log
from shared.message import Message
from shared.pipeline import Pipeline, open_pipeline, whereabouts
from shared.service import ServiceError, Unfinished, unless
from shared.settings import Settings

log = Log("consumer")

_REPORT_EVERY = 10.0


def prepare(settings: Settings) -> None:
    """Import the handlers and the hooks.

    :raises ServiceError: when one of them is wrong, or a message class has none, or a queue that is to be served.
    """
    try:
        from consumer.modules import load_handlers  # noqa: PLC0415  # the application's files may take long, or raise

        load_handlers(settings.handlers)
        queues_of(handlers().values(), settings)
    except HandlerError as error:
        raise ServiceError(str(error)) from error


async def work(settings: Settings, stopping: asyncio.Event) -> None:
    """Handle messages until `stopping` or a drain; then finish within the grace time, and give back the rest.

    :raises Unfinished: when the server did not take that back, or it was lost meanwhile.
    """
    served = queues_of(handlers().values(), settings)
    async with AsyncExitStack() as stack:
        async with unless(stopping):
            pipeline = await stack.enter_async_context(open_pipeline(settings, resources=True))
        queues = [pipeline.queues[name] for name in served]
        async with unless(stopping):
            await _check_batches(queues, settings)
        await stack.enter_async_context(watched("consumer", pipeline, stopping, queues=queues))
        if HOOKS.on_dead_letter is not None:
            notices = await stack.enter_async_context(DeadNotices(HOOKS.on_dead_letter, pipeline))
            for queue in queues:
                notified_of_dead(queue, notices.receive)
        handling = await stack.enter_async_context(Dispatch(handlers(), pipeline))
        crew = Crew(
            {
                queue: _worker(handling, queue, concurrency, settings)
                for queue, concurrency in zip(queues, served.values(), strict=True)
            },
            handling.describe,
        )
        for name, concurrency in served.items():
            log.info("consuming", queue=name, concurrency=concurrency, **whereabouts(pipeline))
        with BlockedLoop(handlers().values()):
            lost_before = await _work_until(stopping, crew, pipeline)
        log.info("drained", handled=crew.handled)
    if left := crew.left_leased:
        raise Unfinished(
            f"{left} deliveries stay leased, for the server did not take them back: whoever takes recovers them, within "
            f"{settings.session_ttl:g} s"
        )
    if lost := crew.lost - lost_before:
        raise Unfinished(
            f"{lost} deliveries were lost, for their session passed its deadline while the service drained: whoever takes "
            "recovers them"
        )


async def _check_batches(queues: list[Queue[Message]], settings: Settings) -> None:
    try:
        for queue in queues:
            await check_batches(queue, handlers(), settings.queue)
    except HandlerError as error:
        raise ServiceError(str(error)) from error


def _worker(dispatch: Dispatch, queue: Queue[Message], concurrency: int, settings: Settings) -> Worker[Message]:
    observers = _observers(queue)
    handling = ObservedDispatch(dispatch, observers) if observers else dispatch
    return Worker(
        queue,
        handling.handle,
        concurrency=concurrency,
        time_limit=settings.handler_timeout,
        rules=dispatch.rules,
        handle_batch=handling.handle_batch,
    )


def _observers(queue: Queue[Message]) -> list[Observer]:
    """Who wants to know of each delivery of a queue; mostly nobody."""
    observers: list[Observer] = []
    if (spans := spans_at(queue)) is not None:
        observers.append(TracedDeliveries(handlers(), spans))
    if log.is_debug:
        observers.append(LoggedDeliveries(handlers(), queue.full_name))
    return observers


async def _work_until(stopping: asyncio.Event, crew: Crew, pipeline: Pipeline) -> int:
    """Work until `stopping`, or until a drain; then finish within the grace time.

    Returns how many deliveries had been lost when it began to drain: others have them by now, or will.
    """
    running = asyncio.create_task(crew.run())
    stopped = asyncio.create_task(_lost_at(stopping.wait(), crew))
    draining = asyncio.create_task(_lost_at(crew.notified(), crew))
    reporting = asyncio.create_task(_report(crew))
    done, _ = await asyncio.wait({running, stopped, draining}, return_when=asyncio.FIRST_COMPLETED)
    grace = pipeline.settings.grace
    lost_before = min((told.result() for told in (stopped, draining) if told in done), default=crew.lost)
    stopped.cancel()
    reporting.cancel()
    ending = asyncio.create_task(crew.stop(grace))
    if not draining.cancel():
        log.info("notified to drain", owner=pipeline.owner, grace_seconds=grace)
    await ending
    await running
    return lost_before


async def _lost_at(event: Awaitable[object], crew: Crew) -> int:
    """How many deliveries were lost by the time of the event: counted at once, before the loop reads another answer."""
    await event
    return crew.lost


async def _report(crew: Crew) -> None:
    """Log now and then how much was handled, when there was something."""
    before = 0
    while True:
        await asyncio.sleep(_REPORT_EVERY)
        if crew.handled > before:
            log.info("handling", handled=crew.handled, per_second=round((crew.handled - before) / _REPORT_EVERY, 1))
        before = crew.handled
