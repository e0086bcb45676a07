"""How every connection to an address is made; the address's own options win."""

from typing import Any
from urllib.parse import urlsplit


def connect_options(url: str) -> dict[str, Any]:
    """Options for redis-py beside those of the address: the host name of a certificate is checked.

    redis-py 5 leaves that off. `?ssl_check_hostname=false` in the address turns it off again.
    """
    return {"ssl_check_hostname": True} if urlsplit(url).scheme == "rediss" else {}
