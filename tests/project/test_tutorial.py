"""docs/tutorial.md, done as it stands there: a project of one's own, three stages, a test, a web front."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from shared.local.parent_death import tied
from tests.instruments.new_project import ROOT, new, typed

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600)]

PAGE: Final = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
PORT: Final = 8000
"""Of the front."""
FILES: Final = dict(re.findall(r"In `([\w/]+\.py)`:\n\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, with the page's files in it."""
    assert "    ./run new ../shop --name shop\n" in PAGE
    shop = new(ROOT, tmp_path_factory.mktemp("tutorial") / "shop", "--name", "shop")
    for path, text in FILES.items():
        (shop / path).write_text(text, encoding="utf-8")
    shutil.rmtree(shop / "tests" / "job")
    (shop / "docs" / "schema" / "Greet.json").unlink()
    return shop


@contextlib.contextmanager
def running(shop: Path, line: str, says: str, port: int = PORT) -> Iterator["subprocess.Popen[str]"]:
    """Type a line of the page that stays, until it says this; end it at the end. `port`: in place of the page's."""
    assert f"    {line}\n" in PAGE
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "REDIS_", "PYTEST_"))
    }
    with subprocess.Popen(
        line.replace(str(PORT), str(port)).split(), cwd=shop, env={**kept, "PYTHONUNBUFFERED": "1"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, preexec_fn=tied(),  # noqa: PLW1509
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            said: list[str] = []
            for each in process.stdout:
                said.append(each)
                if says in each:
                    break
            else:
                raise AssertionError("".join(said))
            yield process
            process.terminate()
            process.communicate(timeout=60)
        finally:
            process.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as here:
        return int(here.getsockname()[1])


def asked(port: int, path: str, body: dict[str, str] | None = None) -> tuple[int, Any]:
    request = urllib.request.Request(  # the page's own address
        f"http://127.0.0.1:{port}{path}", None if body is None else json.dumps(body).encode()
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        return answer.status, json.load(answer)


def test_every_file_of_the_page_is_written() -> None:
    assert set(FILES) == {
        "shared/messages.py", "consumer/handlers.py", "producer/source.py", "producer/schedule.py", "shared/settings.py", "tests/test_orders.py",
        "front.py",
    }  # fmt: skip
    assert PAGE.count("```") == 2 * len(FILES)


def test_the_commands_of_the_fifth_step_do_what_they_say(shop: Path) -> None:
    for line, says in (
        ("./run pipeline schema", "asyncapi.json"),
        ("./run check", "passed"),
        ("./run test tests/test_orders.py", "1 passed"),
    ):
        assert re.search(rf"^    {re.escape(line)}(  |$)", PAGE, re.MULTILINE)
        assert says in typed(shop, *line.split(), seconds=280)


def test_all_is_shipped_and_the_front_says_so(shop: Path) -> None:
    with contextlib.ExitStack() as terminals:
        for line, says in (
            ("./run server", "keeps its data in"),
            ("./run clock", "the clock runs"),
            ("./run consumer", "shop/packed"),
        ):
            terminals.enter_context(running(shop, line, says))
        typed(shop, "./run", "producer", seconds=120)
        deadline = time.monotonic() + 120
        while (listed := typed(shop, "./run", "pipeline", "queue", "list", "--json")) and any(
            seen["pending"] + seen["leased"] + seen["delayed"] for seen in map(json.loads, listed.splitlines())
        ):
            assert time.monotonic() < deadline, listed
        dead = [json.loads(line) for line in typed(shop, "./run", "pipeline", "dead", "list", "--json").splitlines()]
        assert [each["reason"] for each in dead] == ["nobody sells gold"]
        port = free_port()
        front = "./run python -m uvicorn front:application --port 8000"
        terminals.enter_context(running(shop, front, "running on", port))
        status, answer = asked(port, "/orders", {"article": "tea"})
        assert (status, answer) == (202, {"number": 1_000_000})
        while (said := asked(port, "/orders/1000000")[1]) != {"state": "shipped"}:
            assert time.monotonic() < deadline, said
        assert asked(port, "/orders/7")[1] == {"state": "shipped"}
