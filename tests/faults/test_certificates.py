"""rediss://: what is wrong with a certificate is said at once, by every connection; the host is checked."""

import asyncio
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from arq import create_pool
from pydantic import SecretStr
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.clock.arq_settings import redis_settings
from shared.concurrency import Queue, ServerRefused, Session
from shared.concurrency.session.address.address import read_address
from shared.concurrency.session.address.connections import blocking_connection, client, connection
from shared.concurrency.session.address.endpoint import Endpoint, Kind
from shared.concurrency.session.address.steady import Steady
from shared.local.embedded import EmbeddedServer
from shared.pipeline import open_pipeline
from shared.pool import counted_pool
from shared.settings import Settings
from tests.instruments.certificates import Authority, Terminator, needs_openssl
from tests.instruments.command_line import command, environment
from tests.instruments.waiting import until

pytestmark = needs_openssl


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def address_of(terminator: Terminator, authority: Authority, more: str = "") -> str:
    return f"rediss://localhost:{terminator.port}/0?ssl_ca_certs={authority.file}{more}"


async def refused_at_once(address: str, match: str) -> None:
    with pytest.raises(ServerRefused, match=match):
        async with asyncio.timeout(60), Session.open(address, connect_timeout=3600):
            pass


@pytest.mark.timing
@pytest.mark.measured
async def test_a_certificate_for_the_host_is_accepted(url: str, name: str, authority: Authority) -> None:
    with Terminator(authority.certificate("localhost")).before(url) as terminator:
        async with Session.open(address_of(terminator, authority), ttl=1.0) as session:
            queue = Queue(session, name, int)
            await queue.put(1)
            async with await queue.get() as item:
                await asyncio.sleep(1.5)  # longer than the session lives without its heartbeat
                assert item == 1


async def test_a_certificate_for_another_host_is_refused_by_every_connection(
    url: str, name: str, authority: Authority
) -> None:
    with Terminator(authority.certificate("another.example")).before(url) as terminator:
        address = address_of(terminator, authority)
        await refused_at_once(address, "Hostname mismatch.*is it for the host of the address")
        async with client(read_address(address)) as connecting:
            with pytest.raises(RedisConnectionError, match="certificate"):
                await connecting.ping()
        with pytest.raises(RedisConnectionError, match="certificate"):
            await asyncio.to_thread(blocking_connection(read_address(address)).connect)
        assert redis_settings(address).ssl_check_hostname
        unchecked = f"{address}&ssl_check_hostname=false"
        assert not redis_settings(unchecked).ssl_check_hostname
        for unsafe in (unchecked, f"rediss://localhost:{terminator.port}/0?ssl_cert_reqs=none"):
            async with Session.open(unsafe) as session:
                assert await Queue(session, name, int).qsize() == 0


@pytest.mark.parametrize("trouble", ["expired", "unknown authority"])
async def test_a_certificate_that_is_not_good_is_refused_at_once(
    url: str, tmp_path: Path, authority: Authority, trouble: str
) -> None:
    shown = authority.certificate("localhost", is_expired=trouble == "expired")
    with Terminator(shown).before(url) as terminator:
        if trouble == "expired":
            await refused_at_once(address_of(terminator, authority), "certificate has expired")
        else:
            await refused_at_once(address_of(terminator, Authority(tmp_path, "other")), "unable to get local issuer")
            await refused_at_once(f"rediss://localhost:{terminator.port}", r"Is its authority named in the address \(")


@pytest.mark.filterwarnings("ignore:.*retry_on_timeout:DeprecationWarning")  # arq's, on redis-py 8
async def test_a_server_that_wants_a_certificate_of_ours_gets_it_from_every_connection(
    url: str, name: str, tmp_path: Path, authority: Authority
) -> None:
    other = Authority(tmp_path, "other")
    with Terminator(authority.certificate("localhost"), clients=authority.file).before(url) as terminator:
        address = address_of(terminator, authority)
        wants = "does not accept our certificate, or wants one.*ssl_certfile=FILE"
        await refused_at_once(address, wants)
        await refused_at_once(f"{address}&ssl_certfile={other.certificate('weir')}", wants)
        await refused_at_once(f"{address}&ssl_certfile={authority.certificate('late', is_expired=True)}", wants)
        ours = authority.certificate("weir")
        with_ours = f"{address}&ssl_certfile={ours}"
        async with open_pipeline(Settings(redis_url=SecretStr(with_ours), queue=name)) as pipeline:
            await pipeline.redis.ping()
            await pipeline.queue.qsize()
        clock = await create_pool(redis_settings(f"{with_ours}&ssl_keyfile={ours}"))
        await clock.aclose(close_connection_pool=True)
        heartbeat = blocking_connection(read_address(with_ours))
        await asyncio.to_thread(heartbeat.connect)
        heartbeat.disconnect()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("module,arguments", [("cli", ("queue", "list")), ("producer", ()), ("producer.clock", ())])
