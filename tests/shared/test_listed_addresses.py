"""Addresses that list several servers: what is read, and that nothing of a bad one is repeated."""

import traceback
from typing import Any

import pytest

from shared.concurrency import Session
from shared.concurrency.session.address.endpoint import Endpoint
from shared.concurrency.session.address.grammar import FORMS, is_listed, read_listed

SECRET = "hush-hush"


@pytest.mark.parametrize("address,hosts,service,options,login", [
    ("redis+sentinel://one/main", [("one", 26379)], "main", {}, {}),
    ("redis+sentinel://one:1,[::1]:2,10.0.0.3/main/", [("one", 1), ("::1", 2), ("10.0.0.3", 26379)], "main", {}, {}),
    ("REDISS+Sentinel://one/my%2Fmain/3", [("one", 26379)], "my/main", {"db": 3}, {}),
    (
        "rediss+sentinel://user:p%40%2Fss@one,two/main/1?sentinel_username=s&sentinel_password=t%26&ssl_check_hostname=no",
        [("one", 26379), ("two", 26379)], "main",
        {"username": "user", "password": "p@/ss", "db": 1, "ssl_check_hostname": False}, {"username": "s", "password": "t&"},
    ),
    ("redis+sentinel://:pa:ss@one/main", [("one", 26379)], "main", {"password": "pa:ss"}, {}),
    ("redis+cluster://:pass@one,two:7000", [("one", 6379), ("two", 7000)], "", {"password": "pass"}, {}),
    ("rediss+cluster://one/", [("one", 6379)], "", {}, {}),
])  # fmt: skip
def test_what_is_read(
    address: str, hosts: list[tuple[str, int]], service: str, options: dict[str, Any], login: dict[str, str]
) -> None:
    assert is_listed(address)
    read = read_listed(address)
    assert (list(read.hosts), read.service, read.options, read.sentinel_login) == (hosts, service, options, login)
    assert read.is_encrypted == address.lower().startswith("rediss")


def test_what_people_are_shown_has_no_login() -> None:
    read = read_listed(
        f"redis+sentinel://user:{SECRET}@one,[::1]:2/main/1?sentinel_password={SECRET}&password={SECRET}"
    )
    assert read.shown == "redis+sentinel://one:26379,[::1]:2/main/1"
    assert [str(host) for host in read.hosts] == ["one:26379", "[::1]:2"]
    assert Endpoint("10.0.0.1", 5) == ("10.0.0.1", 5)


@pytest.mark.parametrize("address", [
    f"redis+sentinel://:{SECRET}@one,two",
    f"redis+sentinel://:{SECRET}@one,two/",
    f"redis+sentinel://:{SECRET}@one,two//1",
    f"redis+sentinel://:{SECRET}@one,,two/main",
    f"redis+sentinel://:{SECRET}@/main",
    f"redis+sentinel://:{SECRET}@one:0/main",
    f"redis+sentinel://:{SECRET}@one:99999/main",
    f"redis+sentinel://:{SECRET}@one:port/main",
    f"redis+sentinel://:{SECRET}@[one]/main",
    f"redis+sentinel://:{SECRET}@one/main/one",
    f"redis+sentinel://:{SECRET}@one/main/1/2",
    f"redis+sentinel://user:1/{SECRET}@one/main",
    f"redis+sentinel://user:1#{SECRET}@one/main",
    f"redis+sentinel://user:1?{SECRET}@one/main",
    f"redis+sentinel://user:1@{SECRET}@one/main",
    f"redis+sentinel://us[er:\u2100{SECRET}@one:/main",
    f"redis+sentinel://one/main?sentinel_pasword={SECRET}",
    "redis+sentinel://one/main?sentinel_password=",
    f"redis+sentinel://one/main?{SECRET}",
    f"redis+cluster://user:1?x={SECRET}@one",
    f"redis+cluster://:{SECRET}@one/1",
    f"redis+cluster://one?sentinel_password={SECRET}",
])  # fmt: skip
def test_a_bad_list_is_refused_with_the_grammar_and_nothing_of_it_is_repeated(address: str) -> None:
    with pytest.raises(ValueError, match=r"address|sentinels") as raised:
        read_listed(address)
    assert any(form in str(raised.value) for form in FORMS.values())
    assert SECRET not in "".join(traceback.format_exception(raised.value))


async def test_a_session_refuses_a_bad_list_before_anything_is_done() -> None:
    with pytest.raises(ValueError, match="host1") as raised:
        async with Session.open(f"redis+sentinel://:{SECRET}@one,two"):
            pass
    assert SECRET not in "".join(traceback.format_exception(raised.value))
