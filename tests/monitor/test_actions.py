"""Actions of the page: only where they are switched on, with the password, from the page itself; each is logged."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any, Final, cast

import pytest
import redis

from monitor.page.actions import CUT
from monitor.page.guard import HEADERS
from shared.concurrency import Queue, QueueStatistics, Selection, Session
from shared.local.embedded import EmbeddedServer
from shared.message import Message
from tests.instruments.command_line import ROOT
from tests.instruments.messages import Errand
from tests.instruments.page import Answer, Page, watching
from tests.instruments.services import running, wait_for
from tests.instruments.waiting import until

PASSWORD = "correct horse"  # of this test


@pytest.fixture
async def session(server: EmbeddedServer) -> AsyncIterator[Session]:
    async with Session.open(server.url) as session:
        yield session


@pytest.fixture
async def jobs(session: Session) -> Queue[str]:
    """1 pending of 3, and 5 dead letters of 3 groups."""
    queue = Queue(session, "jobs", str, maxsize=3)
    for reason in ("failed", "failed", "odd", "odd", "x" * 150):
        await queue.put(reason)
        await (await queue.get()).dead_letter(reason)
    await queue.put("pending")
    return queue


@pytest.fixture
def page(server: EmbeddedServer, jobs: Queue[str]) -> Iterator[Page]:
    assert jobs.name == "jobs"
    with watching(server.url, PIPELINE_MONITOR_PASSWORD=PASSWORD) as page:
        with page.stream() as stream:
            assert stream.until(lambda each: each.get("queue"))["actions"] is True
        yield page


def headers(page: Page, **changed: str) -> dict[str, str]:
    secret = base64.b64encode(f"Ada:{PASSWORD}".encode()).decode()
    usual = {"Origin": page.address[:-1], "Authorization": f"Basic {secret}", "Content-Type": "application/json"}
    return {word: text for word, text in {**usual, **changed}.items() if text}


async def act(page: Page, action: str, **asked: Any) -> Answer:
    body = json.dumps({"queue": "jobs", **asked})
    return await asyncio.to_thread(page.ask, f"/actions/{action}", "POST", body, **headers(page))


async def test_each_does_what_it_says_and_is_logged(page: Page, jobs: Queue[str]) -> None:
    for action, asked, outcome in (
        ("pause", {}, {}),
        ("resize", {"maxsize": 2}, {}),
        ("replay", {"reason": "failed"}, {"replayed": 1, "stayed": 1, "why": "no_room"}),
        ("discard", {"reason": "odd", "type": ""}, {"discarded": 2}),
        ("discard", {"reason": "x" * CUT}, {"discarded": 1}),
    ):
        answer = await act(page, action, **asked)
        assert (answer.status, answer.json) == (200, outcome), action
    seen = await jobs.statistics()
    assert (seen.is_paused, seen.maxsize, seen.pending, seen.dead) == (True, 2, 2, 1)
    assert (await act(page, "resume")).json == {}
    assert (await act(page, "drain")).json == {"consumers": 0}
    assert not (await jobs.statistics()).is_paused
    page.service.terminate()
    said = [json.loads(line) for line in page.service.communicate(timeout=30)[1].splitlines()]
    acted = [line for line in said if line["event"] == "an action"]
    assert [line["action"] for line in acted] == ["pause", "resize", "replay", "discard", "discard", "resume", "drain"]
    assert {(line["by"], line["address"], line["queue"]) for line in acted} == {("Ada", "127.0.0.1", "jobs")}
    assert PASSWORD not in json.dumps(said)


async def test_what_cannot_be_replayed_stays_and_keeps_nothing_else_from_it(
    server: EmbeddedServer, page: Page, jobs: Queue[str]
) -> None:
    garbage = dict.fromkeys((f"garbage{at:03}" for at in range(500)), b'{"reason":"odd","error":"","died_ms":1}\n?')
    with redis.Redis.from_url(server.url) as client:
        client.hset("{jobs}:dead", mapping=cast("Any", garbage))
        client.zadd("{jobs}:dead:index", dict.fromkeys(garbage, 1))
    outcome = {"replayed": 2, "stayed": 500, "why": "unreadable"}
    assert (await act(page, "replay", reason="odd")).json == outcome
    assert (await jobs.statistics()).pending == 3
    outcome = {"replayed": 0, "stayed": 2, "why": "no_room"}
    assert (await act(page, "replay", reason="failed")).json == outcome


@pytest.mark.slow
async def test_a_refusal_and_an_action_that_cannot_be_done_are_logged(server: EmbeddedServer, page: Page) -> None:
    wrong = base64.b64encode(b"Eve\nroot:" + b"guess").decode()
    changed = headers(page, Authorization=f"Basic {wrong}")
    await asyncio.to_thread(page.ask, "/actions/pause", "POST", '{"queue": "jobs"}', **changed)
    await asyncio.to_thread(server.kill)
    assert (await act(page, "pause")).status == 503
    page.service.terminate()
    lines = [json.loads(line) for line in page.service.communicate(timeout=30)[1].splitlines()]
    said = {line["event"]: line for line in lines}
    refused, failed = said["an action was refused"], said["an action failed"]
    assert (refused["by"], refused["address"], refused["action"]) == ("Eve?root", "127.0.0.1", "pause")
    assert (failed["by"], failed["queue"], failed["action"]) == ("Ada", "jobs", "pause")
    assert said["an action begins"]["action"] == "pause"
    assert "an action" not in said


async def test_one_letter_is_meant_by_its_key(page: Page, jobs: Queue[str]) -> None:
    letters = [letter async for letter in jobs.letters.find(Selection())]
    assert (await act(page, "discard", key=letters[0].key)).json == {"discarded": 1}
    assert (await act(page, "replay", key=letters[1].key)).json == {"replayed": 1, "stayed": 0, "why": ""}
    assert [letter.key async for letter in jobs.letters.find(Selection())] == [letter.key for letter in letters[2:]]


async def test_a_group_without_a_class_is_of_those_without_one(page: Page, jobs: Queue[str], session: Session) -> None:
    errands: Queue[Message] = Queue(session, "jobs", Message)
    await (await jobs.get()).ack()
    await errands.put(Errand(text="one"))
    await (await errands.get()).dead_letter("odd")
    assert (await act(page, "discard", reason="odd", type="Nothing")).json == {"discarded": 0}
    assert (await act(page, "discard", reason="odd")).json == {"discarded": 2}
    assert (await act(page, "discard", reason="odd", type="Errand")).json == {"discarded": 1}


REFUSED: Final[list[tuple[dict[str, str], int, str]]] = [
    ({"Authorization": ""}, 401, "needs the password"),
    ({"Authorization": "Basic nonsense!"}, 401, "needs the password"),
    ({"Authorization": f"Bearer {PASSWORD}"}, 401, "needs the password"),
    ({"Authorization": "Basic " + base64.b64encode(b"Ada:wrong").decode()}, 401, "is wrong"),
    ({"Authorization": "Basic " + base64.b64encode(f"Ada:{PASSWORD[:-1]}".encode()).decode()}, 401, "is wrong"),
    ({"Origin": ""}, 403, "own page"),
    ({"Origin": "null"}, 403, "own page"),
    ({"Origin": "http://elsewhere.example"}, 403, "own page"),
    ({"Origin": "http://127.0.0.1:1"}, 403, "own page"),
    ({"Origin": "http://[::1"}, 403, "own page"),
    ({"Content-Type": "text/plain"}, 415, "application/json"),
    ({"Host": "elsewhere.example"}, 421, "not known"),
]
"""Changed headers -> the status, and what is said."""

NO_ACTIONS: Final = [
    ("pause", "{", 400, "JSON object"),
    ("pause", "[]", 400, "valid dictionary"),
    ("pause", "[" * 4000, 400, "JSON object"),
    ("pause", "{}", 400, "queue: Field required"),
    ("pause", '{"queue": "nowhere"}', 400, "no queue that is here"),
    ("pause", '{"queue": "jobs", "much": 1}', 400, "much"),
    ("pause", json.dumps({"queue": "j" * 5000}), 400, "4096 bytes"),
    ("resize", '{"queue": "jobs"}', 400, "maxsize"),
    ("resize", '{"queue": "jobs", "maxsize": -1}', 400, "maxsize"),
    ("resize", '{"queue": "jobs", "maxsize": "many"}', 400, "maxsize"),
    ("replay", '{"queue": "jobs"}', 400, "give key, or reason"),
    ("discard", '{"queue": "jobs", "key": "k", "reason": "odd"}', 400, "give key, or reason"),
    ("discard", '{"queue": "jobs", "key": ""}', 400, "key"),
    ("delete", '{"queue": "jobs"}', 404, "pause, resume"),
]
"""Action, body -> the status, and what is said."""


async def without_ages(queue: Queue[str]) -> QueueStatistics:
    return replace(await queue.statistics(), oldest_pending_seconds=0.0, oldest_dead_seconds=0.0)


async def test_who_may_not_changes_nothing(page: Page, jobs: Queue[str]) -> None:
    before, body = await without_ages(jobs), json.dumps({"queue": "jobs"})
    for changed, status, says in REFUSED:
        answer = await asyncio.to_thread(page.ask, "/actions/pause", "POST", body, **headers(page, **changed))
        assert (answer.status, says in answer.body.decode()) == (status, True), (changed, answer)
        assert "www-authenticate" not in answer.headers  # the browser would ask, and keep the password
        assert {word: answer.headers.get(word.lower()) for word in HEADERS} == HEADERS
    assert await without_ages(jobs) == before


async def test_what_is_no_action_is_told_and_changes_nothing(page: Page, jobs: Queue[str]) -> None:
    before = await without_ages(jobs)
    for action, body, status, says in NO_ACTIONS:
        answer = await asyncio.to_thread(page.ask, f"/actions/{action}", "POST", body, **headers(page))
        assert (answer.status, says in answer.json["problem"]) == (status, True), (action, body, answer)
    assert await without_ages(jobs) == before


def test_an_action_is_posted_and_nothing_else(page: Page) -> None:
    assert page.ask("/actions/pause", **headers(page)).status == 405
    assert page.ask("/actions/pause", "PUT", **headers(page)).status == 405


async def test_a_drain_reaches_the_consumer_that_is_meant(server: EmbeddedServer, page: Page) -> None:
    settings = {"REDIS_URL": server.url, "PIPELINE_QUEUE": "jobs"}
    with running("consumer", **settings) as consumer:
        owner = json.loads(await asyncio.to_thread(lambda: wait_for(consumer, "consuming")[-1]))["owner"]
        assert (await act(page, "drain", consumer="abcdefghijkl")).json == {"consumers": 0}
        # It says so a moment before the queue knows it.
        await until(lambda: act(page, "drain", consumer=owner), lambda done: done.json == {"consumers": 1})
        assert await asyncio.to_thread(consumer.wait, 30) == 0


async def test_without_a_password_there_are_no_actions(server: EmbeddedServer, jobs: Queue[str]) -> None:
    with watching(server.url, PIPELINE_MONITOR_PASSWORD="") as page:
        with page.stream() as stream:
            view = await asyncio.to_thread(stream.until, lambda each: each.get("queue"))
        assert view["actions"] is False
        assert (await act(page, "pause")).status == 404
    assert not (await jobs.statistics()).is_paused


def test_a_short_password_is_refused_and_not_repeated(server: EmbeddedServer) -> None:
    with running("monitor", ROOT, REDIS_URL=server.url, PIPELINE_MONITOR_PASSWORD="secret") as service:
        _, said = service.communicate(timeout=30)
    assert service.returncode == 2
    assert said == "monitor: PIPELINE_MONITOR_PASSWORD: a password has 8 characters at least\n"
