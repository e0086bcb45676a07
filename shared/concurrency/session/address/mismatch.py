"""Mismatch: only one side encrypts. The server is silent then, or breaks off: it is asked in the other way."""

import asyncio
import contextlib
import ssl
from typing import Final

from redis.exceptions import RedisError

from shared.concurrency.errors import ConcurrencyError
from shared.concurrency.session.address.address import Address

_LONGEST_LINE: Final = 512


async def mismatch(address: Address, patience: float) -> str:
    """What is wrong where that is certain, else nothing: asked of the server itself, for so many seconds at most."""
    if address.kind == "socket":
        return ""
    with contextlib.suppress(OSError, EOFError, ValueError, ConcurrencyError, RedisError):  # then nothing is certain
        async with asyncio.timeout(patience):
            found = await address.locate()
            options = address.options
            host, port = found or (options.get("host", "localhost"), int(options.get("port", 6379)))
            if address.kind == "tls" and await _answers_plainly(host, port):
                return "the server does not speak TLS on this port: redis:// is without it"
            if address.kind == "tcp" and await _speaks_tls(host, port):
                return "the server speaks TLS on this port: rediss:// is with it"
    return ""


async def _answers_plainly(host: str, port: int) -> bool:
    reader, writer = await asyncio.open_connection(host, port, limit=_LONGEST_LINE)
    try:
        writer.write(b"PING\r\n")
        line = await reader.readline()
        return line.endswith(b"\r\n") and line[:1] in (b"+", b"-")
    finally:
        writer.transport.abort()


async def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent to it
    try:
        _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    writer.transport.abort()
    return True
