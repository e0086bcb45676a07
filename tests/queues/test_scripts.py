"""Every script keeps its contract: what the header declares is what the script uses, no more and no less."""

import re

import pytest
import redis

from cli.scripts import described
from shared.concurrency.locks.leases.keys import BARRIER_KEYS, CONDITION_KEYS, EVENT_KEYS, LEASE_KEYS, RATE_KEYS
from shared.concurrency.queues.membership.keys import QUEUE_KEYS, leased_key, queue_keys
from shared.concurrency.session import scripts

# A script that only reads, or only drains, goes on when the server's memory is full; put is the one that fills it.
FILLS = {"put", "stage", "settle_with_effects"}
CALL = re.compile(r"redis\.call\(\s*'(\w+)'\s*,\s*([a-z_]+)")


def uncommented(text: str) -> str:
    return "\n".join(line.split("--")[0] for line in text.splitlines())


def words(script: scripts.Script) -> set[str]:
    """Every name that the script and its parts use, bindings aside."""
    source = uncommented(script.source.decode())
    used = "\n".join(line for line in source.splitlines() if not re.match(r"local \w+ = (KEYS|ARGV)\[", line))
    return set(re.findall(r"[a-z_]\w*", re.sub(r"'[^']*'", "''", used)))


def title(script: scripts.Script) -> str:
    return f"{script.name}.flow" if script.is_flow else script.name


@pytest.fixture(params=scripts.scripts(), ids=title)
def script(request: pytest.FixtureRequest) -> scripts.Script:
    found: scripts.Script = request.param
    return found


def test_there_are_scripts() -> None:
    assert len(scripts.names()) >= 10


def test_the_plain_set_has_nothing_between_the_marks_and_the_flow_set_all_but_these() -> None:
    text = "one\n-- FLOW\ntwo\n  -- END\nthree\n"
    assert scripts.cut(text, flow=False) == "one\nthree\n"
    assert scripts.cut(text, flow=True) == "one\ntwo\nthree\n"


@pytest.mark.parametrize("text", ["-- END\n", "-- FLOW\n", "-- FLOW\n-- FLOW\n-- END\n"])
def test_marks_that_do_not_pair_are_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="a section of flow"):
        scripts.cut(text, flow=True)


def test_no_function_of_a_table_is_written_twice(script: scripts.Script) -> None:
    # The later one takes the place of the earlier one, whose callers do not notice.
    functions = re.findall(r"^function (\w+\.\w+)\(", script.source.decode(), re.MULTILINE)
    assert sorted(functions) == sorted(set(functions))


def test_every_declared_key_is_used_and_every_used_key_declared(script: scripts.Script) -> None:
    known = {*QUEUE_KEYS, "leased", *LEASE_KEYS, *EVENT_KEYS, *CONDITION_KEYS, *BARRIER_KEYS, *RATE_KEYS}
    assert set(script.keys) <= known
    assert set(script.keys) - words(script) == set(), "declared, never used"
    called = {word for _, word in CALL.findall(uncommented(script.source.decode()))}
    assert (called & known) - set(script.keys) == set(), "used, not declared"


def test_every_declared_argument_is_used(script: scripts.Script) -> None:
    declared = {*script.arguments, *([script.rest] if script.rest else [])}
    assert declared - words(script) == set()


def test_no_script_reaches_for_keys_or_arguments_behind_its_header(script: scripts.Script) -> None:
    body = scripts._SCRIPTS[script.name]
    assert not re.search(r"\b(KEYS|ARGV)\b", uncommented(body))


def test_every_header_tells_what_the_script_does_and_returns(script: scripts.Script) -> None:
    lines = scripts._SCRIPTS[script.name].splitlines()
    assert lines[0].startswith("#!lua")
    assert re.match(r"-- [A-Z].*", lines[1])
    assert any(line.startswith("-- RETURNS ") for line in lines)
    # What a key holds is described once, with all keys of a queue or a lease.
    assert not re.search(r"^--.*\b(LIST|HASH|ZSET)\b", "\n".join(lines), flags=re.MULTILINE)


def test_scripts_that_drain_run_when_memory_is_full(script: scripts.Script) -> None:
    flags = script.source.splitlines()[0]
    assert (b"allow-oom" in flags) == (script.name not in FILLS)


def test_time_is_the_server_s_and_read_once(script: scripts.Script) -> None:
    source = uncommented(script.source.decode())
    assert source.count("'TIME'") <= 1
    assert "os." not in source


def test_all_keys_of_a_queue_share_one_hash_tag() -> None:
    keys = [*queue_keys("jobs").values(), leased_key("jobs", "owner.1.10000")]
    assert all(key.startswith(b"{jobs}:") for key in keys)
    assert len(set(keys)) == len(keys)


def test_the_declared_types_are_the_types_that_the_server_holds(script: scripts.Script) -> None:
    """The first command on each key decides its type: it must be one of the declared type's own."""
    own = {"LIST": "LR", "HASH": "H", "ZSET": "Z"}
    anywhere = {
        "DEL",
        "RENAME",
        "UNLINK",
        "TYPE",
        "EXISTS",
        "LLEN",
        "LTRIM",
        "LREM",
        "LINDEX",
        "PEXPIRE",
        "PERSIST",
        "PTTL",
    }
    kinds = {word: key.kind for word, key in described(script).items()}
    for command, word in CALL.findall(uncommented(script.source.decode())):
        if word in kinds and command not in anywhere:
            assert command[0] in own[kinds[word]], (command, word)


@pytest.mark.parametrize("name", ["register", "settle_with_effects"])
def test_what_a_script_checks_of_its_keys_are_their_types(name: str) -> None:
    """Two scripts look at the types before they change anything: they must look at the described ones."""
    script = scripts.load(name)
    tables = re.findall(r"^ *local kinds = \{\n(.*?)^ *\}$", script.source.decode(), flags=re.MULTILINE | re.DOTALL)
    checked = {
        word: kind.upper()
        for kind, words in re.findall(r"(\w+) = \{([^}]*)\}", tables[0])
        for word in re.findall(r"\w+", words)
    }
    kinds = {word: key.kind for word, key in described(script).items()}
    expected = kinds if name == "register" else dict(list(kinds.items())[:14])
    assert checked == expected


def test_the_server_takes_every_script(script: scripts.Script, url: str) -> None:
    with redis.Redis.from_url(url) as client:
        assert client.script_load(script.source) == script.sha.decode()
