"""The environment of a service: the settings that any pipeline needs, and how settings are read from variables."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from shared.local.address import read_address
from shared.queue_settings import MOST_AT_ONCE, queue_name, served_queues
from shared.secret_files import read_secret
from shared.server_address import has_password, server_address
from shared.service_links import WithoutServiceLinks
from shared.variables import PREFIX, secrets_in_files, unknown_variables, variable_of


class SettingsError(Exception):
    """What is wrong with the environment: one line for each problem, which names the variable and never its value."""


def not_empty(value: Any) -> Any:
    """The value of a variable that may be left out.

    :raises ValueError: when it is empty.
    """
    if not str(value).strip():
        raise ValueError("must not be empty: set it, or leave it out")
    return value


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _none_from_text(value: Any) -> Any:
    return None if _lower(value) == "none" else value


def _none_from_nothing(value: Any) -> Any:
    return None if value == "" else value


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret) < 8:
        raise ValueError("a password has 8 characters at least")
    return secret


def _with_password(path: Path) -> Path:
    read_secret(path)
    return path


def _modules(value: str) -> str:
    names = [name.strip() for name in value.split(",")]
    if not all(all(part.isidentifier() for part in name.split(".")) for name in names):
        raise ValueError(
            "must be the names of modules with commas between them, for example shop.handlers,mail.handlers"
        )
    return ",".join(dict.fromkeys(names))


def plain_name(value: str) -> str:
    """A name that may stand in a key of the server.

    :raises ValueError: when it is none.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", value):
        raise ValueError("must be 1 to 64 of the characters A-Z a-z 0-9 _ . -")
    return value


Bound = Annotated[Annotated[int, Field(ge=0, le=10_000_000)] | None, BeforeValidator(_none_from_text)]
"""The type of `maxsize`, for an application whose queues have a bound from the beginning."""


