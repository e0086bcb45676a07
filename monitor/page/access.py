"""Access: who may do what changes something."""

import asyncio
import base64
import binascii
import hmac
from typing import Final

from starlette.requests import Request

AGAIN: Final = 1.0
"""Seconds until a wrong password is answered; the next attempt waits for it, whoever makes it."""


class AccessRefused(Exception):
    """A request may not act: the status, and why."""

    def __init__(self, status: int, text: str, by: str = "") -> None:
        """`status`: of HTTP. `by`: who it was, as the browser says."""
        super().__init__(text)
        self.status: Final = status
        self.by: Final = by


class Access:
    """Lets those act who know the password, from this page alone.

    The password travels with each action as HTTP's Basic authorization. No cookie keeps it, so that a browser never
    sends it by itself, and is not asked for by the browser, so that it does not keep it either.
    """

    def __init__(self, password: str) -> None:
        """`password`: without it nobody may act, and nothing of this is made."""
        self._password: Final = password.encode()
        self._trying: Final = asyncio.Lock()

    async def check(self, request: Request) -> str:
        """Return who acts, as the browser says; the empty name where it says none. Takes a second for a wrong password.

        :raises AccessRefused: with 403 for another page, 415 for another kind of body, 401 for a missing or wrong
            password.
        """
        origin, host = request.headers.get("origin", ""), request.headers.get("host", "")
        # Whether it speaks HTTPS to what stands before us is not known here; port and name are the same.
        if origin.lower() not in {f"http://{host}".lower(), f"https://{host}".lower()}:
            raise AccessRefused(403, "actions are taken from the monitor's own page: the header Origin says otherwise")
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise AccessRefused(415, "an action is JSON: Content-Type must be application/json")
        who, password = _credentials(request.headers.get("authorization", ""))
        if password is None:
            raise AccessRefused(401, "an action needs the password")
        async with self._trying:
            if hmac.compare_digest(password, self._password):
                return who
            await asyncio.sleep(AGAIN)
        raise AccessRefused(401, "the password is wrong", who)


def address_of(request: Request) -> str:
    """From where a request came."""
    return request.client.host if request.client else ""


def _credentials(header: str) -> tuple[str, bytes | None]:
    kind, _, coded = header.partition(" ")
    try:
        who, colon, password = base64.b64decode(coded, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return "", None
    if kind.lower() != "basic" or not colon:
        return "", None
    # It stands in the log, before anybody has shown a password.
    return "".join(each if each.isprintable() else "?" for each in who.decode(errors="replace")[:100]), password
