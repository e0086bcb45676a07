"""The services as OS processes: what they do, how they end, and what they say about a wrong set-up."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from shared.local.embedded import EmbeddedServer
from shared.local.parent_death import tied
from shared.settings import Settings
from tests.instruments.command_line import command, environment
from tests.instruments.services import Service, running, wait_for

pytestmark = pytest.mark.usefixtures("command_line")


BEGINS = {"producer": "producing", "consumer": "consuming", "producer.clock": "the clock runs"}
"""What each says once it works."""


def ended(module: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return command((), environment(**settings), module)


def run_to_the_end(module: str, **settings: str) -> int:
    with running(module, **settings) as process:
        process.communicate(timeout=90)
        return process.wait(0)


def resources(client: "redis.Redis", name: str, process: Service) -> Any:
    """What a process has done with its resources."""
    return client.get(f"{{{name}}}:resources:{process.pid}")


def test_a_producer_and_a_consumer_do_the_work_and_drain(url: str, name: str) -> None:
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name}
    with running("consumer", **settings) as consumer, redis.Redis.from_url(url) as client:
        assert run_to_the_end("producer", **settings) == 0
        deadline = time.monotonic() + 90
        while client.llen(f"{{{name}}}:filled") < 100:
            assert time.monotonic() < deadline
        assert resources(client, name, consumer) == b"open"
        consumer.send_signal(signal.SIGTERM)
        _, said = consumer.communicate(timeout=90)
        assert consumer.returncode == 0, said
        assert '"handled": 100' in said
        assert sorted(map(int, client.lrange(f"{{{name}}}:filled", 0, -1))) == list(range(100))
        assert resources(client, name, consumer) == b"closed"


@pytest.mark.parametrize("module,begins", [("consumer", "consuming"), ("producer", "producing")])
def test_a_session_id_leads_to_a_process(url: str, name: str, module: str, begins: str) -> None:
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name}
    with running(module, PIPELINE_MAXSIZE="5", **settings) as service:
        said = json.loads(wait_for(service, begins)[-1])
        assert said["pid"] == service.pid
        deadline = time.monotonic() + 90
        with redis.Redis.from_url(url) as client:
            while not (sessions := client.zrange(f"{{{name}}}:sessions", 0, -1)):  # it registers with its first call
                assert time.monotonic() < deadline
        assert sessions[0].decode().partition(".")[0] == said["owner"]
        shown = json.loads(command(("queue", "show", "--json"), environment(**settings)).stdout)
        assert [(each["owner"], each["pid"]) for each in shown["sessions"]] == [(said["owner"], said["pid"])]


@pytest.mark.slow
def test_resources_are_opened_by_those_who_use_them(copy: Path, url: str, name: str) -> None:
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name}
    with redis.Redis.from_url(url) as client:
        with running("producer", PIPELINE_MAXSIZE="5", **settings) as producer:
            wait_for(producer, "producing")
            assert resources(client, name, producer) is None
        source = copy / "producer" / "source.py"
        source.write_text(source.read_text().replace("\nasync def", "\nuses_resources = True\n\n\nasync def"))
        with running("producer", copy, PIPELINE_MAXSIZE="5", PIPELINE_GRACE="0.2", **settings) as producer:
            wait_for(producer, "producing")
            assert resources(client, name, producer) == b"open"
            producer.send_signal(signal.SIGTERM)
            producer.communicate(timeout=30)
            assert resources(client, name, producer) == b"closed"
        with running("producer.clock", **settings) as clock:
            wait_for(clock, "ticked")
            assert resources(client, name, clock) is None
        schedule = copy / "producer" / "schedule.py"
        schedule.write_text(schedule.read_text().replace("    cron_jobs:", "    uses_resources = True\n    cron_jobs:"))
        with running("producer.clock", copy, **settings) as clock:
            wait_for(clock, "ticked")
            assert resources(client, name, clock) == b"open"
            clock.send_signal(signal.SIGTERM)
            clock.communicate(timeout=90)
            assert resources(client, name, clock) == b"closed"


def test_a_consumer_has_no_more_connections_than_it_may(copy: Path, server: EmbeddedServer) -> None:
    handlers = copy / "consumer" / "handlers.py"
    waits = "    await pipeline.redis.blpop(['never'], timeout=1)\n    async with pipeline.resources"
    handlers.write_text(handlers.read_text().replace("    async with pipeline.resources", waits))
    settings = {"REDIS_URL": server.url, "PIPELINE_MAXSIZE": "0"}
    assert run_to_the_end("producer", **settings) == 0
    with (
        redis.Redis.from_url(server.url) as client,
        running("consumer", copy, PIPELINE_CONCURRENCY="40", PIPELINE_MAX_CONNECTIONS="7", **settings) as consumer,
    ):
        most = 0
        deadline = time.monotonic() + 90
        while sum(each["cmd"] == "blpop" for each in client.client_list()) < 5:
            assert time.monotonic() < deadline
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            most = max(most, len(client.client_list()) - 1)
        assert 5 < most <= 7
        consumer.kill()


def test_a_consumer_waits_for_a_server_that_refuses_its_resources_for_now(server: EmbeddedServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.config_set("min-replicas-to-write", 1)
        with running("consumer", REDIS_URL=server.url) as consumer:
            wait_for(consumer, "the resources cannot be opened yet")
            client.config_set("min-replicas-to-write", 0)
            wait_for(consumer, "consuming")
            assert consumer.poll() is None


def test_a_failed_command_of_a_source_is_one_line_and_1(copy: Path, url: str, name: str) -> None:
    source = copy / "producer" / "source.py"
    spoilt = f"    await pipeline.redis.lpush('{name}', 1)\n    await pipeline.redis.incr('{name}')\n    for number"
    source.write_text(source.read_text().replace("    for number", spoilt))
    with running("producer", copy, REDIS_URL=url, PIPELINE_QUEUE=name) as producer:
        _, said = producer.communicate(timeout=90)
    assert producer.returncode == 1
    assert "producer: a server failed a command of the application: ResponseError: WRONGTYPE" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("module", ["producer", "consumer", "producer.clock"])
def test_a_signal_drains_and_ends_with_0(url: str, name: str, module: str, ending: signal.Signals) -> None:
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_GRACE": "0.2"}
    # The producer stands before a full queue, the consumer before an empty one.
    with running(module, PIPELINE_MAXSIZE="5", **settings) as process:
        wait_for(process, BEGINS[module])
        process.send_signal(ending)
        _, said = process.communicate(timeout=90)
    assert process.returncode == 0, said
    assert "Traceback" not in said


def test_a_second_signal_ends_at_once(url: str, name: str) -> None:
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_MAXSIZE": "1"}
    with running("producer", PIPELINE_GRACE="3600", **settings) as producer:
        wait_for(producer, "producing")
        with redis.Redis.from_url(url) as client:
            while not client.llen(f"{{{name}}}:line"):  # it stands before the full queue: the first signal ends nothing
                assert producer.poll() is None
        producer.send_signal(signal.SIGTERM)
        wait_for(producer, "stopping")
        producer.send_signal(signal.SIGTERM)
        producer.wait(90)
    assert producer.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("module", ["producer", "consumer", "producer.clock"])
@pytest.mark.parametrize(
    "settings,advice",
    [
        ({"PIPELINE_MAXSIZ": "5"}, "PIPELINE_MAXSIZ: no such setting; did you mean PIPELINE_MAXSIZE?"),
        ({"PIPELINE_CONCURRENCY": "many"}, "PIPELINE_CONCURRENCY: "),
        ({"REDIS_URL": "http://:topsecret@host/0"}, "REDIS_URL: the address begins with redis://"),
        ({"PIPELINE_QUEUE": "a b"}, "PIPELINE_QUEUE: "),
    ],
)
def test_a_wrong_set_up_is_one_line_and_2(module: str, settings: dict[str, str], advice: str) -> None:
    done = ended(module, **settings)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{module.rpartition('.')[2]}: {advice}")
    assert "topsecret" not in line


@pytest.mark.parametrize("module", ["producer", "consumer", "producer.clock"])
def test_help_is_printed_and_nothing_is_done(module: str) -> None:
    name = module.rpartition(".")[2]
    done = command(("--help",), environment(REDIS_URL="redis://127.0.0.1:1"), module)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: ./run {name} ")
    assert f"\n  PIPELINE_QUEUE={Settings.model_fields['queue'].default}\n" in done.stdout
    assert "\n  REDIS_URL=\n" in done.stdout
    done = command(("--consumers", "3"), environment(REDIS_URL="redis://127.0.0.1:1"), module)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("error: unrecognized arguments: --consumers 3\n")


@pytest.mark.parametrize("module", ["producer", "consumer", "producer.clock"])
def test_a_server_that_does_not_answer_is_told_by_its_address_while_the_service_waits(module: str) -> None:
    with running(module, REDIS_URL="redis://:topsecret@127.0.0.1:1/0") as service:
        lines = wait_for(service, "no server answers yet")
        assert service.poll() is None
    said = json.loads(lines[-1])
    assert (said["address"], said["level"]) == ("redis://127.0.0.1:1/0", "warning")
    assert "connecting to 127.0.0.1:1" in said["problem"]
    assert "topsecret" not in "".join(lines)


def test_no_server_is_advice_and_2(copy: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "consumer"],
        env=environment(PYTHONPATH=str(copy)),
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr == "consumer: no server: set REDIS_URL, or start one with ./run server in another terminal\n"


def test_a_message_class_without_a_handler_is_named(copy: Path, url: str) -> None:
    with (copy / "shared" / "messages.py").open("a") as file:
        file.write('\n\nclass Resize(Message):\n    """Resize a picture."""\n')
    done = subprocess.run(
        [sys.executable, "-m", "consumer"],
        env=environment(PYTHONPATH=str(copy), REDIS_URL=url),
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("consumer: no handler for Resize: write `@handles(Resize)`")


def test_adding_a_job_is_one_class_and_one_function(copy: Path, url: str, name: str) -> None:
    with (copy / "shared" / "messages.py").open("a") as file:
        file.write('\n\nclass Greet(Message):\n    """Greet somebody."""\n\n    who: str\n')
    with (copy / "consumer" / "handlers.py").open("a") as file:
        file.write(
            "\n\n@handles(Greet)\nasync def greet(delivery: Delivery[Greet], pipeline: Pipeline) -> None:\n"
            '    """Say hello."""\n'
            '    await pipeline.redis.set("{" + pipeline.queue.name + "}:greeted", delivery.item.who)\n'
        )
    handlers = copy / "consumer" / "handlers.py"
    handlers.write_text(handlers.read_text().replace("import Errand\n", "import Greet, Errand\n"))
    put = (
        "import asyncio\nfrom shared.messages import Greet\nfrom shared.pipeline import open_pipeline\n"
        "from shared.settings import Settings\n"
        "async def main():\n    async with open_pipeline(Settings.load()) as pipeline:\n"
        "        await pipeline.queue.put(Greet(who='Ada'))\n        await pipeline.queue.join()\n"
        "asyncio.run(main())\n"
    )
    settings = environment(PYTHONPATH=str(copy), REDIS_URL=url, PIPELINE_QUEUE=name)
    with subprocess.Popen([sys.executable, "-m", "consumer"], cwd=copy, env=settings, preexec_fn=tied()) as consumer:  # noqa: PLW1509
        try:
            subprocess.run([sys.executable, "-c", put], cwd=copy, env=settings, check=True, timeout=120)
        finally:
            consumer.terminate()
    with redis.Redis.from_url(url) as client:
        assert client.get(f"{{{name}}}:greeted") == b"Ada"


@pytest.mark.parametrize("module", ["producer", "consumer", "producer.clock"])
def test_a_service_whose_log_nobody_reads_any_more_works_and_drains(url: str, name: str, module: str) -> None:
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_LOG_LEVEL": "debug", "PIPELINE_GRACE": "0.2"}
    with running(module, PIPELINE_MAXSIZE="5", **settings) as process, redis.Redis.from_url(url) as client:
        wait_for(process, BEGINS[module])
        process.stderr.close()
        if module == "consumer":
            assert run_to_the_end("producer", **settings) == 0
            deadline = time.monotonic() + 90
            while client.llen(f"{{{name}}}:filled") < 100:
                assert time.monotonic() < deadline
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == 0


RAISES = """

