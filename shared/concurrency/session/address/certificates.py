"""Certificates: ours, read again when their files change, and why an encrypted connection is not made."""

import os
import ssl
from pathlib import Path
from typing import Any, Final

from redis.asyncio.connection import SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.concurrency.session.address.causes import causes

FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")

_OURS: Final = "CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "DECRYPT_ERROR"
"""What an alert names that is about our certificate."""
_METHODS: Final = "HANDSHAKE_FAILURE", "PROTOCOL_VERSION", "INSUFFICIENT_SECURITY"
_NO_TLS: Final = "WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"


class CertificateUnusable(RedisConnectionError):
    """A file of certificates that the address names cannot be used."""


class Certified(SSLConnection):
    """An encrypted connection that looks at the files of its certificates before it connects."""

    def __init__(self, **options: Any) -> None:
        """Take redis-py's options."""
        super().__init__(**options)
        self._files = {name: options[name] for name in FILES if options.get(name)}
        self._read: list[tuple[int, int, int]] = []

    async def _connect(self) -> None:
        self._load()
        await super()._connect()  # type: ignore[no-untyped-call]

    def _load(self) -> None:
        """Have the context hold what the files hold now: redis-py keeps what it has read first.

        :raises CertificateUnusable: when they cannot be used.
        """
        seen = [_version(name, path) for name, path in self._files.items()]
        if seen != self._read:
            self._read, self.ssl_context.context = seen, None
        try:
            self.ssl_context.get()
        except (OSError, ValueError) as error:
            self._read = []
            files = ", ".join(f"{name} ({path})" for name, path in self._files.items())
            raise CertificateUnusable(f"{files or 'the options of TLS'} cannot be used: {_words(error)}") from error


def tls_refusal(error: BaseException) -> str | None:
    """Why an encrypted connection is not made, and what to do; None where that is not certain, or not what failed."""
    for each in causes(error):
        if isinstance(each, CertificateUnusable):
            return str(each)
        if isinstance(each, ssl.SSLCertVerificationError):
            return (
                f"the certificate of the server is not accepted: {each.verify_message.rstrip('.')}. Is its authority named "
                "in the address (?ssl_ca_certs=FILE), is it still valid, and is it for the host of the address?"
            )
        if isinstance(each, ssl.SSLError) and (reason := _meaning(each)):
            return f"{reason} ({_words(each)})"
    return None


def _meaning(error: ssl.SSLError) -> str:
    reason = error.reason or ""
    if any(word in reason for word in _NO_TLS):
        return "the server does not speak TLS on this port: redis:// is without it"
    if "ALERT" not in reason:
        return ""
    if any(word in reason for word in _OURS):
        return (
            "the server does not accept our certificate, or wants one: name it in the address "
            "(?ssl_certfile=FILE&ssl_keyfile=FILE), signed by an authority that the server knows, and still valid"
        )
    if any(word in reason for word in _METHODS):
        return (
            "the server and this process find no way of encryption that both know: see ssl_min_version and ssl_ciphers"
        )
    return ""


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error)


def _version(name: str, path: str) -> tuple[int, int, int]:
    """What changes when a file is replaced.

    :raises CertificateUnusable: when there is none.
    """
    try:
        with Path(path).open("rb") as opened:
            found = os.fstat(opened.fileno())
    except (OSError, ValueError) as error:
        raise CertificateUnusable(f"{name} ({path}) cannot be read: {_words(error)}") from error
    return found.st_ino, found.st_size, found.st_mtime_ns
