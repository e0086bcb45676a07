"""`shared.concurrency.blocking`: the same calls, from synchronous code and from threads."""

import inspect
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from typing import Any

import pytest

import shared.concurrency.blocking
from shared.concurrency import (
    Cancellation,
    ConcurrencyError,
    LeaseBusy,
    LeaseLost,
    MessageCancelled,
    Queue,
    QueueEmpty,
    QueueFull,
    Rate,
    RemoteError,
    ServerUnavailable,
    Session,
    StaleDelivery,
    UnknownId,
)
from shared.concurrency.blocking import BlockingQueue, BlockingSession
from shared.concurrency.blocking.options import LeaseOptions, PolicyOptions, QueueOptions, SessionOptions
from shared.message import Message

pytestmark = pytest.mark.timeout(60)


class Square(Message[int]):
    """Square it."""

    number: int


@pytest.fixture
def blocking(url: str) -> Iterator[BlockingSession]:
    with BlockingSession(url) as session:
        yield session


@pytest.fixture
def numbers(blocking: BlockingSession, name: str) -> BlockingQueue[int]:
    return blocking.queue(name, int, maxsize=2)


def fail(*_: object) -> None:
    raise LookupError("no such number")


def test_one_of_a_name_waits_and_is_replaced_or_cancelled(numbers: BlockingQueue[int]) -> None:
    assert numbers.put_unique(1, "one", timeout=5)
    assert not numbers.put_unique(2, "one", replace=True)
    assert numbers.put_unique(3, "two", calm=60.0, longest=70.0, key="k")
    assert numbers.cancel_unique("two", timeout=0) is Cancellation.ASKED
    with pytest.raises(ValueError, match="every"):
        numbers.put_unique(4, "one", every=1.0, replace=True)
    with numbers.get() as number:
        assert number == 2
    assert numbers.statistics().replaced_total == 1


def test_what_goes_in_comes_out(numbers: BlockingQueue[int]) -> None:
    assert numbers.put(1, id="one")
    assert not numbers.put(1, id="one")
    numbers.put_nowait(2)
    with pytest.raises(QueueFull):
        numbers.put_nowait(3)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        numbers.put(3, timeout=0.1)
    assert time.monotonic() - began >= 0.1
    assert numbers.qsize() == 2
    with numbers.get() as number:
        assert number == 1
    delivery = numbers.get(timeout=5)
    assert (delivery.item, delivery.attempt, delivery.failures, delivery.key) == (2, 1, 0, None)
    delivery.nack()
    with pytest.raises(StaleDelivery):
        delivery.ack()
    again = numbers.get(timeout=5)
    assert (again.item, again.attempt, again.failures, again.id) == (2, 2, 1, delivery.id)
    again.dead_letter("unwanted")
    with pytest.raises(QueueEmpty):
        numbers.get_nowait()
    with pytest.raises(TimeoutError):
        numbers.get(timeout=0.05)
    assert [letter.reason for letter in numbers.dead_letters()] == ["unwanted"]
    numbers.join(timeout=5)
    assert (numbers.discard(), numbers.statistics().acked_total) == (1, 1)


def test_a_body_that_fails_has_its_message_come_again(numbers: BlockingQueue[int]) -> None:
    numbers.put(1)
    with pytest.raises(LookupError, match="no such number") as caught, numbers.get():
        fail()
    assert not hasattr(caught.value, "__notes__")
    again = numbers.get(timeout=5)
    assert (again.attempt, again.last_error) == (2, "LookupError: no such number")
    with pytest.raises(KeyboardInterrupt), again:
        raise KeyboardInterrupt
    third = numbers.get(timeout=5)
    assert third.failures == 2
    with third:
        third.ack()  # the end of the `with` has nothing left to do


def test_a_message_that_is_cancelled_meanwhile_says_so_at_the_end(numbers: BlockingQueue[int]) -> None:
    numbers.put(1, id="one")
    delivery = numbers.get()
    with pytest.raises(MessageCancelled, match="one"), delivery:
        numbers.cancel("one", timeout=0)
        while not delivery.cancelled:
            numbers.qsize()
    assert numbers.statistics().acked_total == 0


