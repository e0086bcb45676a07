"""Passwords in addresses: encoded, any is right; raw, no part of one stands in an error, wherever it is read."""

import re
import ssl
import traceback
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import quote

import pytest
import redis.asyncio
from arq import create_pool
from pydantic import SecretStr

from shared.clock.arq_settings import redis_settings
from shared.concurrency import Session
from shared.concurrency.session.address.address import FixedAddress, read_address
from shared.concurrency.session.address.connections import blocking_connection, connection
from shared.concurrency.session.address.query import OPTIONS
from shared.environment import SettingsError
from shared.local.embedded import EmbeddedServer
from shared.pipeline import open_pipeline
from shared.pool import counted_pool
from shared.settings import Settings
from tests.instruments.command_line import ROOT, command, environment
from tests.instruments.messages import Errand
from tests.instruments.waiting import until

FIRST, LAST = "Qzjkwv", "Xvbqkz"
RAW: Final = [
    f"{first}{mark}{last}"
    for mark in (
        ":", "@", "/", "#", "%", "?", "[", "]", " ", "\t", "\n", "\\", "\u2100", "\uff03", "&", "=", ";", "::", ":/", "/@",
        "?a=", "#@", "@:", ":@", "%4", "%zz", "?b@", "&c=d@",
    )
    for first, last in ((FIRST, LAST), ("86317", "95264"), (f"{FIRST}:", LAST))
]  # fmt: skip
"""Passwords as somebody may paste them."""
PARTS: Final = re.compile(f"{FIRST[:4]}|{LAST[:4]}|{LAST[2:]}|8631|9526|5264", re.IGNORECASE)
"""What none of their texts may hold."""
FORMS: Final = (
    "redis://:{}@host:6379/0", "redis://weir:{}@host:6379/0", "rediss://:{}@host", "unix://:{}@/run/redis.sock",
    "redis://{}@host:6379/0", "redis://host/{}", "redis://host/0?{}", "redis://host/0?password={}&x",
    "redis://host/0?db={}", "{}://host", "{}", "redis:{}", "redis://host:6379/0#{}", "unix:///run/x?{}=1",
)  # fmt: skip


