"""The consumer service: takes deliveries and has them handled. `python -m consumer` runs it."""

import asyncio
from contextlib import AsyncExitStack

from consumer.executors.dispatch import Dispatch
from consumer.executors.observed import LoggedDeliveries, ObservedDispatch, Observer
from consumer.executors.traced import TracedDeliveries
from consumer.hooks import HOOKS
from consumer.registry import handlers
from consumer.rules.errors import HandlerError
from consumer.worker.blocked_loop import BlockedLoop
from consumer.worker.dead_notices import DeadNotices
from consumer.worker.worker import Worker
from shared.concurrency.queues.service import left_leased, lost_so_far, notified_of_dead, notified_to_drain, spans_at
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

    :raises ServiceError: when one of them is wrong, or a message class has none.
    """
    try:
        from consumer.modules import load_handlers  # noqa: PLC0415  # the application's files may take long, or raise

        load_handlers(settings.handlers)
    except HandlerError as error:
        raise ServiceError(str(error)) from error


async def work(settings: Settings, stopping: asyncio.Event) -> None:
    """Handle messages until `stopping` or a drain; then finish within the grace time, and give back the rest.

    :raises Unfinished: when the server did not take that back, or it was lost meanwhile.
    """
    async with AsyncExitStack() as stack:
        async with unless(stopping):
            pipeline = await stack.enter_async_context(open_pipeline(settings, resources=True))
        await stack.enter_async_context(watched("consumer", pipeline, stopping, registers=True))
        if HOOKS.on_dead_letter is not None:
            notices = await stack.enter_async_context(DeadNotices(HOOKS.on_dead_letter, pipeline))
            notified_of_dead(pipeline.queue, notices.receive)
        handling = await stack.enter_async_context(_dispatch(pipeline))
        worker = Worker(
            pipeline.queue,
            handling.handle,
            concurrency=settings.concurrency,
            time_limit=settings.handler_timeout,
            rules=handling.rules,
            handle_batch=handling.handle_batch,
        )
        log.info(
            "consuming",
            queue=settings.queue,
            concurrency=settings.concurrency,
            **whereabouts(pipeline),
        )
        with BlockedLoop(handlers().values()):
            lost_before = await _work_until(stopping, worker, pipeline)
        log.info("drained", handled=worker.handled)
    if left := left_leased(pipeline.queue):
        raise Unfinished(
            f"{left} deliveries stay leased, for the server did not take them back: whoever takes recovers them, within "
            f"{settings.session_ttl:g} s"
        )
    if lost := lost_so_far(pipeline.queue) - lost_before:
        raise Unfinished(
            f"{lost} deliveries were lost, for their session passed its deadline while the service drained: whoever takes "
            "recovers them"
        )


def _dispatch(pipeline: Pipeline) -> Dispatch:
    """What calls the handlers; it is observed only where somebody wants to know."""
    observers: list[Observer] = []
    if log.is_debug:
        observers.append(LoggedDeliveries(handlers(), pipeline.queue.full_name))
    if (spans := spans_at(pipeline.queue)) is not None:
        observers.insert(0, TracedDeliveries(handlers(), spans))
    return ObservedDispatch(handlers(), pipeline, observers) if observers else Dispatch(handlers(), pipeline)


async def _work_until(stopping: asyncio.Event, worker: Worker[Message], pipeline: Pipeline) -> int:
    """Work until `stopping`, or until a drain; then finish within the grace time.

    Returns how many deliveries had been lost when it began to drain: others have them by now, or will.
    """
    running = asyncio.create_task(worker.run())
    stopped = asyncio.create_task(stopping.wait())
    draining = asyncio.create_task(notified_to_drain(pipeline.queue))
    reporting = asyncio.create_task(_report(worker))
    await asyncio.wait({running, stopped, draining}, return_when=asyncio.FIRST_COMPLETED)
    grace, lost_before = pipeline.settings.grace, lost_so_far(pipeline.queue)
    stopped.cancel()
    reporting.cancel()
    ending = asyncio.create_task(worker.stop(grace))
    if not draining.cancel():
        log.info("notified to drain", owner=pipeline.owner, grace_seconds=grace)
    await ending
    await running
    return lost_before


async def _report(worker: Worker[Message]) -> None:
    """Log now and then how much was handled, when there was something."""
    before = 0
    while True:
        await asyncio.sleep(_REPORT_EVERY)
        if worker.handled > before:
            log.info("handling", handled=worker.handled, per_second=round((worker.handled - before) / _REPORT_EVERY, 1))
        before = worker.handled
