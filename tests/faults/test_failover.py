"""Another server leads: by an operator's word, after a kill, a stop, or a cut-off. What returned is not lost.

`./run campaign failover` has one failure after the other; it prints what each cost.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as LostConnection

from monitor.link import open_link
from shared.concurrency import Lock, Queue, ServerUnavailable, Session
from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.connections import client as connected
from shared.concurrency.session.log import LogLine
from shared.concurrency.session.session import process_of
from shared.pipeline import open_pipeline
from shared.settings import Settings
from tests.instruments.chance import chance
from tests.instruments.emptying import take
from tests.instruments.failing import FAILURES
from tests.instruments.ledger import Ledger, lines_of
from tests.instruments.messages import Errand
from tests.instruments.waiting import renewed, until
from tests.instruments.watched import WatchedServers

SECONDS = float(os.environ.get("WEIR_CAMPAIGN_FAILOVER", "0"))
REPLICAS = int(os.environ.get("WEIR_CAMPAIGN_REPLICAS", "1"))
"""What a put of the campaign waits for; with 0 it counts what is lost."""
LEAST_REPLICAS = int(os.environ.get("WEIR_CAMPAIGN_LEAST_REPLICAS", "0"))
"""`min-replicas-to-write` of its servers."""
MOST_LATE = 5.0
"""Seconds after which the service goes on once a sentinel names another server: half a second, with room."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240 + SECONDS)]


@pytest.fixture
def watched(tmp_path: Path) -> WatchedServers:
    return WatchedServers(tmp_path / "watched", password="p-4", sentinel_password="s-5", least_replicas=LEAST_REPLICAS)


@asynccontextmanager
async def client_of(watched: WatchedServers) -> AsyncIterator[Redis]:
    async with connected(read_address(watched.url)) as client:
        yield client


async def fail(watched: WatchedServers, ledger: Ledger, kind: str) -> float:
    """Have the primary fail, until puts go on and all is healed; how much later puts went on than that."""
    failure, heal = await FAILURES[kind](watched)
    named_at = await failure.until_another_leads()

    async def last_ack() -> float:
        return ledger.last_ack

    late = await until(last_ack, lambda at: at > named_at) - named_at
    heal()
    await failure.until_all_follow()
    return late


@pytest.mark.parametrize("kind,replicas", [("kill", 1), ("stop", 1), ("cut off", 1), ("hand over in step", 0)])
async def test_nothing_that_returned_is_lost_and_each_effect_is_there_once(
    watched: WatchedServers, kind: str, replicas: int
) -> None:
    with watched:
        ledger = Ledger(watched.url, "jobs", replicas)
        async with ledger.running():
            await until(lambda: _count(ledger), lambda count: count > 100)
            late = await fail(watched, ledger, kind)
        async with client_of(watched) as client:
            await ledger.read_effects(client)
    account = ledger.account
    report(f"{kind}: {late:.2f} s after the sentinels; {lines_of(account)}")
    assert account.lost == set()
    assert account.not_once == {}
    assert account.lost_results == 0
    assert len(set(account.tokens)) == len(account.tokens)
    assert late < MOST_LATE


async def test_what_the_replicas_had_is_there_and_sessions_and_leases_are_kept(watched: WatchedServers) -> None:
    with watched:
        async with Session.open(watched.url, ttl=30.0) as session:
            queue = Queue(session, "jobs", int)
            await queue.put_many(range(100))
            delivery = await queue.get()
            async with Lock(session, "report") as lease:
                token = lease.token
                await until(have_all(watched), bool)
                failure, heal = await FAILURES["kill"](watched)
                await failure.until_another_leads()
                async with asyncio.timeout(60):
                    await queue.put(100)
                    await delivery.ack()
                lease.check()
                assert lease.token == token
            assert await take(queue, 100) == list(range(1, 101))
            statistics = await queue.statistics()
            assert (statistics.acked_total, statistics.recovered_total) == (101, 0)
            counts = process_of(session).calls.tally.counts
            assert counts["sessions_lost", "jobs"] == counts["queues_forgotten", "jobs"] == 0
            heal()
            await failure.until_all_follow()


async def test_the_pool_and_deferred_messages_follow(watched: WatchedServers) -> None:
    with watched:
        settings = Settings(redis_url=SecretStr(watched.url), queue="jobs")
        async with open_pipeline(settings) as pipeline:
            await pipeline.redis.set("before", "x")
            await until(have_all(watched), bool)
            # Stopped, so that no connection breaks: each is to be left.
            failure, heal = await FAILURES["stop"](watched)
            await failure.until_another_leads()
            async with asyncio.timeout(60):
                await pipeline.schedule(Errand(file="f", part=1, text="t"), after=60, id="one")

                async def seen() -> object:
                    try:
                        return await pipeline.redis.get("before")
                    except LostConnection:
                        return None

                assert await until(seen, bool) == b"x"
            with watched.primary().client() as primary:
                assert primary.get("before") == b"x"
            heal()
            await failure.until_all_follow()


