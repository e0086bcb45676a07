"""The environment of a service: the settings that any pipeline needs, and how settings are read from variables."""

import difflib
import os
import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from shared.concurrency.session.address.grammar import ESCAPES, FORMS, is_listed, read_listed
from shared.local.address import read_address
from shared.queue_settings import MOST_AT_ONCE, queue_name, served_queues
from shared.service_links import WithoutServiceLinks, service_links

_PREFIX = "PIPELINE_"
_EXAMPLE = "redis://:password@host:6379/0"


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


def _address(secret: SecretStr) -> SecretStr:
    """Refuse what is no address of a server. The error never repeats it: it may hold a password."""
    address = secret.get_secret_value().strip()
    if is_listed(address):
        read_listed(address)
        return SecretStr(address)
    if not _readable(address):
        raise ValueError(f"is no address like {_EXAMPLE} ({ESCAPES})")
    parts = urlsplit(address)
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError(
            f"must begin with redis://, rediss:// or unix://, for example {_EXAMPLE}, or list sentinels or "
            f"nodes of a Cluster: {FORMS['sentinel']}, {FORMS['cluster']}"
        )
    if parts.scheme == "unix" and parts.path in {"", "/"}:
        raise ValueError("must name a socket, for example unix:///run/redis.sock")
    if parts.scheme != "unix" and not re.fullmatch(r"(/\d*)?", parts.path):
        raise ValueError(f"must end in the number of a database, for example {_EXAMPLE}")
    return SecretStr(address)


def _readable(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.port != 0 and not parts.fragment and parts.netloc.count("@") < 2
    except ValueError:
        return False


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
        env_prefix=_PREFIX,
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    redis_url: Annotated[Annotated[SecretStr, AfterValidator(_address)] | None, BeforeValidator(not_empty)] = Field(
        None, validation_alias="REDIS_URL"
    )
    """The server; without it the address that `./run server` left."""

    clock_url: Annotated[Annotated[SecretStr, AfterValidator(_address)] | None, BeforeValidator(not_empty)] = None
    """The clock's own server; without it that of the queue."""

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

    @classmethod
    def load(cls) -> Self:
        """Read the settings from the variables of this process.

        :raises SettingsError: when something is wrong: one line for each problem, all at once.
        """
        problems = _unknown_variables(cls)
        try:
            settings = cls()
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


def variable_of(field: str) -> str:
    """The environment variable that a field is read from."""
    return "REDIS_URL" if field.lower() == "redis_url" else _PREFIX + field.upper()


def _variable(location: tuple[int | str, ...]) -> str:
    """The variable of a field, as the beginning of a message; nothing for a problem of several fields."""
    return f"{variable_of(str(location[0]))}: " if location else ""


def _unknown_variables(kind: type[Environment]) -> list[str]:
    """A line for every PIPELINE_ variable that no field reads, with a known one that is like it, if there is one."""
    known = [field.upper() for field in kind.model_fields]
    problems = []
    for variable in sorted(os.environ.keys() - service_links(os.environ)):
        name = variable.upper().removeprefix(_PREFIX)
        if not variable.upper().startswith(_PREFIX) or (name in known and name != "REDIS_URL"):
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.65)
        advice = (
            f"did you mean {variable_of(near[0])}?"
            if near
            else "docs/settings.md lists them, and so does ./run consumer --help"
        )
        problems.append(f"{variable}: no such setting; {advice}")
    return problems