def from_environment(address: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDIS_URL", address)
        patch.setenv("PIPELINE_CLOCK_URL", address)
        Settings.load()


DOORS: Final[dict[str, Callable[[str], object]]] = {
    "settings": from_environment,
    "address": read_address,
    "pool": lambda address: counted_pool(address, 1, 1.0),
    "clock": redis_settings,
}


def texts(error: BaseException) -> Iterator[str]:
    """All that anybody may log of an error, and of what it came from."""
    yield from traceback.format_exception(error)
    seen: BaseException | None = error
    while seen is not None:
        yield from (str(seen), repr(seen), repr(seen.args))
        seen = seen.__cause__ or seen.__context__


@pytest.mark.parametrize("door", DOORS)
def test_no_part_of_a_raw_password_is_in_what_is_raised_or_kept(door: str) -> None:
    refused, read = 0, 0
    # Of settings fewer: reading all of them takes a while.
    for address in [form.format(password) for form in FORMS for password in RAW][:: 5 if door == "settings" else 1]:
        try:
            made = DOORS[door](address)
        except (ValueError, SettingsError) as error:
            refused += 1
            for text in texts(error):
                assert not PARTS.search(text), (address, text)
        else:
            read += 1
            assert not PARTS.search(repr(made)), address
            assert not PARTS.search(getattr(made, "shown", "")), address
    assert refused > 150
    assert read > 15


of_the_demo = pytest.mark.skipif(
    not (ROOT / "cli" / "demo").exists(), reason="the demo is not in this project any more"
)


@pytest.mark.parametrize(
    "module,arguments",
    [
        ("cli", ("queue", "list")), pytest.param("cli.demo", (), marks=of_the_demo), ("monitor", ()), ("consumer", ()), ("producer", ()),
        ("producer.clock", ()),
    ],
)  # fmt: skip
@pytest.mark.parametrize("variable", ["REDIS_URL", "PIPELINE_CLOCK_URL"])
@pytest.mark.usefixtures("command_line")
def test_a_program_says_in_one_line_which_variable_and_how_to_write_it(
    module: str, arguments: tuple[str, ...], variable: str
) -> None:
    done = command(arguments, environment(**{variable: f"redis://:{FIRST}:/{LAST}@host:6379/0"}), module)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{variable}: " in line
    assert "a password's / : @ # ? %" in line
    assert not PARTS.search(line)


@pytest.mark.parametrize("option,said", [
    ("ssl_ca_cert=x", "did you mean ssl_ca_certs?"), ("socket_timeout=soon", "socket_timeout"),
    ("ssl_check_hostname=flase", "ssl_check_hostname"), ("ssl_min_version=1", "ssl_min_version"),
    ("ssl_cert_reqs=maybe", "ssl_cert_reqs"), ("protocol=4", "protocol"), ("db=one", "db"), ("db=1&db=2", "db twice"),
    ("ssl_keyfile=k", "ssl_certfile"), ("ssl_cert_reqs=none&ssl_check_hostname=true", "ssl_cert_reqs"), ("db=", "db"),
])  # fmt: skip
@pytest.mark.parametrize("door", DOORS)
def test_an_option_that_is_misspelt_or_not_what_it_must_be_is_refused_at_each_door(
    door: str, option: str, said: str
) -> None:
    with pytest.raises((ValueError, SettingsError), match=re.escape(said)):
        DOORS[door](f"rediss://host:6379/0?{option}")


def test_an_option_of_tls_without_tls_is_refused() -> None:
    for scheme, option in (("redis", "ssl_ca_certs=x"), ("unix", "ssl_ca_certs=x"), ("unix", "socket_keepalive=1")):
        with pytest.raises(ValueError, match="only"):
            read_address(f"{scheme}:///run/x?{option}" if scheme == "unix" else f"{scheme}://host?{option}")


def test_redis_py_knows_every_option() -> None:
    address = read_address("rediss://host")
    values = {"ssl_min_version": ssl.TLSVersion.TLSv1_2, "ssl_cert_reqs": "none"}
    for name in OPTIONS.keys() - {"max_connections"}:
        more = FixedAddress("", "tls", {name: values.get(name, 2), "ssl_check_hostname": False})
        connection(more)
        blocking_connection(more)
    blocking_connection(address)


async def user(server: EmbeddedServer, name: str, password: str) -> None:
    async with redis.asyncio.Redis.from_url(server.url) as client:
        rules = ("on", f">{password}", "~*", "&*", "+@all")
        await client.execute_command("ACL", "SETUSER", name, *rules)


@pytest.mark.filterwarnings("ignore:.*retry_on_timeout:DeprecationWarning")  # arq's, on redis-py 8
async def test_an_encoded_password_may_have_any_character(server: EmbeddedServer, name: str) -> None:
    password = "".join(map(chr, range(1, 127))) + "\x7f\u2100\uff03 päß%41"
    await user(server, "w/e:i@r", password)
    path, _, _ = server.url.removeprefix("unix://").partition("?")
    login = f"{quote('w/e:i@r', safe='')}:{quote(password, safe='')}"
    asked = f"username={quote('w/e:i@r', safe='')}&password={quote(password, safe='')}"
    for url in (f"unix://{login}@{path}", f"unix://{path}?{asked}"):
        settings = Settings(redis_url=SecretStr(url), queue=name, session_ttl=0.5)
        async with open_pipeline(settings) as pipeline:
            assert await pipeline.redis.execute_command("ACL", "WHOAMI") == b"w/e:i@r"  # type: ignore[no-untyped-call]
            await pipeline.queue.put(Errand(text="a"))
            # For calls, of the heartbeat, and this one.
            await until(pipeline.redis.client_list, lambda seen: [each["user"] for each in seen] == ["w/e:i@r"] * 3)
        clock = await create_pool(redis_settings(url))
        assert await clock.execute_command("ACL", "WHOAMI") == b"w/e:i@r"  # type: ignore[no-untyped-call]
        await clock.aclose(close_connection_pool=True)


async def test_a_colon_may_stand_in_a_password_as_it_is(server: EmbeddedServer) -> None:
    await user(server, "weir", "a:b:c")
    async with Session.open(server.url.replace("unix://", "unix://weir:a:b:c@")):
        pass
