"""`pipeline doctor`: each finding at a real server that has that fault, and what is printed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from cli.doctor.checks import CHECKS, clock, tls, version
from cli.doctor.finding import Finding
from cli.doctor.patient import examined
from cli.doctor.rights import rights
from cli.roles import ROLES
from shared.local.embedded import EmbeddedServer
from tests.cli.test_dead_command import pipeline
from tests.instruments.granted import granted
from tests.instruments.limited import limited, without
from tests.instruments.slow_link import SlowLink
from tests.instruments.waiting import until

SOUND = ("--maxmemory", "1gb", "--appendonly", "yes")


async def found(url: str, role: str | None = None, queue: str = "jobs") -> dict[str, Finding]:
    """What is found, by what it is about; how long a round trip takes depends on what else the machine does."""
    async with examined(url) as patient:
        all_found = [*(each for check in CHECKS for each in check(patient)), *await rights(patient, role, queue)]
    assert all(each.fix for each in all_found)
    return {each.about: each for each in all_found if each.about != "latency"}


async def test_of_a_sound_server_nothing_is_found(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server", options=SOUND) as server:
        assert await found(server.url) == {}
        for role in ROLES:
            assert await found(server.url, role) == {}


@pytest.mark.parametrize("options,about,kind,says", [
    (("--maxmemory-policy", "volatile-lru"), "eviction", "error", "maxmemory-policy is volatile-lru: it would evict"),
    (("--appendonly", "no"), "persistence", "warning", "all messages are lost"),
    (("--appendonly", "no", "--save", "60 1"), "persistence", "warning", "since the last snapshot (save 60 1)"),
    (("--appendfsync", "no"), "persistence", "warning", "appendfsync is no"),
    (("--no-appendfsync-on-rewrite", "yes"), "persistence", "warning", "no-appendfsync-on-rewrite is yes"),
    (("--maxmemory", "0"), "memory", "warning", "no limit"),
    (("--maxmemory", "1"), "memory", "error", "puts are refused"),
    (("--min-replicas-to-write", "2"), "replicas", "error", "min-replicas-to-write is 2, and 0 replicas"),
    (("--replicaof", "127.0.0.1 1"), "replicas", "error", "the server is a replica"),
])  # fmt: skip
async def test_a_server_started_with_a_fault(
    tmp_path: Path, options: tuple[str, ...], about: str, kind: str, says: str
) -> None:
    with EmbeddedServer(tmp_path / "server", options=[*SOUND, *options]) as server:
        findings = await found(server.url)
    assert {each.about: each.kind for each in findings.values()} == {about: kind}
    assert says in findings[about].text


async def test_memory_that_is_nearly_full_is_a_warning(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server", options=SOUND) as server:
        async with Redis.from_url(server.url) as admin:
            used = (await admin.info("memory"))["used_memory"]
            await admin.config_set("maxmemory", int(used * 1.15))
            findings = await found(server.url)
    assert findings["memory"].kind in ("warning", "error")  # connections use memory, too
    assert "% of maxmemory" in findings["memory"].text


async def test_a_disk_that_does_not_take_the_data_is_an_error(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server", options=SOUND) as server:
        (tmp_path / "server" / "dump.rdb").mkdir()
        async with Redis.from_url(server.url) as admin:
            await admin.bgsave()
            await until(lambda: admin.info("persistence"), lambda seen: seen["rdb_last_bgsave_status"] == "err")
            findings = await found(server.url)
    assert (findings["persistence"].kind, "could not write" in findings["persistence"].text) == ("error", True)


async def test_replicas_that_no_write_waits_for_are_a_warning(tmp_path: Path, unused_tcp_port: int) -> None:
    with (
        EmbeddedServer(
            tmp_path / "server", port=unused_tcp_port, options=[*SOUND, "--repl-diskless-sync-delay", "0"]
        ) as server,
        EmbeddedServer(tmp_path / "replica", options=["--replicaof", f"127.0.0.1 {unused_tcp_port}"]),
    ):
        async with Redis.from_url(server.url) as admin:
            await until(lambda: admin.info("replication"), lambda seen: seen["connected_slaves"] == 1)
            findings = await found(server.url)
            assert (findings["replicas"].kind, "1 replicas" in findings["replicas"].text) == ("warning", True)
            await admin.config_set("min-replicas-to-write", 1)
            assert await found(server.url) == {}


async def test_connections_that_run_out_are_a_warning(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server", options=SOUND) as server:
        async with Redis.from_url(server.url) as admin:
            await admin.config_set("maxclients", 2)
            findings = await found(server.url)
    assert findings["connections"].kind == "warning"


async def test_a_far_server_is_a_warning(server: EmbeddedServer, tmp_path: Path) -> None:
    async with SlowLink(server.url, tmp_path, up=500) as link, examined(link.url) as patient:
        assert patient.round_trip_seconds > 0.01
        assert [each.about for check in CHECKS for each in check(patient) if each.about == "latency"] == ["latency"]


async def test_what_no_server_here_has_is_judged_by_what_another_would_tell(server: EmbeddedServer) -> None:
    """An older version, another clock, a network between."""
    async with examined(server.url) as patient:
        assert [*version(patient), *clock(patient), *tls(patient)] == []
        old = replace(patient, info=patient.info | {"redis_version": "6.2.14"})
        assert [(each.kind, "7.0 or later" in each.text) for each in version(old)] == [("error", True)]
        for ahead, says in ((5.0, "5.0 s ahead of"), (-90.0, "90.0 s behind")):
            assert [(each.kind, says in each.text) for each in clock(replace(patient, ahead_seconds=ahead))] == [
                ("warning", True)
            ]
        for url, count in (
            ("redis://far:6379/0", 1),
            ("rediss://far:6379/0", 0),
            ("redis://localhost/0", 0),
            ("redis://127.0.0.1/0", 0),
        ):
            assert len(list(tls(replace(patient, url=url)))) == count, url


async def test_a_server_that_tells_nothing_is_not_checked(tmp_path: Path) -> None:
    with without(tmp_path / "server", "INFO", "CONFIG") as server:
        findings = await found(server.url)
    assert {each.about: each.kind for each in findings.values()} == dict.fromkeys(
        ("eviction", "persistence", "memory"), "unchecked"
    )
    # HELLO tells version and role.


@pytest.mark.parametrize("role", ROLES)
async def test_the_rights_of_each_role_are_told_from_those_of_less(server: EmbeddedServer, role: str) -> None:
    async with Redis.from_url(server.url) as admin:
        url = await granted(admin, server.url, role, "jobs")
        assert "rights" not in await found(url, role)
        assert "rights" not in await found(url)  # as one of them it may work
        assert (await found(url, role, "other"))["rights"].kind == "error"
        await admin.execute_command("ACL", "SETUSER", role, "-time")
        lacking = (await found(url, role))["rights"]
        assert (lacking.kind, lacking.text.endswith("1 rights: time " + "{jobs}:settings")) == ("error", True)


async def test_channels_and_scripts_that_are_forbidden_are_named(server: EmbeddedServer) -> None:
    async with Redis.from_url(server.url) as admin:
        url = await limited(admin, server.url, "resetchannels")
        findings = await found(url, "consumer")
        assert "publish and subscribe on weir:*" in findings["channels"].text
        assert "&weir:*" in findings["channels"].fix
        assert "rights" not in findings
        url = await limited(admin, server.url, "-evalsha_ro")
        assert "runs no script for this user" in (await found(url))["rights"].text


@pytest.mark.usefixtures("command_line")
async def test_it_prints_what_to_do_and_ends_with_1_where_there_is_an_error(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server", options=[*SOUND, "--maxmemory-policy", "allkeys-lru"]) as server:
        done = pipeline("doctor", REDIS_URL=server.url)
        assert (done.returncode, done.stderr) == (1, "")
        first, second, *_ = done.stdout.splitlines()
        assert first.startswith("error: eviction: the server's maxmemory-policy is allkeys-lru")
        assert second.startswith("  do: CONFIG SET maxmemory-policy noeviction")
        done = pipeline("doctor", "--role", "producer", "--json", REDIS_URL=server.url)
        assert done.returncode == 1
        assert [each["about"] for each in json.loads(done.stdout)["findings"] if each["kind"] == "error"] == [
            "eviction"
        ]
        async with Redis.from_url(server.url) as admin:
            await admin.config_set("maxmemory-policy", "noeviction")
        done = pipeline("doctor", REDIS_URL=server.url)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("command_line")
def test_a_server_without_resp3_is_an_error_and_none_at_all_a_mistake(tmp_path: Path) -> None:
    with without(tmp_path / "server", "HELLO") as server:
        done = pipeline("doctor", REDIS_URL=server.url)
    assert done.returncode == 1
    assert done.stdout.startswith("error: protocol: the server does not speak RESP3")
    done = pipeline("doctor", REDIS_URL=f"unix://{tmp_path}/none")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("pipeline: the server does not answer")
    done = pipeline("doctor", "--role", "king", REDIS_URL="redis://localhost:1/0")
    assert done.returncode == 2