def test_results_are_futures_of_the_standard_library(blocking: BlockingSession, name: str) -> None:
    queue = blocking.queue(name, Message)
    results = [queue.submit(Square(number=number), id=f"s{number}") for number in range(3)]
    with pytest.raises(TimeoutError):
        results[0].result(0.05)
    for _ in results[:2]:
        delivery = queue.get()
        delivery.progress(0.5, "half")
        assert isinstance(delivery.item, Square)
        delivery.ack(result=delivery.item.number**2)
    first: int = results[0].result(5)
    assert (first, results[1].result(5)) == (0, 1)
    assert results[2].cancel()
    assert [future.cancelled() for future in as_completed(results, timeout=5)].count(True) == 1
    assert not results[0].cancel()
    assert queue.result("s1", Square).result(0) == 1
    with pytest.raises(UnknownId):
        queue.result("never")
    failing = queue.submit(Square(number=9))
    queue.get().dead_letter("unwanted")
    assert isinstance(failing.exception(5), RemoteError)
    assert wait([failing], timeout=0).done == {failing}


def test_a_callback_that_waits_is_refused_and_one_that_does_not_runs(numbers: BlockingQueue[int]) -> None:
    said: list[BaseException | None] = []
    done = threading.Event()

    def callback(_: object) -> None:
        try:
            numbers.qsize()
        except ConcurrencyError as error:
            said.append(error)
        done.set()

    result = numbers.submit(1)
    result.add_done_callback(callback)
    numbers.get().ack()
    assert result.result(5) is None
    assert done.wait(5)
    assert "wait for itself" in str(said[0])


def test_many_threads_share_one_session_and_one_background_thread(blocking: BlockingSession, name: str) -> None:
    numbers, lock = blocking.queue(name, int, maxsize=5), blocking.lock(name)
    taken: list[int] = []
    before = threading.active_count()

    def produce(first: int) -> None:
        for number in range(first, first + 50):
            numbers.put(number)

    def consume() -> None:
        for delivery in numbers:
            with lock, delivery as number:
                taken.append(number)

    with ThreadPoolExecutor(8) as threads:
        consumers = [threads.submit(consume) for _ in range(4)]
        for producer in [threads.submit(produce, first) for first in (0, 50, 100, 150)]:
            producer.result()
        assert threading.active_count() == before + 8
        numbers.join(timeout=30)
        numbers.shutdown()
        for consumer in consumers:
            consumer.result()
    assert sorted(taken) == list(range(200))


def test_put_many_reads_in_this_thread_and_says_how_far_it_came(blocking: BlockingSession, name: str) -> None:
    numbers = blocking.queue(name, int, maxsize=700)
    where: set[int] = set()

    def items() -> Iterator[int]:
        for number in range(1200):
            where.add(threading.get_ident())
            yield number

    with pytest.raises(TimeoutError) as caught:
        numbers.put_many(items(), timeout=0.3)
    assert where == {threading.get_ident()}
    assert "500 items of earlier portions went in" in caught.value.__notes__
    assert numbers.qsize() == 700


def test_leases(blocking: BlockingSession, name: str) -> None:
    lock, permits = blocking.lock(name), blocking.semaphore(f"{name}-3", 2)
    with lock as lease:
        lease.check()
        assert (lease.name, lease.mode, lock.locked()) == (name, "permit", True)
        with pytest.raises(RuntimeError, match="wait for itself"):
            lock.acquire()
        with pytest.raises(RuntimeError, match="wait for itself"):
            blocking.lock(name).acquire(timeout=5)
        with pytest.raises(LeaseBusy):
            blocking.lock(name).acquire_nowait()
    with lock as later:
        assert later.token > lease.token
        later.release()
    with pytest.raises(LeaseLost):
        later.check()
    with permits, permits, pytest.raises(RuntimeError, match="all 2 permits"):
        permits.acquire()
    with pytest.raises(RuntimeError, match="did not acquire"):
        permits.release()
    held = permits.acquire()
    permits.release()
    assert held.seconds_left == 0


def test_a_lease_of_another_thread_is_waited_for(blocking: BlockingSession, name: str) -> None:
    lock = blocking.lock(name)
    with lock, ThreadPoolExecutor(1) as thread:
        with pytest.raises(TimeoutError):
            thread.submit(lambda: lock.acquire(timeout=0.1)).result()

        def within() -> None:
            with lock.within(0.1):
                pass

        with pytest.raises(LeaseBusy, match="within"):
            thread.submit(within).result()
        waiting = thread.submit(lock.acquire)
        lock.release()
        assert waiting.result(10).seconds_left > 0
        thread.submit(lock.release).result()
    assert not lock.locked()


