"""The commands of each role are those that the scripts call: a new script cannot be forgotten."""

import pytest
import redis

from cli.roles import ROLES
from shared.concurrency.session import scripts
from shared.concurrency.session.script_commands import commands_in, commands_of


@pytest.fixture(scope="module")
def known(url: str) -> set[str]:
    with redis.Redis.from_url(url) as client:
        return {word.decode() for word in client.command_list()}


@pytest.fixture(scope="module")
def writing(url: str) -> set[str]:
    """What a script that writes nothing may not call: PUBLISH is no write, and reaches others all the same."""
    with redis.Redis.from_url(url) as client:
        return {word for word, about in client.command().items() if "write" in about["flags"]} | {"publish"}


@pytest.mark.parametrize("script", scripts.scripts(), ids=lambda script: f"{script.name}{'.flow' * script.is_flow}")
def test_what_writes_nothing_says_so_and_is_sent_as_such(script: scripts.Script, writing: set[str]) -> None:
    """So that a user that may only read, and a replica, can run it."""
    writes = not writing.isdisjoint(command.lower() for command in commands_of(script))
    assert (script.command, b"no-writes" in script.source.splitlines()[0]) == (
        (b"EVALSHA", False) if writes else (b"EVALSHA_RO", True)
    )


@pytest.mark.parametrize("script", scripts.scripts(), ids=lambda script: f"{script.name}{'.flow' * script.is_flow}")
def test_each_script_says_which_commands_it_calls_and_someone_has_them(script: scripts.Script, known: set[str]) -> None:
    commands = {command.lower() for command in commands_of(script)}
    assert commands
    assert commands <= known
    assert commands <= ROLES["operator"].commands
    if script.command == b"EVALSHA_RO":
        assert commands <= ROLES["monitor"].commands


def test_a_command_may_stand_in_a_condition_or_in_a_table() -> None:
    source = """
    local COMMAND = {one = 'HSET', two = 'SADD'}
    redis.call(is_set and 'ZRANGE' or 'LRANGE', list, 0, -1) -- redis.call('FLUSHALL')
    redis.call(COMMAND[word], key, 'NX')
    """
    assert commands_in(source) == {"HSET", "SADD", "ZRANGE", "LRANGE"}


def test_a_command_that_is_nowhere_written_is_an_error() -> None:
    with pytest.raises(ValueError, match="no command is written"):
        commands_in("redis.call(word, key)")


@pytest.mark.parametrize("role", ROLES)
def test_no_role_may_run_what_it_likes_or_administer(role: str) -> None:
    forbidden = {
        "eval",
        "eval_ro",
        "config",
        "acl",
        "keys",
        "flushall",
        "flushdb",
        "shutdown",
        "client",
        "script",
        "monitor",
    }
    assert not ROLES[role].commands & forbidden
