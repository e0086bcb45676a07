"""Who asks a clock that a machine can set: nobody but those listed here, each for a reason.

All others decide by the server's clock and by the time since the boot, on a machine whose clock is days off as on any.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent.parent
ROOMS: Final = ("shared", "producer", "consumer", "monitor", "cli")
ASKED: Final[dict[str, str]] = {
    "shared/concurrency/queues/membership/life.py": "a line of the log says until when deliveries stay leased",
    "shared/clock/deferred.py": "deferred messages are due by the clock of whoever schedules them: at= is a time of day",
    "producer/clock/cron.py": "cron jobs are due by the clock of the machine that runs the clock, as arq's are",
    "consumer/testing/fakes.py": "a fake pipeline of unit tests, where there is no server; for at= as deferred.py",
    "cli/doctor/patient.py": "compares the server's clock with the one here, and says by how much they differ",
}
"""File -> for what it asks."""

_OF_TIME: Final = {"time", "time_ns", "localtime", "gmtime", "ctime", "asctime", "strftime", "CLOCK_REALTIME"}
_OF_DATETIME: Final = {"now", "utcnow", "today"}


def asking(source: str) -> Iterator[str]:
    """What of a source asks such a clock: `time.time`, `datetime.now` and their like, imported by any name."""
    tree = ast.parse(source)
    modules, functions, classes = set[str](), set[str](), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {each.asname or each.name for each in node.names if each.name in {"time", "datetime"}}
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            functions |= {each.asname or each.name for each in node.names if each.name in _OF_TIME}
        elif isinstance(node, ast.ImportFrom) and node.module == "datetime":
            classes |= {each.asname or each.name for each in node.names if each.name in {"datetime", "date"}}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in functions:
            yield node.id
        if not isinstance(node, ast.Attribute):
            continue
        of = ast.unparse(node.value)
        is_class = of in classes or of.rpartition(".")[0] in modules
        if (of in modules and node.attr in _OF_TIME) or (is_class and node.attr in _OF_DATETIME):
            yield ast.unparse(node)


def test_nobody_asks_a_clock_that_a_machine_can_set_but_those_who_say_why() -> None:
    found = {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if any(asking(path.read_text(encoding="utf-8")))
    }
    assert found == set(ASKED)


@pytest.mark.parametrize(
    "source",
    [
        "import time\nprint(time.time())",
        "import time as t\nask = t.time_ns",
        "from time import time\nprint(time())",
        "from time import time as now\nprint(now())",
        "import time\ntime.clock_gettime(time.CLOCK_REALTIME)",
        "import datetime\ndatetime.datetime.now()",
        "import datetime as d\nd.date.today()",
        "from datetime import datetime as Moment\nMoment.now(None)",
        "from datetime import date\ndate.today()",
    ],
)
def test_each_way_to_ask_is_seen(source: str) -> None:
    assert list(asking(source))


def test_what_runs_on_is_none() -> None:
    source = "import time\nfrom time import monotonic\ntime.monotonic()\nmonotonic()\ncalls.now(call)\ntime.sleep(1)"
    assert list(asking(source)) == []