class Environment(WithoutServiceLinks):
    """What any service can be set to: each field by the variable PIPELINE_<FIELD>, and `redis_url` by REDIS_URL.

    An application's own settings are a subclass, with one more field for each: `Settings` in shared/settings.py. The
    services call `Settings.load()`. `Settings(...)` itself raises pydantic's ValidationError, which holds no values.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        hide_input_in_errors=True,
        defer_build=True,  # by whoever loads it: of a class and those above it only one is used
        allow_inf_nan=False,
    )

    redis_url: Annotated[Annotated[SecretStr, AfterValidator(server_address)] | None, BeforeValidator(not_empty)] = (
        Field(None, validation_alias="REDIS_URL")
    )
    """The server; without it the address that `./run server` left."""

    clock_url: Annotated[Annotated[SecretStr, AfterValidator(server_address)] | None, BeforeValidator(not_empty)] = None
    """The clock's own server; without it that of the queue."""

    password_file: Annotated[
        Annotated[Path, AfterValidator(_with_password)] | None, BeforeValidator(_none_from_nothing)
    ] = None
    """The file with the server's password, read at every connect: it may be replaced while the service works."""

    clock_password_file: Annotated[
        Annotated[Path, AfterValidator(_with_password)] | None, BeforeValidator(_none_from_nothing)
    ] = None
    """That of the clock's own server."""

    queue: Annotated[str, AfterValidator(queue_name)] = "jobs"
    """The queue's name, or GROUP/NAME; all keys begin with it."""

    maxsize: Bound = None
    """Pending messages at most; 0 for no bound, none for what is stored with the queue."""

    max_attempts: int = Field(5, ge=1, le=999)
    """Failures until a message is a dead letter."""

    max_crashes: Annotated[Annotated[int, Field(ge=1, le=9)] | None, BeforeValidator(_none_from_text)] = 5
    """Deliveries that end with their process until a message is a dead letter; none for never."""

    max_dead: Annotated[Annotated[int, Field(ge=1, le=10_000_000)] | None, BeforeValidator(_none_from_text)] = None
    """Dead letters that are kept; the oldest are discarded. none for all."""

    dead_for: Annotated[Annotated[float, Field(ge=1, le=3660 * 86_400)] | None, BeforeValidator(_none_from_text)] = None
    """Seconds for which a dead letter is kept; none for ever."""

    max_message_bytes: int = Field(262_144, ge=1, le=1 << 24)
    """The largest encoded message, in bytes; 16 MiB at most."""

    known_for: float = Field(3600.0, ge=0.001, le=366 * 86_400)
    """Seconds for which the queue knows the id of a message."""

    unread_for: float = Field(3600.0, ge=0.001, le=366 * 86_400)
    """Seconds for which a message of a class or version that a consumer does not have goes back for others."""

    session_ttl: float = Field(10.0, ge=0.1, le=3600)
    """Seconds after which a silent process is over, and others take what it held."""

    refusal_grace: float = Field(30.0, ge=0, le=86_400)
    """Seconds for which a server that refuses what it accepted before is waited for."""

    replicas: int = Field(0, ge=0, le=100)
    """Replicas that must have what is put and settled before it is answered for; meanwhile all calls wait."""

    max_connections: int = Field(10, ge=4, le=10_000)
    """Connections of one service to one server at most, two of them the session's; more than that wait for one."""

    concurrency: int = Field(10, ge=1, le=MOST_AT_ONCE)
    """Deliveries of a queue that one consumer handles at once."""

    queues: Annotated[Annotated[str, AfterValidator(served_queues)] | None, BeforeValidator(not_empty)] = None
    """The queues that a consumer serves, each with its own number for that; without it all those of its handlers."""

    processes: Annotated[Annotated[int, Field(ge=1, le=1000)] | None, BeforeValidator(_none_from_text)] = None
    """Child processes that one consumer has at most, for handlers that run there; none for as many as it has cores."""

    process_idle: float = Field(60.0, ge=0.01, le=86_400)
    """Seconds after which such a process without work is ended."""

    handlers: Annotated[str, AfterValidator(_modules)] = "consumer.handlers"
    """The modules with the handlers of a consumer, with commas between them."""

    handler_timeout: float = Field(300.0, gt=0, le=86_400)
    """Seconds that a handler may take."""

    grace: float = Field(20.0, ge=0, le=3600)
    """Seconds that a drain may take."""

    rate: float = Field(0.0, ge=0)
    """Messages a second that one producer puts at most; 0 for as fast as it goes."""

    shares: int = Field(1, ge=1, le=1000)
    """Parts of the source: each is put by one producer at a time, which claims it."""

    source_run: Annotated[Annotated[str, AfterValidator(plain_name)] | None, BeforeValidator(not_empty)] = None
    """The name of a run of the source: what was finished under it is not put again, whenever a producer begins."""

    metrics_port: Annotated[Annotated[int, Field(ge=0, le=65_535)] | None, BeforeValidator(_none_from_text)] = None
    """Port of /metrics, /livez and /readyz; 0 for any that is free, which is logged; none for no such port."""

    monitor_host: str = Field("127.0.0.1", min_length=1)
    """The address at which the monitor serves its page; 0.0.0.0 for all of this host."""

    monitor_port: int = Field(8080, ge=0, le=65_535)
    """Its port; 0 for any that is free, which is logged."""

    monitor_names: str = ""
    """Names by which browsers call the monitor, with commas between; localhost and addresses are known without."""

    monitor_password: Annotated[
        Annotated[SecretStr, AfterValidator(_long_enough)] | None, BeforeValidator(_none_from_nothing)
    ] = None
    """Whoever knows it may pause, resize, replay and discard on the page; without it the page only reads."""

    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = "info"
    log_format: Annotated[Literal["auto", "json", "console"], BeforeValidator(_lower)] = "auto"
    """auto is console on a terminal and JSON lines elsewhere."""

    @model_validator(mode="after")
    def _check_passwords(self) -> Self:
        for url, file in (("redis_url", "password_file"), ("clock_url", "clock_password_file")):
            address: SecretStr | None = getattr(self, url)
            if getattr(self, file) is None:
                continue
            if address is not None and has_password(address):
                raise ValueError(f"{variable_of(file)}: {variable_of(url)} has a password, too: leave one of them out")
            if address is None and url == "clock_url":
                raise ValueError(f"{variable_of(file)}: is for a server of the clock's own, see {variable_of(url)}")
        return self

    @classmethod
    def load(cls) -> Self:
        """Read the settings from the variables of this process, and secrets from the files that variables name.

        :raises SettingsError: when something is wrong: one line for each problem, all at once.
        """
        given, unread = secrets_in_files(cls)
        problems = unknown_variables(cls) + unread
        try:
            settings = cls(**given)
        except ValidationError as error:
            problems += [
                f"{_variable(part['loc'])}{part['msg'].removeprefix('Value error, ')}"
                for part in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        else:
            if not problems:
                return settings
        # Outside the except block: pydantic's error, with its inputs, must not travel along.
        raise SettingsError("\n".join(problems))


def resolve_redis_url(settings: Environment) -> str:
    """The server's address: REDIS_URL, else what `./run server` left. Raises SettingsError when there is neither."""
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    if found := read_address():
        return found
    raise SettingsError("no server: set REDIS_URL, or start one with ./run server in another terminal")


def resolve_clock_url(settings: Environment) -> str:
    """The address of the clock's server: PIPELINE_CLOCK_URL, else as resolve_redis_url. Raises SettingsError."""
    return resolve_redis_url(settings) if settings.clock_url is None else settings.clock_url.get_secret_value()


def _variable(location: tuple[int | str, ...]) -> str:
    """The variable of a field, as the beginning of a message; nothing for a problem of several fields."""
    return f"{variable_of(str(location[0]))}: " if location else ""