import logging


class Raises(logging.Handler):
    def handle(self, record):
        if not record.name.startswith("arq"):
            raise RuntimeError("this handler raises")


"""
ADDS = "logging.getLogger().addHandler(Raises())\n"


@pytest.mark.parametrize("module", ["producer", "consumer", "producer.clock"])
def test_a_log_handler_that_raises_stops_no_drain(copy: Path, url: str, name: str, module: str) -> None:
    settings = {"REDIS_URL": url, "PIPELINE_QUEUE": name, "PIPELINE_GRACE": "0.2"}
    yours = {
        "producer": "producer/source.py",
        "consumer": "consumer/handlers.py",
        "producer.clock": "producer/schedule.py",
    }
    file = copy / yours[module]
    if module == "producer":  # its source is imported before the logs are set up
        file.write_text(file.read_text().replace("    for number", f"    {ADDS}    for number") + RAISES)
    else:
        file.write_text(file.read_text() + RAISES + ADDS)
    with running(module, copy, PIPELINE_MAXSIZE="5", **settings) as process:
        wait_for(process, BEGINS[module])
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=90)
    assert process.returncode == 0, said
    assert "stopping" in said
    assert "Traceback" not in said


def test_a_mistake_that_nobody_reads_is_still_2(url: str) -> None:
    with running("consumer", REDIS_URL=url, PIPELINE_CONCURRENCY="many") as consumer:
        consumer.stderr.close()
        assert consumer.wait(90) == 2
