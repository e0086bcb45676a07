"""What the monitor answers: it is so, it is guarded, and nothing of it writes."""

import asyncio
import json
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import redis

from monitor.page.guard import HEADERS
from monitor.snapshot import Snapshot
from shared.concurrency import Queue, ReadersWritersLease, Session
from shared.local.embedded import EmbeddedServer
from tests.instruments.command_line import ROOT
from tests.instruments.page import Page, watching
from tests.instruments.services import running, wait_for

MARKUP = '<img src=x onerror="alert(1)"><b>bold</b>'


@dataclass(frozen=True)
class Scene:
    """A queue `name` with 3 of 5 pending and 2 dead letters, another without a bound, and a lease that was written."""

    name: str
    page: Page


async def set_up(url: str, name: str) -> None:
    async with Session.open(url) as session:
        queue = Queue(session, name, str, maxsize=5)
        for text in ("first", MARKUP):
            await queue.put(text)
            await (await queue.get()).dead_letter("<i>unwanted</i>")
        await queue.put_many(["one", "two", "three"])
        await Queue(session, f"{name}-other", int).put(1)
        async with ReadersWritersLease(session, name).write():
            pass


@pytest.fixture(scope="module")
def scene(url: str) -> Iterator[Scene]:
    name = f"t-{secrets.token_hex(6)}"
    asyncio.run(set_up(url, name))
    with watching(url, PIPELINE_QUEUE=name, PIPELINE_MONITOR_NAMES="weir.example, Other.Example") as page:
        with page.stream() as stream:
            stream.until(lambda each: "at" in each)
        yield Scene(name, page)
    with redis.Redis.from_url(url) as client:
        client.delete(*client.scan_iter(match=f"*{name}*", count=1000))


def test_every_answer_has_the_headers_that_protect_a_page(scene: Scene) -> None:
    for path in (
        "/",
        "/static/page.js",
        "/static/page.css",
        "/snapshot.json",
        "/letter",
        "/metrics",
        "/readyz",
        "/nowhere",
    ):
        found = scene.page.ask(path).headers
        assert {word: found.get(word.lower()) for word in HEADERS} == HEADERS, path
        assert found["cache-control"] in {"no-store", "no-cache"}
        assert "server" not in found


def test_nothing_runs_on_the_page_but_our_files(scene: Scene) -> None:
    policy = scene.page.ask("/").headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert (rules["default-src"], rules["script-src"], rules["object-src"]) == ("'none'", "'self'", "'none'")
    assert (rules["base-uri"], rules["form-action"], rules["frame-ancestors"]) == ("'none'", "'self'", "'none'")
    assert "unsafe" not in policy


def test_the_page_takes_everything_from_here_and_no_script_stands_in_it(scene: Scene) -> None:
    answer = scene.page.ask("/")
    text = answer.body.decode()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "://" not in text
    assert " style=" not in text
    assert "<script>" not in text
    for path in ("page.js", "uPlot.iife.min.js", "page.css", "uPlot.min.css", "icon.svg"):
        assert scene.page.ask(f"/static/{path}").status == 200, path
        assert f"/static/{path}" in text


def test_the_snapshot_is_what_is_there(scene: Scene) -> None:
    answer = scene.page.ask("/snapshot.json")
    queue = Snapshot.model_validate_json(answer.body).queue(scene.name)
    assert queue is not None
    assert (answer.headers["content-type"], queue.counts.pending, queue.counts.dead) == ("application/json", 3, 2)


async def test_the_stream_says_at_once_what_is_there_and_then_what_changes(scene: Scene, session: Session) -> None:
    queue = Queue(session, scene.name, str, maxsize=5)

    def first_views() -> None:
        # The lease by its name: other tests of this process may have left leases.
        with scene.page.stream(f"/events?lease={scene.name}") as stream:
            view = stream.view()
            found = view["queue"]
            assert (found["name"], found["pending"], found["maxsize"], found["dead"]) == (scene.name, 3, 5, 2)
            assert (view["lease"]["name"], view["trouble"]) == (scene.name, None)
            assert {scene.name, f"{scene.name}-other"} <= {each["name"] for each in view["queues"]}
            assert found["letters"] == [{"reason": "<i>unwanted</i>", "type": None, "count": 2}]
            asyncio.run_coroutine_threadsafe(queue.put("four"), loop).result(20)
            view = stream.until(lambda each: each["queue"]["pending"] == 4)
            assert view["queue"]["points"][-1][1] == 4

    loop = asyncio.get_running_loop()
    await asyncio.to_thread(first_views)
    async with await queue.get():
        pass


def test_a_reader_chooses_a_queue_and_one_that_is_not_there_is_the_first(scene: Scene) -> None:
    with scene.page.stream(f"/events?queue={scene.name}-other") as stream:
        found = stream.view()["queue"]
        assert (found["name"], found["pending"], found["maxsize"]) == (f"{scene.name}-other", 1, 0)
    with scene.page.stream("/events?queue=nowhere&lease=nowhere") as stream:
        view = stream.view()
        assert view["queue"]["name"] == view["queues"][0]["name"]


