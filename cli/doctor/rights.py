"""Rights: which roles this user of the server may work as. The server is asked, and nothing is done."""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from redis.exceptions import NoPermissionError, NoScriptError, ResponseError

from cli.doctor.finding import Finding, error, unchecked
from cli.doctor.patient import Patient
from cli.roles import ROLES, Role
from shared.concurrency.queues.membership.keys import queue_keys
from shared.concurrency.session.server_errors import lacks

ABOUT: Final = "rights"
_CHANNEL: Final = "weir:doctor"
_OF_CHANNELS: Final = ("publish", "subscribe")
_SHOWN: Final = 10
_OPTIONAL: Final = {"client|setname", "cluster|slots", "command", "dbsize", "info", "select", "wait"}
"""What is done without where it is missing, or needed on a Cluster or for replicas alone."""

# ARGV: for each question the number of its words, and the words of a command. RETURNS which of them this user may not
# send; the scripts run as the same user.
_PROBE: Final = b"""#!lua flags=no-writes
local refused, at, question = {}, 1, 1
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  local known, may = pcall(redis.acl_check_cmd, unpack(ARGV, at + 1, at + count))
  if not (known and may) then refused[#refused + 1] = question end
  at, question = at + count + 1, question + 1
end
return refused
"""
_SHA: Final = hashlib.sha1(_PROBE, usedforsecurity=False).hexdigest()


async def rights(patient: Patient, chosen: str | None, queue: str) -> list[Finding]:
    """What this user lacks to work as the role that was chosen, or as any where none was."""
    lacking: dict[str, list[tuple[str, ...]]] = {}
    for role in [ROLES[chosen]] if chosen else ROLES.values():
        questions = _questions(role, queue)
        refused = await _refused(patient, questions)
        if isinstance(refused, ResponseError):
            return [_unable(refused)]
        lacking[role.name] = [questions[number - 1] for number in refused]
    nearest = min(lacking, key=lambda name: len(lacking[name]))
    return list(_lacks(nearest, lacking[nearest]))


def _lacks(role: str, refused: list[tuple[str, ...]]) -> Iterator[Finding]:
    channels = [question[0] for question in refused if question[0] in _OF_CHANNELS]
    others = [" ".join(question[:2]) for question in refused if question[0] not in _OF_CHANNELS]
    fix = f"`./run pipeline acl --role {role} --no-password` prints what it needs"
    if channels:
        yield error(
            "channels", f"this user may not work as a {role}: it may not {' and '.join(channels)} on weir:*", f"&weir:*; {fix}"
        )  # fmt: skip
    if others:
        shown = ", ".join(others[:_SHOWN]) + (", ..." if len(others) > _SHOWN else "")
        yield error(ABOUT, f"this user may not work as a {role}: it lacks {len(others)} rights: {shown}", fix)


def _questions(role: Role, queue: str) -> list[tuple[str, ...]]:
    """Each command of a role, on a key of the queue where it takes one."""
    key = queue_keys(queue)["settings"].decode()
    found: list[tuple[str, ...]] = []
    for command in sorted(role.commands - _OPTIONAL):
        first, _, second = command.partition("|")
        if second:
            found.append((first, second, "x"))
        elif first in _OF_CHANNELS:
            found.append((first, _CHANNEL, *(["x"] if first == "publish" else [])))
        elif first.startswith("evalsha"):
            found.append((first, _SHA, "1", key))
        else:
            found.append((first, key, key, key))
    return found


async def _refused(patient: Patient, questions: list[tuple[str, ...]]) -> list[int] | ResponseError:
    words: list[Any] = [word for question in questions for word in (len(question), *question)]
    (answer,) = await patient.link.commands([("EVALSHA_RO", _SHA, 0, *words)])
    if isinstance(answer, NoScriptError):
        loaded, answer = await patient.link.commands([("SCRIPT", "LOAD", _PROBE), ("EVALSHA_RO", _SHA, 0, *words)])
        if isinstance(loaded, ResponseError):
            return loaded
    if isinstance(answer, ResponseError):
        return answer
    return [int(number) for number in answer]


def _unable(problem: ResponseError) -> Finding:
    text = str(problem)
    if isinstance(problem, NoPermissionError) or lacks(problem) is not None:
        return error(
            ABOUT, f"the server runs no script for this user: {text}",
            "allow EVALSHA, EVALSHA_RO and SCRIPT LOAD; `./run pipeline acl` prints what each role needs",
        )  # fmt: skip
    return unchecked(ABOUT, f"the rights of this user could not be asked for: {text}", "see docs/servers.md")
