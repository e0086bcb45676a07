"""What nobody listed must not end a task that everybody waits for: the connection, the heartbeat, a lane."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.concurrency import Queue, ServerRefused, Session
from shared.concurrency.queues.membership.membership import Membership
from shared.concurrency.queues.participant import QueueParticipant
from shared.concurrency.session.examination import check_version
from shared.concurrency.session.server_errors import fields
from shared.concurrency.session.session import process_of
from shared.local.embedded import EmbeddedServer
from tests.instruments.inside import session_id_of
from tests.instruments.waiting import until


async def drop_all(client: Redis) -> None:
    """Have the server close every connection but this one."""
    await client.client_kill_filter(skipme=True)


def lines(caplog: pytest.LogCaptureFixture, text: str) -> list[Any]:
    """The records whose text is this, with their fields."""
    return [record.msg for record in caplog.records if getattr(record.msg, "text", None) == text]


async def test_a_user_without_channels_is_refused_at_once_with_the_rule_to_add(
    server: EmbeddedServer, client: Redis
) -> None:
    await client.execute_command("ACL", "SETUSER", "narrow", "on", ">secret", "~*", "+@all", "resetchannels")  # type: ignore[no-untyped-call]
    url = server.url.replace("unix://", "unix://narrow:secret@")
    async with asyncio.timeout(8):
        with pytest.raises(ServerRefused, match=r"ACL SETUSER <user> \+subscribe &weir:\*"):
            async with Session.open(url):
                pass
    await client.execute_command("ACL", "SETUSER", "narrow", "&weir:*")  # type: ignore[no-untyped-call]
    async with asyncio.timeout(5), Session.open(url) as session:
        queue = Queue(session, "numbers", int)
        await queue.put(1)
        assert await queue.qsize() == 1


async def test_an_answer_that_nobody_asked_for_drops_the_connection_and_no_call_is_lost(
    server: EmbeddedServer,
) -> None:
    async with Session.open(server.url) as session:
        queue = Queue(session, "numbers", int)
        await queue.put(1)
        wire = process_of(session).calls._wire
        assert wire is not None
        wire.send(b"*1\r\n$4\r\nPING\r\n")
        async with asyncio.timeout(5):
            await until(lambda: asyncio.sleep(0, wire.is_open), lambda is_open: not is_open)
            await queue.put(2)
            assert [await _taken(queue), await _taken(queue)] == [1, 2]


async def _taken(queue: Queue[int]) -> int:
    async with await queue.get() as item:
        return item


async def test_a_connection_that_breaks_under_a_call_is_no_defect(
    server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with Session.open(server.url) as session:
        queue = Queue(session, "numbers", int)

        async def put() -> None:
            while True:
                await queue.put(1)

        putting = [asyncio.create_task(put()) for _ in range(5)]
        for _ in range(3):
            await asyncio.to_thread(server.kill)
            server.start()
            await until(queue.qsize, bool)
        for task in putting:
            task.cancel()
    assert "no connection to the server" in caplog.text
    assert "defect" not in caplog.text


async def test_a_defect_in_what_a_new_connection_needs_is_logged_and_the_next_one_works(
    server: EmbeddedServer, client: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Session.open(server.url) as session:
        queue = Queue(session, "numbers", int)
        await queue.put(1)
        calls = vars(process_of(session)._links)["_link"]._connection
        introduce, left = calls._introduce, [1]

        async def fail(wire: Any) -> None:
            if left:
                left.clear()
                raise KeyError("a defect")
            await introduce(wire)

        monkeypatch.setattr(calls, "_introduce", fail)
        await drop_all(client)
        async with asyncio.timeout(5):
            await queue.put(2)
        assert not left
    (line,) = lines(caplog, "a defect ended the connection; it is opened again")
    assert "a defect" in line.fields["problem"]


async def test_a_spoilt_part_does_not_keep_the_others_from_being_announced(
    server: EmbeddedServer, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Session.open(server.url) as session:
        one, other = Queue(session, "one", int), Queue(session, "other", int)
        await one.put(1)
        await other.put(1)
        connected = QueueParticipant.connected
        announced: list[str] = []

        async def fail(participant: QueueParticipant, run_id: str) -> None:
            if participant.member.name == "one":
                raise KeyError("a defect")
            await connected(participant, run_id)
            announced.append(participant.member.name)

        monkeypatch.setattr(QueueParticipant, "connected", fail)
        await drop_all(client)
        async with asyncio.timeout(5):
            await one.put(2)
            await other.put(2)
        assert announced == ["other"]
        assert [await one.qsize(), await other.qsize()] == [2, 2]


async def test_a_defect_in_a_renewal_does_not_end_the_heartbeat(
    server: EmbeddedServer, client: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    renewals, failed = Membership.renewals, asyncio.Event()
    async with Session.open(server.url, ttl=1.0) as session:
        await Queue(session, "numbers", int).put(1)
        loop = asyncio.get_running_loop()

        def fail(member: Membership, run_id: str, loop_idle: float) -> Any:
            if not failed.is_set():
                loop.call_soon_threadsafe(failed.set)
                raise KeyError("a defect")
            return renewals(member, run_id, loop_idle)

        monkeypatch.setattr(Membership, "renewals", fail)
        async with asyncio.timeout(5):
            await failed.wait()
        session_id = session_id_of(session, "numbers")
        before = await client.zscore("{numbers}:sessions", session_id)
        assert before is not None

        async def deadline() -> float:
            return await client.zscore("{numbers}:sessions", session_id) or 0.0

        await until(deadline, lambda now: now > before)
        assert session_id_of(session, "numbers") == session_id
    assert "a defect" in lines(caplog, "renewing fails: what is held runs out")[0].fields["problem"]
    assert lines(caplog, "renewing works again")


async def test_an_outage_is_in_the_log_with_its_reason_and_its_end(
    server: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with Session.open(server.url, ttl=5.0) as session:
        queue = Queue(session, "numbers", int)
        await queue.put(1)
        server.kill()
        putting = asyncio.create_task(queue.put(2))
        await until(lambda: asyncio.sleep(0, lines(caplog, "no connection to the server")), bool)
        server.start()
        async with asyncio.timeout(40):
            await putting
    # Again where another reason shows: on a busy machine the next connection is tried before there is a server.
    reasons = [lost.fields["problem"] for lost in lines(caplog, "no connection to the server")]
    assert all(reasons)
    assert len(set(reasons)) == len(reasons) > 0
    (back,) = lines(caplog, "connected to the server again")
    assert 0 <= back.fields["after_seconds"] < 60


async def test_a_demoted_server_is_said_and_left_after_two_seconds(
    server: EmbeddedServer, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async with Session.open(server.url, ttl=5.0) as session:
        queue = Queue(session, "numbers", int)
        await queue.put(1)
        wire = process_of(session).calls._wire
        assert wire is not None
        await client.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call]
        putting = asyncio.create_task(queue.put(2))
        async with asyncio.timeout(6):
            await until(lambda: asyncio.sleep(0, wire.is_open), lambda is_open: not is_open)
        assert not putting.done()
        await client.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]
        async with asyncio.timeout(6):
            await putting
    refused = lines(caplog, "the server refuses for now")
    assert "READONLY" in refused[0].fields["problem"]
    assert lines(caplog, "the server accepts again")


async def test_a_full_memory_is_in_the_log_once_and_its_end(
    server: EmbeddedServer, client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async with Session.open(server.url) as session:
        queue = Queue(session, "numbers", int)
        await queue.put(1)
        await client.config_set("maxmemory", 1)
        putting = asyncio.create_task(queue.put(2))
        await until(lambda: asyncio.sleep(0, lines(caplog, "the server refuses for now")), bool)
        await client.config_set("maxmemory", 0)
        async with asyncio.timeout(5):
            await putting
    (line,) = lines(caplog, "the server refuses for now")
    assert line.fields["script"] == "put"
    assert "OOM" in line.fields["problem"]
    assert len(lines(caplog, "the server accepts again")) == 1


@pytest.mark.parametrize("info", [b"redis_version:unstable\r\n", b"\xff\xfe:\xff\r\n", b""])
def test_a_version_that_cannot_be_read_is_refused(info: bytes) -> None:
    with pytest.raises(ServerRefused, match="no version that can be read"):
        check_version(fields(info))


async def test_an_option_that_nobody_knows_is_said_before_anything_is_connected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="soket_timeout"):
        async with asyncio.timeout(8), Session.open(f"unix://{tmp_path}/none?soket_timeout=1"):
            pass
