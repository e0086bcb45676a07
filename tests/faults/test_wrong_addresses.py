"""An address at which nobody answers: it is told after a second, with what to look at."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.concurrency import ServerRefused, ServerUnavailable, Session
from shared.concurrency.session.advice import advice
from shared.concurrency.session.log import LogLine
from shared.local.embedded import EmbeddedServer


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, object]]]:
    return [(record.msg.text, record.msg.fields) for record in caplog.records if isinstance(record.msg, LogLine)]


@contextlib.asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """The address of one that accepts, and never says anything."""
    leaving = asyncio.Event()

    async def keep(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await leaving.wait()
        writer.transport.abort()

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        leaving.set()
        server.close()


async def test_a_second_later_it_is_told_which_address_does_not_answer_and_why_and_the_wait_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = EmbeddedServer(tmp_path / "server")
    address = f"unix://:secret@{tmp_path}/server/server.sock"

    def start_when_told(record: logging.LogRecord) -> bool:
        if isinstance(record.msg, LogLine) and record.msg.text == "no server answers yet":
            asyncio.get_running_loop().call_soon(server.start)
        return True

    log = logging.getLogger("weir.start")
    log.addFilter(start_when_told)
    try:
        async with Session.open(address, connect_timeout=20):
            pass
    finally:
        log.removeFilter(start_when_told)
        server.stop()
    ((text, fields),) = lines(caplog)
    assert text == "no server answers yet"
    assert fields["address"] == f"unix://{tmp_path}/server/server.sock"
    assert "No such file" in str(fields["problem"])
    assert fields["gives_up_after_seconds"] == 20


@pytest.mark.parametrize("scheme,question", [
    ("redis", "is the address right, and does it run?"),
    ("rediss", "does it speak TLS on this port? redis:// is without it"),
])  # fmt: skip
async def test_one_that_says_nothing_is_told_too(scheme: str, question: str, caplog: pytest.LogCaptureFixture) -> None:
    async with silent() as where:
        with pytest.raises(ServerUnavailable, match=r"\(it does not answer\)") as raised:
            async with Session.open(f"{scheme}://{where}", connect_timeout=1.2):
                pass
    assert str(raised.value).endswith(question)
    assert [text for text, _ in lines(caplog)] == ["no server answers yet"]


async def test_a_database_that_is_not_there_is_refused_at_once_and_named(server: EmbeddedServer) -> None:
    with pytest.raises(ServerRefused, match="does not have the database of the address"):
        async with asyncio.timeout(5), Session.open(f"{server.url.partition('?')[0]}?db=99"):
            pass


@pytest.mark.parametrize("address,problem,question", [
    ("redis://h:1/0", "ConnectionError: Error 111 connecting to h:1. Connect call failed", "does it run?"),
    ("redis://h:1/0", "ConnectionError: Error -2 connecting to h:1. Name or service not known.", "name of the host"),
    ("redis://h:1/0", "ConnectionError: Connection closed by server.", "does it want TLS?"),
    ("redis://h:1/0", 'InvalidResponse: Protocol error, got "H" as reply type byte', "is it Redis or Valkey"),
    ("rediss://h:1/0", "ConnectionError: Connection closed by server.", "does the server want a certificate of ours?"),
    ("rediss://h:1/0", "ConnectionError: Error 1 connecting to h:1. [SSL: WRONG_VERSION_NUMBER] wrong version number.", "speak TLS"),
    ("rediss://h:1/0", "ConnectionError: Error 1 connecting to h:1. [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate.", "ssl_ca_certs=FILE"),
])  # fmt: skip
def test_the_question_is_about_what_went_wrong(address: str, problem: str, question: str) -> None:
    assert question in advice(address, problem, is_silent=False)
