"""rediss://: a certificate for another host name is refused, by every connection, unless the address says otherwise."""

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.clock.jobs import redis_settings
from shared.concurrency import Queue, ServerUnavailable, Session
from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.connections import client

_OPENSSL = shutil.which("openssl")

pytestmark = pytest.mark.skipif(_OPENSSL is None, reason="there is no openssl on PATH to make certificates with")


def certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """A certificate for a host name, which is its own authority."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    assert _OPENSSL is not None
    subprocess.run(
        [
            _OPENSSL, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={host}",
            "-addext", f"subjectAltName=DNS:{host}", "-keyout", key, "-out", certificate,
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, certificate


@asynccontextmanager
async def encrypted(url: str, folder: Path, host: str) -> AsyncIterator[str]:
    """The same server behind TLS, with a certificate for that host name; its address says localhost."""
    key, authority = certificate(folder, host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, key)
    tasks: set[asyncio.Task[None]] = set()
    clients: set[asyncio.StreamWriter] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.add(writer)
        # A task of our own, which ends with its connection: asyncio's would be cancelled with the loop.
        tasks.add(asyncio.create_task(serve(reader, writer)))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_unix_connection(unquote(urlsplit(url).path))
        back = asyncio.create_task(pipe(upstream_reader, writer))
        await pipe(reader, upstream)
        upstream.close()
        await upstream.wait_closed()
        await back
        writer.transport.abort()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield f"rediss://localhost:{server.sockets[0].getsockname()[1]}/0?ssl_ca_certs={authority}"
    finally:
        server.close()
        for client in clients:
            client.transport.abort()
        if tasks:
            await asyncio.wait(tasks)
        await server.wait_closed()


@pytest.mark.timing
@pytest.mark.measured
async def test_a_certificate_for_the_host_is_accepted(url: str, name: str, tmp_path: Path) -> None:
    async with encrypted(url, tmp_path, "localhost") as address, Session.open(address, ttl=1.0) as session:
        queue = Queue(session, name, int)
        await queue.put(1)
        async with await queue.get() as item:
            await asyncio.sleep(1.5)  # longer than the session lives without its heartbeat
            assert item == 1


async def test_without_tls_at_a_port_that_wants_it_the_error_says_so(url: str, tmp_path: Path) -> None:
    async with encrypted(url, tmp_path, "localhost") as address:
        plain = address.replace("rediss://", "redis://").partition("?")[0]
        with pytest.raises(ServerUnavailable, match=r"does it want TLS\? rediss:// is with it"):
            async with Session.open(plain, connect_timeout=0.5):
                pass


async def test_a_certificate_for_another_host_is_refused_by_every_connection(
    url: str, name: str, tmp_path: Path
) -> None:
    async with encrypted(url, tmp_path, "another.example") as address:
        with pytest.raises(ServerUnavailable, match=r"certificate.*is its authority named in the address"):
            async with Session.open(address, connect_timeout=1.0):
                pass
        async with client(read_address(address)) as connecting:
            with pytest.raises(RedisConnectionError, match="certificate"):
                await connecting.ping()
        assert redis_settings(address).ssl_check_hostname
        unchecked = f"{address}&ssl_check_hostname=false"
        assert not redis_settings(unchecked).ssl_check_hostname
        async with Session.open(unchecked) as session:
            assert await Queue(session, name, int).qsize() == 0
