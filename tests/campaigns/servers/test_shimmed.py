"""The shim does what it says: without that a campaign behind it would show nothing."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.campaigns.faults.machine import HALF_A_RECORD, NO_RECORD, refuse_to_start
from tests.campaigns.servers.shim import why_no_shim
from tests.campaigns.servers.shimmed import ShimmedServer, Sync

pytestmark = pytest.mark.skipif(why_no_shim() is not None, reason=why_no_shim() or "")


@pytest.fixture(params=["always"])
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ShimmedServer]:
    sync: Sync = request.param
    with ShimmedServer(tmp_path / "s", sync) as server:
        yield server


def client_of(server: ShimmedServer) -> redis.Redis:
    return redis.Redis.from_url(server.url)


@pytest.mark.parametrize("server", ["no"], indirect=True)
def test_what_was_not_synced_is_gone_with_the_power_and_a_kill_takes_nothing(server: ShimmedServer) -> None:
    with client_of(server) as client:
        client.set("kept", "1")
        client.config_set("appendfsync", "always")
        client.set("synced", "1")
        client.config_set("appendfsync", "no")
        client.set("lost", "1")
    server.kill()
    server.start()
    with client_of(server) as client:
        assert client.mget("kept", "synced", "lost") == [b"1", b"1", b"1"]
    assert server.lose_power() > 0
    server.start()
    with client_of(server) as client:
        assert client.mget("kept", "synced", "lost") == [b"1", b"1", None]


def test_with_always_no_power_failure_takes_what_was_answered(server: ShimmedServer) -> None:
    with client_of(server) as client:
        client.set("kept", "1")
    server.lose_power()
    server.start()
    with client_of(server) as client:
        assert client.get("kept") == b"1"


def test_a_full_disk_ends_it_and_takes_nothing(server: ShimmedServer) -> None:
    with client_of(server) as client:
        client.set("kept", "1")
        server.shim.fill("half a write first")
        with pytest.raises(redis.ConnectionError):
            client.set("refused", "1")
    # It closes its connections a moment before its process ends.
    deadline = time.monotonic() + 30
    while server.running:
        assert time.monotonic() < deadline, "it goes on"
    server.shim.free()
    server.start()
    with client_of(server) as client:
        assert client.mget("kept", "refused") == [b"1", None]


def test_its_clock_goes_where_it_is_put(server: ShimmedServer) -> None:
    with client_of(server) as client:
        before, _ = client.time()
        server.shim.seconds_ahead = 3600.0
        # It reads its clock once for many commands, and ten times a second at least.
        deadline = time.monotonic() + 30
        while client.time()[0] - before < 3600:
            assert time.monotonic() < deadline, "its clock has not moved"
    assert server.shim.seconds_ahead == 3600.0


def test_half_a_record_is_cut_off_and_rubbish_is_refused(server: ShimmedServer) -> None:
    with client_of(server) as client:
        client.set("kept", "1")
    server.kill()
    sound = server.tail().read_bytes()
    server.tail().write_bytes(sound + NO_RECORD)
    refuse_to_start(server)
    server.tail().write_bytes(sound + HALF_A_RECORD)
    server.start()
    with client_of(server) as client:
        assert client.get("kept") == b"1"