def test_readers_and_writers(blocking: BlockingSession, name: str) -> None:
    catalog = blocking.readers_writers_lease(name)
    with catalog.read(), ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: catalog.read().acquire().release()).result(10)
        waiting = thread.submit(catalog.write().acquire)
        while not catalog.statistics().waiters:
            time.sleep(0)
        # A writer waits, and this thread reads again: it joins its own hold.
        with catalog.read() as inner:
            inner.check()
        with pytest.raises(RuntimeError, match="wait for itself"):
            catalog.write().acquire()
        catalog.read().release()
        written = waiting.result(10)
        assert written.mode == "write"
        written.release()
    with catalog.write(), pytest.raises(RuntimeError, match="it writes"):
        catalog.read().acquire()


def test_a_lease_that_is_lost_is_known_at_the_end(blocking: BlockingSession, name: str) -> None:
    with pytest.raises(LeaseLost), blocking.lock(name, ttl=0.5, max_hold=0.5) as lease:
        while lease.seconds_left:
            time.sleep(0)


def test_events(blocking: BlockingSession, name: str) -> None:
    event = blocking.event(name)
    assert not event.is_set()
    assert not event.wait(0.05)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(event.wait)
        event.set()
        assert waiting.result(10)
    event.clear()
    assert not event.is_set()


def test_all_the_rest_goes_by_run(blocking: BlockingSession, name: str) -> None:
    async def together(session: Session) -> list[int]:
        queue = Queue(session, name, int)
        await queue.put_many([1, 2, 3])
        async with await queue.get_many(3, within=1) as batch:
            return list(batch.items)

    assert blocking.run(together, timeout=10) == [1, 2, 3]


def test_calls_before_and_after_are_refused(url: str, name: str) -> None:
    session = BlockingSession(url)
    with pytest.raises(ConcurrencyError, match="is not open"):
        session.queue(name, int)
    with session:
        queue = session.queue(name, int)
        result = queue.submit(1)
        with pytest.raises(RuntimeError, match="opened before"):
            session.open()
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(queue.join)
            session.close()
            with pytest.raises(ConcurrencyError, match="closed"):
                waiting.result(10)
    session.close()
    with pytest.raises(ConcurrencyError, match="is closed"):
        queue.put(1)
    with pytest.raises(ConcurrencyError, match="closed"):
        result.result(5)
    assert not result.cancel()


def test_a_session_that_does_not_open_leaves_nothing(name: str) -> None:
    session = BlockingSession("redis://127.0.0.1:1/0", connect_timeout=0.2)
    with pytest.raises(ServerUnavailable):
        session.open()
    with pytest.raises(ConcurrencyError):
        session.queue(name, int)
    session.close()


def test_the_options_are_those_of_the_asyncio_face() -> None:
    def named(of: Any) -> set[str]:
        kinds = inspect.Parameter.KEYWORD_ONLY
        return {word for word, about in inspect.signature(of).parameters.items() if about.kind is kinds}

    assert set(QueueOptions.__annotations__) == named(Queue.__init__)
    assert set(SessionOptions.__annotations__) == named(Session.open)
    assert set(LeaseOptions.__annotations__) == named(shared.concurrency.Lock.__init__)
    assert set(PolicyOptions.__annotations__) == named(shared.concurrency.ReadersWritersLease.__init__) | {"policy"}


def test_a_queue_has_the_calls_of_the_asyncio_face_but_those_that_go_by_run() -> None:
    def public(of: type) -> set[str]:
        return {word for word in dir(of) if not word.startswith("_")}

    assert public(Queue) - public(BlockingQueue) == {"drain", "get_many", "letters", "sessions"}
    assert not public(BlockingQueue) - public(Queue)


def test_a_rate_limit_lets_so_many_go(blocking: BlockingSession, name: str) -> None:
    limit = blocking.rate_limit(name, Rate(1, per=60.0, burst=3))
    with limit:
        limit.acquire_nowait()
    with limit.within(1.0):
        pass
    with pytest.raises(TimeoutError):
        limit.acquire(timeout=0.05)
    for seconds in (0, 0.05):
        with pytest.raises(LeaseBusy), limit.within(seconds):
            raise AssertionError("nobody may go")
