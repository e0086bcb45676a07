"""`pipeline queue` as its user meets it: what it prints, what it changes, and how it ends."""

import asyncio
import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from shared import Priority
from shared.concurrency import Queue, Session
from shared.message import Message
from tests.cli.test_dead_command import message, pipeline
from tests.instruments.services import running as service
from tests.instruments.services import wait_for

Run = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.usefixtures("command_line")


@pytest.fixture
def queue(url: str, name: str) -> Run:
    """`pipeline queue` at the queue of the test."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        done = pipeline("queue", *arguments, REDIS_URL=url, PIPELINE_QUEUE=name)
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def two_pending(url: str, name: str) -> None:
    async def make() -> None:
        async with Session.open(url) as session:
            await Queue(session, name, Message, maxsize=7, max_attempts=3).put_many([message(1), message(2)])

    asyncio.run(make())


@pytest.fixture
def client(url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(url) as client:
        yield client


def seen(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_queue_of_a_group_is_called_by_both_names(queue: Run, url: str, name: str) -> None:
    async def make() -> None:
        async with Session.open(url) as session:
            await Queue(session, "second", Message, group=name, maxsize=7).put_many([message(1), message(2)])
            async with asyncio.timeout(5):
                delivery = await Queue(session, "second", Message, group=name).get()
                await delivery.dead_letter("a test")

    asyncio.run(make())
    whole = f"{name}/second"
    assert whole in [json.loads(line)["queue"] for line in queue("list", "--json").stdout.splitlines()]
    shown = seen(queue("show", "--queue", whole, "--json"))
    assert (shown["queue"], shown["pending"], shown["dead"], shown["maxsize"]) == (whole, 1, 1, 7)
    assert seen(queue("resize", "--queue", whole, "9", "--json"))["maxsize"] == 9
    letters = pipeline("dead", "list", "--queue", whole, "--json", REDIS_URL=url)
    assert json.loads(letters.stdout)["reason"] == "a test"
    for wrong in (f"{name}/", "/second", f"{name}/second/x"):
        assert queue("show", "--queue", wrong).returncode == 2


@pytest.mark.usefixtures("two_pending")
def test_each_command_does_it_and_shows_it(queue: Run, name: str) -> None:
    before = seen(queue("show", "--json"))
    assert (before["queue"], before["pending"], before["maxsize"], before["max_attempts"]) == (name, 2, 7, 3)
    assert (before["is_paused"], before["is_shut_down"], before["sessions"]) == (False, False, [])
    assert seen(queue("pause", "--json"))["is_paused"]
    assert "state: paused\n" in queue("show").stdout
    assert f"{name} delivers again" in queue("resume").stdout
    assert seen(queue("resize", "9", "--json"))["maxsize"] == 9
    assert "has no bound" in queue("resize", "0").stdout
    assert "maxsize: no bound\n" in queue("show").stdout
    others = "--max-attempts", "4", "--max-crashes", "0", "--max-dead", "8", "--dead-for", "60"
    changed = seen(queue("resize", *others, "--json"))
    words = ("maxsize", "max_attempts", "max_crashes", "max_dead", "dead_for")
    assert [changed[word] for word in words] == [0, 4, None, 8, 60.0]
    assert "has new settings" in queue("resize", "9", "--max-dead", "0").stdout
    changed = seen(queue("show", "--json"))
    assert [changed[word] for word in words] == [9, 4, None, None, 60.0]
    assert "no put enters" in queue("shutdown").stdout
    assert seen(queue("show", "--json"))["is_shut_down"]
    assert not seen(queue("reopen", "--json"))["is_shut_down"]
    after = seen(queue("shutdown", "--immediate", "--json"))
    assert (after["pending"], after["dead"], after["max_attempts"]) == (0, 2, 4)


def test_shares_are_weighed_and_listed(queue: Run, url: str, name: str) -> None:
    async def make() -> None:
        async with Session.open(url) as session:
            there = Queue(session, name, Message)
            await there.put_many([message(1), message(2)], share="acme", priority=Priority.LOW)

    asyncio.run(make())
    assert "acme 2 turns for each" in queue("weigh", "acme", "2").stdout
    assert seen(queue("weigh", "other", "0.5", "--json")) == {"queue": name, "share": "other", "weight": 0.5}
    listed = seen(queue("shares", "--json"))
    assert (listed["share"], listed["priority"], listed["weight"], listed["puts_waiting"]) == ("acme", 2, 2.0, 0)
    assert "acme  low" in queue("shares").stdout
    for wrong in (["weigh", "acme", "0"], ["weigh", "", "1"], ["weigh", "acme"], ["shares", "--most", "0"]):
        assert queue(*wrong).returncode == 2


def test_a_queue_of_a_group_is_named_by_both(url: str, queue: Run, name: str) -> None:
    async def make() -> None:
        async with Session.open(url) as session:
            await Queue(session, "stage", Message, group=name, maxsize=7).put(message(1))

    asyncio.run(make())
    assert f"{name}/stage  1  0  0  0  open" in queue("list").stdout.splitlines()
    assert seen(queue("show", "--queue", f"{name}/stage", "--json"))["maxsize"] == 7
    assert seen(queue("pause", "--queue", f"{name}/stage", "--json"))["is_paused"]
    for wrong in ("stage", f"{name}/", f"{name}/stage/more", f"other/{name}"):
        done = queue("show", "--queue", wrong)
        assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.usefixtures("two_pending")
def test_list_shows_every_queue_and_only_queues(queue: Run, name: str, client: "redis.Redis") -> None:
    client.hset(f"{{{name}-lease}}:lease", "token", "1")
    client.hset(f"{{{name} no name}}:settings", "maxsize", "1")
    client.hset(f"{{{name}-2}}:settings", mapping={"paused": 1, "shutdown": "drain"})
    client.set(f"{{{name}-3}}:settings", "not ours")
    done = queue("list")
    assert done.stdout.splitlines()[0] == "queue  pending  leased  delayed  dead  state"
    ours = [line for line in done.stdout.splitlines() if name in line]
    assert ours == [f"{name}  2  0  0  0  open", f"{name}-2  0  0  0  0  paused, shut down"]
    assert done.returncode == 1
    (problem,) = [line for line in done.stderr.splitlines() if f"{name}-3" in line]
    assert "holds a string, not a hash of ours" in problem
    client.delete(f"{{{name}-3}}:settings")
    done = queue("list", "--json")
    assert done.returncode == 0
    found = {each["queue"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert (found[name]["pending"], found[f"{name}-2"]["is_paused"]) == (2, True)
    # It has looked, and taken part in none.
    assert client.hget(f"{{{name}-2}}:settings", "run_id") is None
    assert client.zcard(f"{{{name}}}:sessions") == 0


def test_a_consumer_is_shown_and_drained(queue: Run, url: str, name: str) -> None:
    with service("consumer", REDIS_URL=url, PIPELINE_QUEUE=name) as first:
        wait_for(first, "consuming")
        with service("consumer", REDIS_URL=url, PIPELINE_QUEUE=name) as second:
            wait_for(second, "consuming")
            sessions: list[dict[str, Any]] = []
            while len(sessions) < 2:  # known with its first call, which is on its way
                sessions = [each for each in seen(queue("show", "--json"))["sessions"] if each["is_consumer"]]
            owner = sessions[0]["owner"]
            assert {"held": 0, "is_draining": False}.items() <= sessions[0].items()
            assert f"{owner}  0  " in queue("show").stdout
            assert {each["pid"] for each in sessions} == {first.pid, second.pid}
            assert f"  consumer  {sessions[0]['pid']}  {socket.gethostname()}\n" in queue("show").stdout
            assert queue("drain", owner).stdout == f"{owner} will drain\n"
            notified = seen(queue("drain", "--all", "--json"))["notified"]
            assert sessions[1]["owner"] in notified
            assert [each.communicate(timeout=90)[1].count("notified to drain") for each in (first, second)] == [1, 1]
            assert (first.returncode, second.returncode) == (0, 0)
    for arguments in (["--all"], [owner]):
        done = queue("drain", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"the queue {name} has no consumer" in done.stderr


@pytest.mark.usefixtures("two_pending")
@pytest.mark.parametrize(
    "arguments",
    [
        ["resize"], ["resize", "-1"], ["resize", "--", "-1"], ["resize", "10000001"], ["resize", "many"], ["resize", "--max-attempts", "0"],
        ["resize", "--max-crashes", "10"], ["resize", "9", "--dead-for", "0.5"], ["drain"], ["drain", "x", "--all"],
        ["drain", ""], ["pause", "extra"], ["stop"], ["shutdown", "--queue", "a b"], ["show", "--queue", "nobody-s"],
    ],
)  # fmt: skip
def test_a_mistake_is_2_and_changes_nothing(queue: Run, arguments: list[str]) -> None:
    before = seen(queue("show", "--json"))
    done = queue(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr
    del before["oldest_pending_seconds"]
    assert before.items() <= seen(queue("show", "--json")).items()


def test_a_queue_that_is_not_there_is_not_made(queue: Run, name: str, client: "redis.Redis") -> None:
    for arguments in (["show"], ["pause"], ["resume"], ["resize", "5"], ["shutdown"], ["reopen"], ["drain", "--all"]):
        done = queue(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"pipeline: there is no queue {name} at this server")
    assert list(client.scan_iter(f"*{name}*")) == []


def test_a_message_is_cancelled_and_the_command_says_what_became_of_it(
    queue: Run, url: str, name: str, client: "redis.Redis"
) -> None:
    async def put(*ids: str) -> None:
        async with Session.open(url) as session:
            for number, id_ in enumerate(ids):
                await Queue(session, name, Message).put(message(number), id=id_)

    async def end() -> None:
        async with Session.open(url) as session:
            there = Queue(session, name, Message)
            delivery = await there.get_nowait()
            assert delivery.id == "dead"
            await delivery.dead_letter("a test")

    asyncio.run(put("one", "dead"))
    done = queue("cancel", "one", "--timeout", "0")
    assert (done.returncode, done.stdout.split(":")[0]) == (0, "asked")
    assert "the message one is marked" in done.stdout
    asyncio.run(end())
    assert json.loads(queue("cancel", "one", "--json").stdout) == {"queue": name, "id": "one", "outcome": "finished"}
    done = queue("cancel", "dead")
    assert (done.returncode, done.stdout) == (1, "")
    assert "knows no message dead" in done.stderr
    for wrong in (("",), ("one", "--timeout", "-1")):
        assert queue("cancel", *wrong).returncode == 2
    assert client.zcard(f"{{{name}}}:marks") == 0