async def test_a_primary_that_was_cut_off_is_left_by_the_heartbeat_and_the_monitor_too(
    watched: WatchedServers,
) -> None:
    with watched:
        async with Session.open(watched.url, ttl=6.0) as session, open_link(watched.url) as link:

            async def port() -> int | None:
                try:
                    (found,) = await link.commands([("INFO", "server")])
                except ServerUnavailable:  # a sentinel closes the connections of whoever becomes primary
                    return None
                return int(found["tcp_port"])

            assert await port() == watched.primary().port
            async with Lock(session, "report") as lease:
                await renewed(lease)  # the heartbeat is connected
                await until(have_all(watched), bool)
                failure, heal = await FAILURES["cut off"](watched)
                await failure.until_another_leads()
                assert (
                    await until(port, lambda found: found not in {None, failure.primary.port}) == watched.primary().port
                )

                async def connections() -> list[object]:
                    with failure.primary.client() as client:
                        ours = client.client_id()
                        return [
                            each for each in client.client_list() if each["user"] == "app" and int(each["id"]) != ours
                        ]

                await until(connections, lambda found: not found)
                lease.check()
            heal()
            await failure.until_all_follow()


async def test_a_primary_that_comes_back_empty_is_an_error_and_the_service_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    with WatchedServers(tmp_path, down_after=60_000) as watched:
        async with Session.open(watched.url) as session:
            queue = Queue(session, "jobs", int)
            await queue.put_many(range(100))
            primary = watched.primary()
            primary.kill()
            primary.start()  # as its supervisor does, before any sentinel minds
            async with asyncio.timeout(60):
                await queue.put(100)
            assert await take(queue, 1) == [100]
            assert process_of(session).calls.tally.counts["queues_forgotten", "jobs"] == 1
    assert "the server has forgotten this queue: what was in it is gone" in [
        record.msg.text for record in caplog.records if isinstance(record.msg, LogLine)
    ]


@pytest.mark.skipif(not SECONDS, reason="./run campaign failover runs it")
async def test_campaign(watched: WatchedServers) -> None:
    strikes = chance()
    loop = asyncio.get_running_loop()
    until_then = loop.time() + SECONDS
    kinds = ["kill", "stop", "cut off", "hand over in step"]
    late: dict[str, list[float]] = {kind: [] for kind in kinds}
    put = lost = forgotten = 0
    with watched:
        while loop.time() < until_then:
            ledger = Ledger(watched.url, f"jobs-{sum(map(len, late.values()))}", REPLICAS)
            async with ledger.running():
                for kind in strikes.sample(kinds, 4):
                    late[kind].append(await fail(watched, ledger, kind))
            async with client_of(watched) as client:
                await ledger.read_effects(client)
                await client.flushall()
            report({kind: [round(each, 2) for each in late[kind][-1:]] for kind in kinds}, lines_of(ledger.account))
            put, lost = put + len(ledger.account.acked), lost + len(ledger.account.lost)
            forgotten += len(ledger.account.not_once)
            assert not any(times > 1 for times in ledger.account.not_once.values())
            assert (lost, forgotten) == (0, 0) or not REPLICAS
            assert len(set(ledger.account.tokens)) == len(ledger.account.tokens)
    every = sorted(each for kind in kinds for each in late[kind])
    report(
        f"{put:,} puts, replicas={REPLICAS}, min-replicas-to-write {LEAST_REPLICAS}: {lost} lost, {forgotten} effects "
        "forgotten with their messages"
    )
    report(f"{len(every)} failures; late by {every[len(every) // 2]:.2f} s in the middle, {every[-1]:.2f} s at most")


def have_all(watched: WatchedServers) -> Callable[[], Awaitable[bool]]:
    """Whether both replicas have what the primary has."""

    async def have() -> bool:
        with watched.primary().client() as client:
            client.publish("nobody", "")
            return int(client.wait(2, 100)) == 2

    return have


def report(*words: object) -> None:
    """Say what was measured; pytest -s shows it."""
    print(*words)  # noqa: T201  # that is what a campaign is for


async def _count(ledger: Ledger) -> int:
    return len(ledger.account.handled)
