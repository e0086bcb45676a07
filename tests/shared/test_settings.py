import os
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from shared.environment import Environment, SettingsError, resolve_clock_url, resolve_redis_url
from shared.password_file import clock_password_of, password_of
from shared.queue_settings import concurrency_of

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without settings of ours."""
    for variable in os.environ:
        if variable.upper().startswith(("PIPELINE_", "REDIS_URL")):
            monkeypatch.delenv(variable)
    return monkeypatch


def problems(environment: pytest.MonkeyPatch, **variables: str) -> list[str]:
    for variable, value in variables.items():
        environment.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        Environment.load()
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    return str(caught.value).splitlines()


def test_without_variables_there_are_defaults() -> None:
    settings = Environment.load()
    assert (settings.queue, settings.maxsize, settings.redis_url) == ("jobs", None, None)
    assert settings == Environment()


def test_variables_are_read_by_name(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PIPELINE_QUEUE", "words")
    environment.setenv("PIPELINE_MAXSIZE", "none")
    environment.setenv("PIPELINE_SESSION_TTL", "2.5")
    environment.setenv("PIPELINE_RATE", "0.5")
    environment.setenv("PIPELINE_LOG_LEVEL", "WARNING")
    environment.setenv("pipeline_concurrency", "3")
    settings = Environment.load()
    assert (settings.queue, settings.maxsize, settings.session_ttl) == ("words", None, 2.5)
    assert (settings.rate, settings.log_level, settings.concurrency) == (0.5, "warning", 3)


def test_queues_have_a_number_or_the_usual_one(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PIPELINE_QUEUES", " mail:20, shop/orders ,render:1")
    queues = Environment.load().queues
    assert queues == "mail:20,shop/orders,render:1"
    assert concurrency_of(queues, 10) == {"mail": 20, "shop/orders": 10, "render": 1}


class Mine(Environment):
    """An application's own."""

    pictures: int = 3


def test_a_field_of_a_subclass_is_a_variable(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PIPELINE_PICTURES", "7")
    environment.setenv("PIPELINE_QUEUE", "words")
    assert (Mine.load().pictures, Mine.load().queue) == (7, "words")
    # Only the class that has it knows it.
    assert problems(environment, PIPELINE_PICTURE="7")[0].startswith("PIPELINE_PICTURE: no such setting")
    with pytest.raises(SettingsError, match="did you mean PIPELINE_PICTURES"):
        Mine.load()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Environment().queue = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    "variable,meant",
    [
        ("PIPELINE_MAX_SIZE", "PIPELINE_MAXSIZE"),
        ("PIPELINE_LOGLEVEL", "PIPELINE_LOG_LEVEL"),
        ("PIPELINE_REDIS_URL", "REDIS_URL"),
        ("pipeline_queu", "PIPELINE_QUEUE"),
    ],
)
def test_an_unknown_variable_is_an_error_that_names_the_nearest(
    environment: pytest.MonkeyPatch, variable: str, meant: str
) -> None:
    (line,) = problems(environment, **{variable: "redis://localhost"})
    assert line == f"{variable}: no such setting; did you mean {meant}?"


@pytest.mark.parametrize("variable", ["PIPELINE_X", "PIPELINE_WORKERS_WANTED", "PIPELINE_VERBOSE", "PIPELINE_THREADS"])
def test_an_unknown_variable_that_is_like_none_is_not_said_to_mean_one(
    environment: pytest.MonkeyPatch, variable: str
) -> None:
    (line,) = problems(environment, **{variable: "1"})
    assert line == f"{variable}: no such setting; docs/settings.md lists them, and so does ./run consumer --help"


