"""What docs/messages-that-change.md says of each kind of change, with processes of the old and of the new code."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.instruments.editions import Deployment, edition
from tests.instruments.services import running, wait_for

pytestmark = [pytest.mark.usefixtures("command_line"), pytest.mark.slow, pytest.mark.timeout(150)]

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "messages-that-change.md"

FIRST: Final = """
class Charge(Message):
    number: int
    amount: int = 7


def sent(number: int) -> list[Message]:
    return [Charge(number=number)]
"""

# Each kind of change: the new code, and what the old code's messages are there.
CHANGES: Final[dict[str, tuple[str, dict[str, object]]]] = {
    "add a field with a default": (
        FIRST.replace("amount: int = 7", 'amount: int = 7\n    currency: str = "EUR"'),
        {"amount": 7, "currency": "EUR"},
    ),
    "remove a field": (
        """
class Charge(Message, version=2):
    number: int


@upgrades(Charge, from_version=1)
def without_amount(body: dict[str, Any]) -> dict[str, Any]:
    del body["amount"]
    return body


def sent(number: int) -> list[Message]:
    return [Charge(number=number)]
""",
        {},
    ),
    "rename a field": (
        """
class Charge(Message, version=2):
    number: int
    euros: int = 7


@upgrades(Charge, from_version=1)
def renamed(body: dict[str, Any]) -> dict[str, Any]:
    body["euros"] = body.pop("amount")
    return body


def sent(number: int) -> list[Message]:
    return [Charge(number=number)]
""",
        {"euros": 7},
    ),
    "change the type of a field": (
        """
class Charge(Message, version=2):
    number: int
    amount: str = "7.00"


@upgrades(Charge, from_version=1)
def as_text(body: dict[str, Any]) -> dict[str, Any]:
    return body | {"amount": f"{body['amount']}.00"}


def sent(number: int) -> list[Message]:
    return [Charge(number=number)]
""",
        {"amount": "7.00"},
    ),
    "rename a class": (
        FIRST.replace("Charge(Message)", 'Payment(Message, formerly=("Charge",))').replace("Charge(n", "Payment(n"),
        {"amount": 7},
    ),
    "add a class": (
        FIRST.replace(
            "def sent",
            "class Refund(Message):\n    number: int\n\n\ndef sent",
        ).replace("[Charge(number=number)]", "[Refund(number=number)]"),
        {"amount": 7},
    ),
}


@pytest.fixture
def deployment(url: str, name: str) -> Iterator[Deployment]:
    there = Deployment(url, name)
    yield there
    there.client.close()


@pytest.mark.parametrize("kind", CHANGES)
def test_old_and_new_processes_side_by_side(deployment: Deployment, tmp_path: Path, kind: str) -> None:
    classes, upgraded = CHANGES[kind]
    old, new = edition(tmp_path, "old", FIRST), edition(tmp_path, "new", classes)
    deployment.put(old, 5)  # the new code meets messages of the old one
    deployment.put(new, 5)
    with deployment.consumer(old) as before:
        if kind != "add a field with a default":
            wait_for(before, "goes back")  # the old code meets messages of the new one
        else:
            deployment.until_handled(10)
        deployment.put(old, 5)
        with deployment.consumer(new):
            before.terminate()
            assert before.wait(90) == 0
            deployment.put(old, 5)
            handled = deployment.until_handled(20)
    assert deployment.dead() == 0
    assert len(handled) == 20
    by_old = [each for each in handled if each[0] == "old"]
    assert by_old
    assert {(tp, version) for _, tp, version, _ in by_old} == {("Charge", 1)}
    if kind == "add a field with a default":
        # The new field is ignored where it is not known.
        assert all(fields.keys() == {"number", "amount"} for *_, fields in by_old)
    from_old = [fields for name, tp, _, fields in handled if name == "new" and tp != "Refund"]
    assert from_old
    assert all(fields == {"number": fields["number"], **upgraded} for fields in from_old)


@pytest.mark.parametrize("module", ["consumer", "producer"])
def test_a_version_that_nothing_upgrades_is_one_line_at_the_start(
    url: str, name: str, tmp_path: Path, module: str
) -> None:
    root = edition(tmp_path, "gap", FIRST.replace("(Message)", "(Message, version=2)"))
    with running(module, root, REDIS_URL=url, PIPELINE_QUEUE=name) as service:
        _, said = service.communicate(90)
    assert (service.returncode, said.splitlines()) == (
        2, [f"{module}: no function upgrades these messages: write @upgrades(Charge, from_version=1) beside the class"],
    )  # fmt: skip


def test_the_page_has_each_kind_of_change() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("| change |")[2].partition("\n\n")[0]
    kinds = re.findall(r"^\| ([a-z ]+) \|", table, re.MULTILINE)
    assert set(kinds) == set(CHANGES)


READ: Final = """
from shared.concurrency.queues.encoding.codec import Codec
from shared.upgrades import check_upgrades