@pytest.mark.usefixtures("command_line")
def test_a_program_says_it_in_one_line_and_ends_with_2(
    url: str, authority: Authority, module: str, arguments: tuple[str, ...]
) -> None:
    with Terminator(authority.certificate("localhost", is_expired=True)).before(url) as terminator:
        done = command(arguments, environment(REDIS_URL=address_of(terminator, authority)), module)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert "the certificate of the server is not accepted: certificate has expired" in line


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile"])
async def test_a_file_that_is_missing_or_holds_no_certificate_is_named_at_once(
    tmp_path: Path, authority: Authority, option: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        where = f"rediss://localhost:{listening.getsockname()[1]}?{option}="
        missing, broken = tmp_path / "missing.pem", tmp_path / "broken.pem"
        broken.write_text("no certificate")
        await refused_at_once(f"{where}{missing}", rf"{option} \({missing}\) cannot be read: No such file")
        await refused_at_once(f"{where}{broken}", rf"{option} \({broken}\).* cannot be used: .+")
        key = authority.certificate("other")
        mismatched = f"{where}{authority.certificate('weir')}&ssl_keyfile={key}"
        if option == "ssl_certfile":
            await refused_at_once(mismatched, r"ssl_keyfile .* cannot be used: key values mismatch")


async def test_where_only_one_side_encrypts_it_is_said_at_once(url: str, tmp_path: Path, authority: Authority) -> None:
    with Terminator(authority.certificate("localhost")).before(url) as terminator:
        await refused_at_once(f"redis://localhost:{terminator.port}/0", "speaks TLS on this port: rediss:// is with it")
    with Terminator(authority.certificate("localhost"), clients=authority.file).before(url) as terminator:
        await refused_at_once(f"redis://localhost:{terminator.port}/0", "speaks TLS on this port: rediss:// is with it")
    with EmbeddedServer(tmp_path / "plain", port=_free_port()) as server:
        plain = server.url.replace("redis://", "rediss://")
        await refused_at_once(plain, "does not speak TLS on this port: redis:// is without it")
        async with redis.asyncio.Redis.from_url(server.url) as admin:
            await admin.config_set("requirepass", "secret")
        await refused_at_once(plain, "does not speak TLS on this port: redis:// is without it")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


async def test_a_certificate_that_runs_out_while_we_work_is_waited_for(
    url: str, name: str, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    good, late = authority.certificate("localhost"), authority.certificate("localhost", is_expired=True)
    with Terminator(good).before(url) as terminator:
        async with Session.open(address_of(terminator, authority)) as session:
            queue = Queue(session, name, int)
            await queue.put(1)
            terminator.shows(late)
            terminator.drop()
            putting = asyncio.create_task(queue.put(2))
            await until(lambda: asyncio.sleep(0, caplog.text), lambda text: "certificate has expired" in text)
            assert not putting.done()
            terminator.shows(good)
            async with asyncio.timeout(40):
                await putting
            assert await queue.qsize() == 2


async def test_a_certificate_of_ours_that_is_replaced_is_read_again_at_the_next_connect(
    url: str, tmp_path: Path, authority: Authority
) -> None:
    ours, first = tmp_path / "ours.pem", authority.certificate("first")
    ours.write_bytes(authority.certificate("late", is_expired=True).read_bytes())
    with Terminator(authority.certificate("localhost"), clients=authority.file).before(url) as terminator:
        pool = counted_pool(address_of(terminator, authority, f"&ssl_certfile={ours}"), 1, 20.0)
        asking = redis.asyncio.Redis(connection_pool=pool)
        with pytest.raises(RedisConnectionError):
            await asking.ping()
        replaced = tmp_path / "new.pem"
        replaced.write_bytes(first.read_bytes())
        replaced.rename(ours)
        assert await asking.ping()
        await pool.disconnect()


@dataclass(frozen=True)
class Told(Steady):
    """An address whose host somebody else tells, as a sentinel does."""

    told: Endpoint
    options: Mapping[str, Any] = field(repr=False)
    shown: str = "told"
    kind: Kind = "tls"

    async def locate(self) -> Endpoint:
        return self.told

    def locate_blocking(self) -> Endpoint:
        return self.told


async def test_the_host_that_is_checked_is_the_one_that_was_told(url: str, authority: Authority) -> None:
    with Terminator(authority.certificate("localhost")).before(url) as terminator:
        options = read_address(f"rediss://asked.example?ssl_ca_certs={authority.file}").options
        right = Told(Endpoint("localhost", terminator.port), options)
        wrong = Told(Endpoint("127.0.0.1", terminator.port), options)
        opened = connection(right)
        await opened.connect()  # type: ignore[no-untyped-call]
        await opened.disconnect()
        blocking = blocking_connection(right)
        await asyncio.to_thread(blocking.connect)
        blocking.disconnect()  # type: ignore[no-untyped-call]
        with pytest.raises(RedisConnectionError, match="certificate"):
            await connection(wrong).connect()  # type: ignore[no-untyped-call]
        with pytest.raises(RedisConnectionError, match="certificate"):
            await asyncio.to_thread(blocking_connection(wrong).connect)


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server on PATH that speaks TLS")
async def test_a_server_that_speaks_tls_itself(tmp_path: Path, authority: Authority) -> None:
    port, plain = _free_port(), _free_port()
    shown, binary = authority.certificate("localhost"), tmp_path / "with-tls"
    binary.write_text(
        f'#!/bin/sh\nexec {shutil.which("redis-server")} "$@" --tls-port {port} --tls-cert-file {shown} '
        f"--tls-key-file {shown} --tls-ca-cert-file {authority.file}\n"
    )
    binary.chmod(0o755)
    with EmbeddedServer(tmp_path / "server", binary=binary, port=plain):
        address = f"rediss://localhost:{port}/0?ssl_ca_certs={authority.file}"
        await refused_at_once(address, "does not accept our certificate, or wants one")
        await refused_at_once(f"redis://localhost:{port}/0", "speaks TLS on this port")
        await refused_at_once(f"rediss://localhost:{plain}/0", "does not speak TLS on this port")
        async with Session.open(f"{address}&ssl_certfile={authority.certificate('weir')}") as session:
            await Queue(session, "encrypted", int).put(1)