def test_every_problem_has_its_line(environment: pytest.MonkeyPatch) -> None:
    lines = problems(environment, PIPELINE_QUEU="a", PIPELINE_MAXSIZE="many", PIPELINE_GRACE="-1", REDIS_URL="nowhere")
    assert sorted(line.partition(":")[0] for line in lines) == [
        "PIPELINE_GRACE", "PIPELINE_MAXSIZE", "PIPELINE_QUEU", "REDIS_URL",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "variable,value",
    [
        ("PIPELINE_QUEUE", "{jobs}"),
        ("PIPELINE_QUEUE", "j" * 65),
        ("PIPELINE_QUEUE", ""),
        ("PIPELINE_MAXSIZE", "-1"),
        ("PIPELINE_MAXSIZE", "10000001"),
        ("PIPELINE_MAXSIZE", "1.5"),
        ("PIPELINE_MAXSIZE", ""),
        ("PIPELINE_MAX_ATTEMPTS", "0"),
        ("PIPELINE_MAX_ATTEMPTS", "1000"),  # an entry counts with three digits
        ("PIPELINE_MAX_DEAD", "0"),
        ("PIPELINE_DEAD_FOR", "0"),
        ("PIPELINE_MAX_MESSAGE_BYTES", "0"),
        ("PIPELINE_MAX_MESSAGE_BYTES", "16777217"),
        ("PIPELINE_KNOWN_FOR", "0"),
        ("PIPELINE_SESSION_TTL", "0.09"),
        ("PIPELINE_SESSION_TTL", "3601"),
        ("PIPELINE_SESSION_TTL", "nan"),
        ("PIPELINE_CONCURRENCY", "0"),
        ("PIPELINE_CONCURRENCY", "1001"),
        ("PIPELINE_CONCURRENCY", "true"),
        ("PIPELINE_PROCESSES", "0"),
        ("PIPELINE_QUEUE", "a/b/c"),
        ("PIPELINE_QUEUES", ""),
        ("PIPELINE_QUEUES", "mail:0"),
        ("PIPELINE_QUEUES", "mail:1001"),
        ("PIPELINE_QUEUES", "mail:x"),
        ("PIPELINE_QUEUES", "mail:"),
        ("PIPELINE_QUEUES", "mail,,render"),
        ("PIPELINE_QUEUES", "mail:1,mail:2"),
        ("PIPELINE_HANDLER_TIMEOUT", "0"),
        ("PIPELINE_GRACE", "inf"),
        ("PIPELINE_RATE", "-0.5"),
        ("PIPELINE_LOG_LEVEL", "loud"),
        ("PIPELINE_LOG_FORMAT", "xml"),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_variable(
    environment: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    (line,) = problems(environment, **{variable: value})
    assert line.startswith(variable)


@pytest.mark.parametrize(
    "address",
    [
        "",
        " ",
        f"http://{SECRET}",
        f"{SECRET}@localhost:6379",
        f"redis://:{SECRET}@localhost:port/0",
        f"redis://:a/{SECRET}@localhost:6379/0",
        f"redis://:a#{SECRET}@localhost:6379/0",
        f"redis://:a@{SECRET}@localhost:6379/0",
        f"redis://:{SECRET}@localhost:99999/0",
        f"redis://:{SECRET}@[localhost/0",
        f"redis://:{SECRET}@localhost/zero",
        f"redis://:{SECRET}@localhost/0/1",
        "unix://",
        f"redis+sentinel://:{SECRET}@one,two",
        f"redis+sentinel://:{SECRET}@one:port,two/main",
    ],
)
def test_a_bad_address_is_one_line_without_the_address(environment: pytest.MonkeyPatch, address: str) -> None:
    (line, other) = sorted(problems(environment, REDIS_URL=address, PIPELINE_CLOCK_URL=address), reverse=True)
    assert line.startswith("REDIS_URL: ")
    assert other.startswith("PIPELINE_CLOCK_URL: ")
    assert SECRET not in line + other


@pytest.mark.parametrize(
    "address",
    [
        "redis://localhost",
        "redis://user:p%40ss@localhost:6379/3",
        "rediss://[::1]:6380/0",
        "unix:///run/redis.sock?db=2",
        "redis+sentinel://user:p%40ss@one,two:26380/main/1?sentinel_password=x",
    ],
)
def test_a_good_address_is_kept_as_it_is(environment: pytest.MonkeyPatch, address: str) -> None:
    environment.setenv("REDIS_URL", f"{address}\n")
    assert resolve_redis_url(Environment.load()) == resolve_clock_url(Environment.load()) == address
    environment.setenv("PIPELINE_CLOCK_URL", "redis://other:1/2")
    assert resolve_redis_url(Environment.load()) == address
    assert resolve_clock_url(Environment.load()) == "redis://other:1/2"


def test_no_text_of_the_settings_holds_the_address(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("REDIS_URL", f"redis://:{SECRET}@localhost:6379/0")
    environment.setenv("PIPELINE_CLOCK_URL", f"redis://:{SECRET}@localhost:6379/1")
    settings = Environment.load()
    assert not any(SECRET in text for text in (repr(settings), str(settings), settings.model_dump_json()))
    with pytest.raises(ValidationError) as caught:
        Environment(redis_url=f"http://{SECRET}", maxsize=SECRET)  # type: ignore[arg-type]
    assert SECRET not in str(caught.value) + repr(caught.value)


def test_without_an_address_and_a_server_there_is_advice(environment: pytest.MonkeyPatch) -> None:
    environment.setattr("shared.environment.read_address", lambda: None)
    with pytest.raises(SettingsError, match=r"set REDIS_URL, or start one with \./run server"):
        resolve_redis_url(Environment())


def test_without_an_address_the_one_of_run_server_is_taken(environment: pytest.MonkeyPatch) -> None:
    environment.setattr("shared.environment.read_address", lambda: "unix:///tmp/server.sock?db=0")
    assert resolve_redis_url(Environment()) == "unix:///tmp/server.sock?db=0"


class Shop(Mine):
    """With a secret of its own."""

    shop_token: SecretStr | None = None


def written(folder: Path, text: str) -> str:
    path = folder / f"secret-{len(list(folder.iterdir()))}"
    path.write_text(text)
    return str(path)


def test_a_secret_may_stand_in_a_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("REDIS_URL_FILE", written(tmp_path, f"redis://:{SECRET}@host:1/0\n"))
    environment.setenv("pipeline_shop_token_file", written(tmp_path, " a b\r\n"))
    environment.setenv("PIPELINE_MONITOR_PASSWORD_FILE", "")  # as Compose gives what is not set
    settings = Shop.load()
    assert settings.shop_token is not None
    assert settings.shop_token.get_secret_value() == " a b"
    assert resolve_redis_url(settings) == f"redis://:{SECRET}@host:1/0"
    assert settings.monitor_password is None
    assert SECRET not in repr(settings)


def test_what_is_wrong_with_a_secret_in_a_file_is_one_line_without_it(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("PIPELINE_MONITOR_PASSWORD", SECRET * 2)
    lines = problems(
        environment,
        REDIS_URL_FILE=written(tmp_path, f"redis://:a/{SECRET}@host:1/0"),
        PIPELINE_CLOCK_URL_FILE=str(tmp_path / SECRET[:3] / "missing"),
        PIPELINE_MONITOR_PASSWORD_FILE=written(tmp_path, SECRET),
        PIPELINE_PASSWORD_FILE=written(tmp_path, "\n"),
        PIPELINE_SHOP_TOKEN_FILE="unknown",
        PIPELINE_QUEUE_FILE="no secret",
    )
    assert sorted(line.partition(":")[0] for line in lines) == [
        "PIPELINE_CLOCK_URL_FILE", "PIPELINE_MONITOR_PASSWORD_FILE", "PIPELINE_PASSWORD_FILE", "PIPELINE_QUEUE_FILE",
        "PIPELINE_SHOP_TOKEN_FILE", "REDIS_URL",
    ]  # fmt: skip
    assert SECRET not in "".join(lines)
    assert "PIPELINE_PASSWORD_FILE: is empty" in lines
    assert "PIPELINE_CLOCK_URL_FILE: cannot be read: No such file or directory" in lines
    assert "PIPELINE_MONITOR_PASSWORD_FILE: PIPELINE_MONITOR_PASSWORD is set, too: leave one of them out" in lines


def test_two_passwords_for_a_server_are_one_too_many(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = written(tmp_path, "word")
    (line,) = problems(environment, REDIS_URL=f"redis://:{SECRET}@host", PIPELINE_PASSWORD_FILE=path)
    assert line == "PIPELINE_PASSWORD_FILE: REDIS_URL has a password, too: leave one of them out"
    (line,) = problems(environment, REDIS_URL="redis://weir@host", PIPELINE_CLOCK_PASSWORD_FILE=path)
    assert line.startswith("PIPELINE_CLOCK_PASSWORD_FILE: is for a server of the clock's own")


def test_the_clock_has_the_password_of_its_server(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("REDIS_URL", "redis://host")
    environment.setenv("PIPELINE_PASSWORD_FILE", written(tmp_path, "ours"))

    def passwords() -> list[str | None]:
        settings = Environment.load()
        return [None if found is None else found() for found in (password_of(settings), clock_password_of(settings))]

    assert passwords() == ["ours", "ours"]
    environment.setenv("PIPELINE_CLOCK_URL", "redis://other")
    assert passwords() == ["ours", None]
    environment.setenv("PIPELINE_CLOCK_PASSWORD_FILE", written(tmp_path, "the clock's"))
    assert passwords() == ["ours", "the clock's"]
    environment.setenv("PIPELINE_CLOCK_URL", "redis://host")
    environment.delenv("PIPELINE_CLOCK_PASSWORD_FILE")
    assert passwords() == ["ours", "ours"]
