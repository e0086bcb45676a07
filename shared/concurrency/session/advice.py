"""What to look at when no server answers at an address."""

import re
from typing import Final

_ADVICE: Final = {
    r"credentials= (failed|has not answered)|password file": "is what gives the password there, and does it work?",
    r"CERTIFICATE_VERIFY_FAILED|certificate": "is its authority named in the address (?ssl_ca_certs=FILE), and the host as "
    "the certificate says?",
    r"\[SSL|SSL:|SSLError|record layer": "does the server speak TLS on this port? redis:// is without it",
    r"Error -\d+ connecting|not known|name resolution": "is the name of the host right?",
}
_CUT_OFF: Final = r"[Cc]onnection closed|Connection reset|Protocol error|IncompleteRead"


def advice(address: str, problem: str, *, is_silent: bool) -> str:
    """A question that leads on; `problem`: what the last attempt met, `is_silent`: whether it met nothing at all."""
    for pattern, question in _ADVICE.items():
        if re.search(pattern, problem):
            return question
    if address.startswith("rediss:") and is_silent:
        return "is the address right, does it run, and does it speak TLS on this port? redis:// is without it"
    if address.startswith("rediss:") and re.search(_CUT_OFF, problem):
        return "does the server want a certificate of ours? ?ssl_certfile=FILE&ssl_keyfile=FILE name it"
    if address.startswith("redis:") and re.search(_CUT_OFF, problem):
        return "is it Redis or Valkey, and does it want TLS? rediss:// is with it"
    return "is the address right, and does it run?"
