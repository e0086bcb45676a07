"""Where the processes of services on this machine can be asked. Imports the standard library alone."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

# The shortest limit of the systems that we know, as in shared/local/folder.py.
_LONGEST_SOCKET_PATH = 103
_LONGEST_NAME = len("producer-4194304.sock")


def folder() -> Path:
    """The folder of this user's sockets; in a container it is on the only file system that can be written."""
    name = f"weir-{os.getuid()}"
    # Not tempfile: it takes as long to import as all of this.
    usual = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108  # a folder of our own in it, see `made_folder`
    is_short = len(os.fsencode(usual)) + len(name) + _LONGEST_NAME + 2 <= _LONGEST_SOCKET_PATH
    return Path(usual if is_short else "/tmp") / name  # noqa: S108


def made_folder() -> Path:
    """Make the folder, unless it is there.

    :raises OSError: when it cannot be made, or somebody else may write in it: he could answer for us.
    """
    made = folder()
    made.mkdir(mode=0o700, exist_ok=True)
    found = made.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"{made} is not a folder of ours alone")
    return made


def socket_path(within: Path, service: str, pid: int) -> Path:
    """The socket at which a process answers."""
    return within / f"{service}-{pid}.sock"


def sockets(service: str) -> Iterator[tuple[int, Path]]:
    """The sockets of all processes of a service, with their process ids; some may be left from those that were killed.

    Nothing counts that somebody else may have put there.
    """
    try:
        found = sorted(made_folder().glob(f"{service}-*.sock"))
    except OSError:
        return
    for path in found:
        pid = path.stem.rpartition("-")[2]
        if pid.isdecimal():
            yield int(pid), path