check_upgrades()
for stored in (("Bill", b'{"amount": 7}', 1), ("Charge", b'{"cents": 700}', 2)):
    print(repr(Codec(Message, 1000).decode(*stored)))
"""


def test_the_example_of_the_page_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example + READ], cwd=PAGE.parent.parent, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["Charge(cents=700, currency='EUR')"] * 2


EDITIONS: Final = {
    "1": """
class Charge(Message):
    number: int
    amount: int = 7


def sent(number: int) -> list[Message]:
    return [Charge(number=number)]
""",
    "2 a field more": """
class Charge(Message):
    number: int
    amount: int = 7
    tip: int = 0


def sent(number: int) -> list[Message]:
    return [Charge(number=number, tip=1)]
""",
    "3 a field renamed": """
class Charge(Message, version=2):
    number: int
    cents: int = 700
    tip: int = 0


@upgrades(Charge, from_version=1)
def in_cents(body: dict[str, Any]) -> dict[str, Any]:
    body["cents"] = body.pop("amount") * 100
    return body


def sent(number: int) -> list[Message]:
    return [Charge(number=number)]
""",
}
EDITIONS["4 a field less"] = (
    EDITIONS["3 a field renamed"]
    .replace("version=2", "version=3")
    .replace("    tip: int = 0\n", "")
    .replace(
        "def sent",
        """@upgrades(Charge, from_version=2)
def without_tip(body: dict[str, Any]) -> dict[str, Any]:
    body.pop("tip", None)
    return body


def sent""",
    )
)
EDITIONS["5 the class renamed"] = (
    EDITIONS["4 a field less"]
    .replace("Charge(Message, version=3)", 'Payment(Message, version=3, formerly=("Charge",))')
    .replace("Charge,", "Payment,")
    .replace("Charge(n", "Payment(n")
    .replace('formerly=("Payment",)', 'formerly=("Charge",)')
)
EDITIONS["6 a class more"] = (
    EDITIONS["5 the class renamed"]
    .replace("def sent", "class Refund(Message):\n    number: int\n\n\ndef sent")
    .replace("[Payment(number=number)]", "[Payment(number=number), Refund(number=number)]")
)


def test_an_old_and_a_new_consumer_while_the_producer_changes_five_times(
    deployment: Deployment, tmp_path: Path
) -> None:
    roots = [edition(tmp_path, name, classes) for name, classes in EDITIONS.items()]
    with deployment.consumer(roots[0]) as old:
        for root in roots[:3]:
            deployment.put(root, 20)
        wait_for(old, "goes back")
        with deployment.consumer(roots[-1]):
            for root in roots[3:]:
                deployment.put(root, 20)
            handled = deployment.until_handled(140, seconds=100)
            assert old.poll() is None
    assert deployment.dead() == 0
    assert len(handled) == 140
    old_name, new_name = next(iter(EDITIONS)), list(EDITIONS)[-1]
    seen = {(name, tp, version) for name, tp, version, _ in handled}
    assert (old_name, "Charge", 1) in seen
    assert seen <= {(old_name, "Charge", 1), (new_name, "Payment", 3), (new_name, "Refund", 1)}
    numbers = [fields["number"] for _, tp, _, fields in handled if tp != "Refund"]
    assert sorted(numbers) == sorted([*range(20)] * 6)
    assert sorted(fields["number"] for _, tp, _, fields in handled if tp == "Refund") == list(range(20))
    assert all(fields["cents"] == 700 for _, tp, _, fields in handled if tp == "Payment")
