import socket
from pathlib import Path

import pytest

from shared.local.address import published, read_address
from shared.local.embedded import EmbeddedServer


def test_an_address_is_there_while_it_is_published(tmp_path: Path, server: EmbeddedServer) -> None:
    assert read_address(tmp_path) is None
    with published(server.url, tmp_path) as path:
        assert path.read_text() == f"{server.url}\n"
        assert read_address(tmp_path) == server.url
    assert read_address(tmp_path) is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["server"]


def test_an_address_that_nobody_listens_on_any_more_is_none(tmp_path: Path, server: EmbeddedServer) -> None:
    with published(server.url, tmp_path):
        server.kill()
        assert read_address(tmp_path) is None


def test_a_port_is_an_address_too(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        with published(url, tmp_path):
            assert read_address(tmp_path) == url
    with published(url, tmp_path):
        assert read_address(tmp_path) is None


@pytest.mark.parametrize("text", ["", "nonsense", "redis://[::1", "redis://localhost:port/0", "unix://", "unix:///\0"])
def test_nonsense_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "address").write_text(text)
    assert read_address(tmp_path) is None


def test_what_listens_is_none_unless_its_address_says_redis(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        where = f"127.0.0.1:{listening.getsockname()[1]}"
        for text, found in (
            (f"http://{where}", None),
            (f"//{where}", None),
            (f"redis://{where}/0", f"redis://{where}/0"),
        ):
            (tmp_path / "address").write_text(text)
            assert read_address(tmp_path) == found


def test_bytes_that_are_no_text_are_none(tmp_path: Path) -> None:
    (tmp_path / "address").write_bytes(b"\xff\xfe")
    assert read_address(tmp_path) is None
