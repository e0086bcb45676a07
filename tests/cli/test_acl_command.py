"""`pipeline acl` as its user meets it: one line that works as it is printed, and asks no server."""

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, Session
from shared.local.embedded import EmbeddedServer
from tests.cli.test_dead_command import pipeline
from tests.instruments.limited import as_user

pytestmark = pytest.mark.usefixtures("command_line")

NOWHERE = "redis://127.0.0.1:1/0"


async def test_the_line_works_as_it_is_printed(server: EmbeddedServer) -> None:
    done = pipeline(
        "acl", "--role", "consumer", "--queue", "jobs", "--key", "{catalog}:*", "--allow", "GEOADD", REDIS_URL=NOWHERE
    )
    assert done.returncode == 0
    assert done.stderr == "pipeline: its password stands behind > and is nowhere else: keep it\n"
    (line,) = done.stdout.splitlines()
    words = line.split()
    assert words[:3] == ["ACL", "SETUSER", "weir-consumer"]
    password = words[3].removeprefix(">")
    async with Redis.from_url(server.url) as admin:
        await admin.execute_command(*words)
        async with Session.open(as_user(server.url, "weir-consumer", password)) as session:
            queue = Queue(session, "jobs", int)
            await queue.put(1)
            async with await queue.get():
                pass
        async with Redis.from_url(as_user(server.url, "weir-consumer", password)) as client:
            assert await client.geoadd("{catalog}:places", (1.0, 1.0, "here")) == 1
        # Printed again without a password it leaves that one, and takes the rest away.
        again = pipeline("acl", "--role", "monitor", "--no-password", "--user", "weir-consumer", REDIS_URL=NOWHERE)
        assert (again.returncode, again.stderr) == (0, "")
        await admin.execute_command(*again.stdout.split())
        rights = await admin.acl_getuser("weir-consumer")
        assert len(rights["passwords"]) == 1
        assert "+geoadd" not in rights["commands"]
        assert {key["keys"] if isinstance(key, dict) else key for key in rights["keys"]} == {"%R~{*}:*", "%R~{*}/*:*"}


def test_two_lines_have_two_passwords() -> None:
    first, second = (pipeline("acl", "--role", "clock", REDIS_URL=NOWHERE).stdout.split()[3] for _ in range(2))
    assert first != second
    assert len(first) > 20


@pytest.mark.parametrize("words,problem", [
    (("--role", "king"), "is one of producer, consumer"),
    ((), "Missing option '--role'"),
    (("--role", "clock", "--queue", "a b"), "must be 1 to 64"),
    (("--role", "clock", "--user", "a b"), "has no spaces"),
    (("--role", "clock", "--key", "a b"), "has no spaces"),
])  # fmt: skip
def test_a_mistake_is_said_and_ends_with_2(words: tuple[str, ...], problem: str) -> None:
    done = pipeline("acl", *words)
    assert done.returncode == 2
    assert problem in done.stderr
