"""The options of an address, behind its `?`: which there are, and what each may be."""

import difflib
import math
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote

from shared.concurrency.session.address.text import unreadable

_YES: Final = ("1", "true", "t", "yes", "y", "on")
_NO: Final = ("0", "false", "f", "no", "n", "off")
_VERSIONS: Final = {"tlsv1.2": ssl.TLSVersion.TLSv1_2, "tlsv1.3": ssl.TLSVersion.TLSv1_3}
_REQUIRED: Final = ("required", "optional", "none")


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise ValueError("a whole number")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError("a number of seconds")
    return seconds


def _switch(text: str) -> bool:
    if text.lower() not in (*_YES, *_NO):
        raise ValueError("true or false")
    return text.lower() in _YES


def _protocol(text: str) -> int:
    if text not in ("2", "3"):
        raise ValueError("2 or 3")
    return int(text)


def _requirement(text: str) -> str:
    if text not in _REQUIRED:
        raise ValueError("required, optional or none")
    return text


def _version(text: str) -> ssl.TLSVersion:
    if text.lower() not in _VERSIONS:
        raise ValueError("TLSv1.2 or TLSv1.3")
    return _VERSIONS[text.lower()]


_ANYWHERE: Final[Mapping[str, Callable[[str], Any]]] = {
    "db": _whole, "username": str, "password": str, "client_name": str, "protocol": _protocol,
    "socket_timeout": _seconds, "socket_connect_timeout": _seconds, "socket_read_size": _whole,
    "health_check_interval": _whole, "retry_on_timeout": _switch,
    "max_connections": _whole,  # for the pools of others: ours have a setting
}  # fmt: skip
_NETWORK: Final[Mapping[str, Callable[[str], Any]]] = {"socket_keepalive": _switch}
_TLS: Final[Mapping[str, Callable[[str], Any]]] = {
    "ssl_ca_certs": str, "ssl_ca_data": str, "ssl_certfile": str, "ssl_keyfile": str, "ssl_ciphers": str,
    "ssl_cert_reqs": _requirement, "ssl_check_hostname": _switch, "ssl_min_version": _version,
}  # fmt: skip
OPTIONS: Final = {**_ANYWHERE, **_NETWORK, **_TLS}
"""Each option, and what reads its text."""
_UNUSED: Final = ("max_connections",)


def read_options(query: str, scheme: str) -> dict[str, Any]:
    """The options of an address, as redis-py wants them.

    :raises ValueError: when one is unknown, given twice, not for this scheme, or is not what it must be. It names known
        options only.
    """
    here = _ANYWHERE if scheme == "unix" else {**_ANYWHERE, **_NETWORK}
    if scheme.startswith("rediss"):
        here = OPTIONS
    options: dict[str, Any] = {}
    for item in query.split("&") if query else ():
        name, equals, text = item.partition("=")
        if not equals:
            unreadable()  # perhaps a raw ? has ended a password
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, n=1, cutoff=0.75)
            if near:  # so it is no part of a password
                raise ValueError(
                    f"the address has an option {name}, which redis-py does not know: did you mean {near[0]}?"
                )
            raise ValueError(f"the address has an option that redis-py does not know: there are {', '.join(here)}")
        if name not in here:
            raise ValueError(f"the address has the option {name}, which is for {_scheme_of(name)} only")
        if name in options:
            raise ValueError(f"the address has the option {name} twice")
        options[name] = _read(name, unquote(text))
    return {name: value for name, value in _completed(options).items() if name not in _UNUSED}


def _scheme_of(name: str) -> str:
    return "rediss://" if name in _TLS else "redis:// and rediss://"


def _read(name: str, text: str) -> Any:
    wanted = "not empty"
    if text:
        try:
            return OPTIONS[name](text)
        except ValueError as error:
            wanted = str(error)  # one of the words above
    raise ValueError(f"the option {name} of the address must be {wanted}")


def _completed(options: dict[str, Any]) -> dict[str, Any]:
    """Options that hang together."""
    if options.get("ssl_keyfile") and not options.get("ssl_certfile"):
        raise ValueError("the address has a ssl_keyfile without its ssl_certfile")
    if options.get("ssl_certfile"):
        # redis-py's asyncio leaves out a certificate whose key stands in the same file.
        options.setdefault("ssl_keyfile", options["ssl_certfile"])
    if options.get("ssl_cert_reqs") == "none" and options.setdefault("ssl_check_hostname", False):
        raise ValueError("the address checks the host name (ssl_check_hostname) of no certificate (ssl_cert_reqs)")
    return options