def test_a_payload_is_read_only_where_it_is_asked_for(scene: Scene) -> None:
    path = f"/letter?queue={scene.name}&reason=%3Ci%3Eunwanted%3C%2Fi%3E"
    answer = scene.page.ask(path)
    assert (answer.status, answer.headers["content-type"], answer.json["attempt"]) == (200, "application/json", 1)
    assert "payload" not in answer.json
    assert b"bold" not in answer.body
    key = answer.json["key"]
    assert MARKUP.replace('"', '\\"') in scene.page.ask(f"{path}&payload=yes&key={key}").json["payload"]
    assert scene.page.ask(f"{path}&payload=yes&key=another").status == 409
    assert scene.page.ask(f"/letter?queue={scene.name}&reason=unknown").status == 404
    for wrong in ("/letter", "/letter?queue=nowhere&reason=x", "/letter?queue=%7Bx%7D:settings&reason=x"):
        assert scene.page.ask(wrong).status == 404, wrong


def test_nothing_takes_anything_but_a_question(scene: Scene) -> None:
    for path in ("/", "/events", "/snapshot.json", "/letter", "/static/page.js"):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert scene.page.ask(path, method).status == 405, (path, method)


def test_what_is_outside_of_the_folder_is_not_served(scene: Scene) -> None:
    for path in ("/static/../service.py", "/static/%2e%2e/service.py", "/static//etc/passwd", "/service.py"):
        assert scene.page.ask(path).status == 404, path


@pytest.mark.parametrize(
    "host, status",
    [
        ("localhost:1", 200), ("LOCALHOST", 200), ("127.0.0.1:1", 200), ("10.1.2.3", 200), ("[::1]:1", 200), ("[::1]", 200),
        ("weir.example:1", 200), ("other.example", 200), ("page.localhost", 200),
        ("evil.example", 421), ("localhost.evil.example:1", 421), ("", 421),
    ],
)  # fmt: skip
def test_a_name_that_is_not_known_is_refused(scene: Scene, host: str, status: int) -> None:
    assert scene.page.ask("/snapshot.json", Host=host).status == status


@pytest.mark.skipif(sys.platform != "linux", reason="looks for it at another address of this machine")
def test_it_listens_on_this_machine_alone(scene: Scene) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", scene.page.port), timeout=20).close()
    assert scene.page.ask("/").status == 200


@pytest.mark.slow  # the server is asked again after 2 s
def test_an_outage_is_said_and_its_end_too(server: EmbeddedServer) -> None:
    with watching(server.url) as page, page.stream() as stream:
        view = stream.until(lambda each: "at" in each)
        assert (view["queue"], view["queues"], view["trouble"]) == (None, [], None)
        server.kill()
        view = stream.until(lambda each: each["trouble"])
        assert view["at"] > 0
        assert page.ask("/snapshot.json").status == 200
        server.start()
        asyncio.run(set_up(server.url, "jobs"))
        view = stream.until(lambda each: not each["trouble"] and each["queue"] and each["lease"])
        assert (view["queue"]["name"], view["queue"]["pending"]) == ("jobs", 3)


def test_a_server_that_is_not_there_is_no_mistake_and_is_said(server: EmbeddedServer) -> None:
    server.kill()
    with watching(server.url) as page, page.stream() as stream:
        view = stream.until(lambda each: each["trouble"])
        assert "at" not in view
        answer = page.ask("/snapshot.json")
        assert (answer.status, answer.json["problem"]) == (503, view["trouble"]["text"])


def test_a_signal_ends_it_and_the_streams_that_are_open(server: EmbeddedServer) -> None:
    with watching(server.url) as page, page.stream() as stream:
        stream.view()
        page.service.send_signal(signal.SIGTERM)
        stream.rest()
        _, said = page.service.communicate(20)
        assert page.service.returncode == 0, said
        assert "the monitor is stopped" in said
        assert "rror" not in said


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost"])  # noqa: S104  # a test closes it again
def test_the_address_that_is_logged_can_be_opened(server: EmbeddedServer, host: str) -> None:
    settings = {"REDIS_URL": server.url, "PIPELINE_MONITOR_HOST": host, "PIPELINE_MONITOR_PORT": "0"}
    with running("monitor", ROOT, **settings) as service:
        served = json.loads(wait_for(service, "the page is served")[-1])
    assert served["address"] == f"http://127.0.0.1:{served['port']}/"


def test_a_mistake_in_the_settings_is_one_line_and_exit_code_2(server: EmbeddedServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for settings, words in (
            ({"PIPELINE_MONITOR_PORT": port}, f"cannot listen at 127.0.0.1 port {port}"),
            ({"PIPELINE_MONITOR_PORT": "many"}, "PIPELINE_MONITOR_PORT: "),
            ({"PIPELINE_MONITOR_HOST": "nowhere.invalid"}, "cannot listen at nowhere.invalid"),
        ):
            with running("monitor", ROOT, REDIS_URL=server.url, **settings) as service:
                _, said = service.communicate(20)
            assert (service.returncode, said.count("\n")) == (2, 1), said
            assert said.startswith("monitor: ")
            assert words in said
