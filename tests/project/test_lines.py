"""Every command line of the README and of docs/ is typed as it is written, and does what the page says.

What would take minutes is made short by an argument behind it; compose lines are typed by tests/demo/test_cluster.py.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from shared.local.parent_death import tied
from tests.instruments.lines import ROOT, compose_lines, lines
from tests.instruments.new_project import template

FEW_TESTS: Final = "tests/shared/test_address.py"

AT_ONCE: Final = {
    "./run example": (0, "semaphore"),
    "./run simulate --record --count 500 600": (2, "this is no git checkout"),
    "./run simulate --record --storm --count 500 600": (2, "this is no git checkout"),
    "./run pipeline": (2, "Usage: ./run pipeline "),
    "./run demo --help": (0, "--chaos"),
    "./run bench --help": (0, "--compare"),
    "./run python": (0, ""),
    "./run pipeline schema": (0, "asyncapi.json"),
    "./run pipeline scripts --into DIR": (0, "DIR/scripts.json"),
    "./run pipeline acl": (2, "Missing option '--role'"),
    "./run pipeline acl --role clock": (0, "ACL SETUSER weir-clock >"),
    "./run pipeline acl --role consumer": (0, "ACL SETUSER weir-consumer >"),
    "./run pipeline acl --role consumer --queue jobs --queue mail --key '{catalog}:*' --allow hgetall": (
        0,
        "~{catalog}:*",
    ),
    "./run pipeline acl --role monitor": (0, "%R~{*}:*"),
    "./run pipeline acl --role monitor --no-password --user dashboard": (0, "ACL SETUSER dashboard on "),
    "./run pipeline acl --role operator": (0, "ACL SETUSER weir-operator >"),
    "./run pipeline acl --role producer --queue jobs": (0, "~{jobs}:*"),
}
"""Line -> exit code, and what it says among other things."""

SLOWLY: Final = {
    "./run example semaphore": ("", "10 users were inside, at most 3 at once"),
    "./run example blocking": ("", "by 10 deliveries"),
    "./run example web": ("", "6 pictures accepted, 6 done"),
    "./run example stages": ("", "exact: True, dead letters: 0"),
    "./run example outside": ("", "the ledger holds 100"),
    "./run example fencing": ("", "check() raised LeaseLost"),
    "./run demo": ("", "exact: the counts equal"),
    "./run demo --watch": ("examples --glob '*/*.py'", "exact: the counts equal"),
    "./run demo --chaos": ("examples --glob '*/*.py'", "exact: the counts equal"),
    "./run test": (FEW_TESTS, " passed"),
    "./run test --all": (FEW_TESTS, " passed"),
    "./run test tests/queues/test_rules_of_putting.py": ("", " passed"),
    "./run check": ("", "passed"),
    "./run fuzz": ("--entries 200", "nothing found"),
    "./run simulate": ("1 --workload events", "all passed"),
    "./run simulate --workload queues --seed 5002": ("", "queues 5002: ok"),
    "./run simulate --workload queues --seed 5002 --storm --without kill --without cut --strikes 1-20 --messages 20 --actors 2": (
        "",
        "queues 5002: ok",
    ),
    "./run campaign leases": ("--seconds 2", " passed"),
    "./run campaign stages": ("--messages 200", " passed"),
    "./run campaign results": ("--messages 200", " passed"),
    "./run campaign order": ("--messages 400", " passed"),
    "./run campaign limits": ("--messages 300", " passed"),
    "./run campaign kills": ("--seconds 1", "0 lost, 0 from nowhere"),
    "./run campaign locks": ("--seconds 1", "0 findings"),
    "./run bench": ("one --rounds 1", "| "),
    "./run bench drain latency --rounds 3": ("--rounds 1", "| "),
    "./run bench-leases": ("--alone --rounds 1", "| "),
}
"""Line -> what is typed behind it so that it ends soon, and what it says among other things."""

TOGETHER: Final = [
    "./run server --port 6379", "./run server", "./run clock", "./run consumer", "./run producer", "./run monitor",
    "./run pipeline queue show", "./run pipeline dead list", "./run pipeline lease list", "./run pipeline status", "./run pipeline top",
    "./run pipeline doctor",
]  # fmt: skip
"""Those that a reader types in several terminals."""

ELSEWHERE: Final = {
    "./run bench --compare COMMIT drain latency": "test_a_commit_is_measured_beside_itself_and_leaves_the_checkout_alone",
    "arq producer.schedule.WorkerSettings": "test_arqs_own_command_runs_it",
    "./run completion SHELL": "test_a_shell_offers_it",
    "./run completion fish | source": "test_a_shell_offers_it",
    "./run new ../mail --name mail": "test_its_first_commit_is_the_template_whole_and_the_second_its_own",
    "./run new ../shop --name shop": "test_all_is_shipped_and_the_front_says_so",
    "./run pipeline queue limit partner-api --at-once 5 --rate 100/60 --burst 10": "test_limits_are_set_listed_and_lifted",
    "./run pipeline queue limits": "test_limits_are_set_listed_and_lifted",
    "./run pipeline queue shares": "test_shares_are_weighed_and_listed",
    "./run pipeline queue list": "test_all_is_shipped_and_the_front_says_so",
    "./run python -m uvicorn front:application --port 8000": "test_all_is_shipped_and_the_front_says_so",
    "./run test tests/test_orders.py": "test_the_commands_of_the_fifth_step_do_what_they_say",
    "./run new": "test_its_first_commit_is_the_template_whole_and_the_second_its_own",
    "./run new DIRECTORY --name NAME": "test_its_first_commit_is_the_template_whole_and_the_second_its_own",
    "./run mutants": "test_a_few_are_found_and_the_working_tree_stays_as_it_is",
    "./run mutants NAME": "test_a_few_are_found_and_the_working_tree_stays_as_it_is",
    "./run mutants bound-of-pending-alone": "test_a_few_are_found_and_the_working_tree_stays_as_it_is",
    "./run consumer --reload": "test_a_change_drains_the_service_and_starts_it_anew",
    "./run shell": "test_the_prompt_has_an_open_pipeline_and_awaits",
    # These download other environments first.
    "./run lock": "test_lock_files_hold_versions_and_hashes_and_nothing_else",
    "./run lock --pip": "test_lock_files_hold_versions_and_hashes_and_nothing_else",
    "./run test --redis-py 8": "test_only_redis_py_8_can_be_asked_for",
    "./run test --server redis8": "test_an_unknown_server_is_refused_with_the_list",
    "./run test --python 3.13": "test_a_python_that_is_not_there_is_refused",
    "./run nightly": "test_nightly_says_what_is_not_there_and_fails_where_nothing_ran",
    "./run nightly --all": "test_nightly_says_what_is_not_there_and_fails_where_nothing_ran",
    "./run bench replicas": "test_what_replicas_cost_is_measured",
    "./run campaign failover --seconds 300": "test_campaign",
    "./run campaign volatile": "test_a_campaign_finds_nothing_against_the_product",
    "./run campaign crashes-everysec": "test_a_campaign_finds_nothing_against_the_product",
    "./run campaign power-everysec": "test_a_campaign_finds_nothing_against_the_product",
    "./run campaign crashes": "test_a_campaign_finds_nothing_against_the_product",
    "./run campaign power": "test_a_campaign_finds_nothing_against_the_product",
    "./run campaign tails": "test_a_campaign_finds_nothing_against_the_product",
    "./run campaign disk": "test_a_campaign_finds_nothing_against_the_product",
    "./run campaign disk-everysec": "test_a_campaign_finds_nothing_against_the_product",
    "./run campaign steps": "test_a_campaign_finds_nothing_against_the_product",
    "./run campaign starved": "test_a_campaign_finds_nothing_against_the_product",
    "./run campaign locks-everysec": "test_a_lock_campaign_finds_nothing_against_the_product",
    "./run campaign locks-power": "test_a_lock_campaign_finds_nothing_against_the_product",
    "./run campaign locks-steps": "test_a_lock_campaign_finds_nothing_against_the_product",
    "./run campaign cluster-async": "test_a_cluster_campaign_finds_nothing_against_the_product",
    "./run campaign cluster-masters": "test_a_cluster_campaign_finds_nothing_against_the_product",
    "./run campaign cluster-moves": "test_a_cluster_campaign_finds_nothing_against_the_product",
    "./run campaign failover-async": "test_campaign",
    "./run campaign failover-safe": "test_campaign",
    "./run campaign turns": "test_nobody_comes_in_out_of_turn",
    "./run bench --peers ardiq,repid,huey --plots": "test_every_peer_has_an_adapter_and_a_lock",
    "./run bench submit --compare 8c8df408": "test_a_commit_is_measured_beside_itself_and_leaves_the_checkout_alone",
    "./run bench submit --peers all": "test_every_peer_but_repid_waits_for_results_and_its_worker_is_told_to_keep_them",
    "./run bench effects keyed ordered submit start": "test_effects_and_keys_are_measured_beside_the_plain_drain",
    "./run bench put_many inflight one latency submit effects keyed ordered --peers arq,taskiq": "test_effects_and_keys_are_measured_beside_the_plain_drain",
    "./run bench growth": "test_every_kind_of_growth_is_measured",
    "./run bench start --peers arq,taskiq --rounds 11": "test_a_service_is_started_and_its_libraries_alone",
    "./run bench quiet --peers all": "test_every_peer_with_priorities_can_be_asked_for_one",
    # Needs two images that are not ours.
    "docker compose --profile observability up": "test_the_profile_adds_prometheus_and_grafana_and_publishes_them_here_alone",
    # A question of arq's, about its own key.
    "arq --check": "test_arqs_own_command_runs_it",
}
"""Line -> the test that has it, or as much of it as can be had here."""

of_the_demo = pytest.mark.skipif(
    not (ROOT / "cli" / "demo").exists(), reason="the demo is not in this project any more"
)


def test_every_line_of_the_pages_is_typed_by_a_test_and_no_other() -> None:
    told = {*AT_ONCE, *SLOWLY, *TOGETHER, *ELSEWHERE, *compose_lines(), "docker compose up"}
    assert lines() - told == set()
    assert told - lines() == set()
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for test in ELSEWHERE.values():
        assert f"def {test}(" in sources, test


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as in a clone of its own, whose environment is prepared."""
    clone = template(tmp_path_factory.mktemp("clone") / "project")
    (clone / ".venv").symlink_to(sys.prefix)
    return clone


def settings() -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "REDIS_", "PYTEST_"))
    }
    return {**kept, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}


def typed(clone: Path, line: str, seconds: float = 50) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=clone, env=settings(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=seconds,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("line", [pytest.param(line, marks=of_the_demo if "demo" in line else ()) for line in AT_ONCE])
def test_a_line_does_what_it_says(clone: Path, line: str) -> None:
    code, says = AT_ONCE[line]
    schema = {path.name: path.read_bytes() for path in (clone / "docs" / "schema").iterdir()}
    done = typed(clone, line)
    assert (done.returncode, says in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if (ROOT / "cli" / "demo").exists():  # whose messages the committed schema is of
        assert schema == {path.name: path.read_bytes() for path in (clone / "docs" / "schema").iterdir()}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("line", [pytest.param(line, marks=of_the_demo if "demo" in line else ()) for line in SLOWLY])
def test_a_line_that_takes_its_time_does_what_it_says(clone: Path, line: str) -> None:
    behind, says = SLOWLY[line]
    done = typed(clone, f"{line} {behind}".strip(), seconds=590)
    assert (done.returncode, says in done.stdout) == (0, True), done.stdout[-4000:] + done.stderr[-4000:]
    assert "Traceback" not in done.stderr


@contextlib.contextmanager
def running(clone: Path, line: str, says: str) -> Iterator["subprocess.Popen[str]"]:
    """Type a line that stays, wait until it says this; Ctrl-C at the end, after which it ends with 0."""
    with subprocess.Popen(
        line.split(), cwd=clone, env=settings(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, preexec_fn=tied(),  # noqa: PLW1509
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            heard = []
            for said in process.stdout:
                heard.append(said)
                if says in said:
                    break
            assert heard
            assert says in heard[-1], "".join(heard)
            yield process
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=90)
            assert (process.returncode, "Traceback" in rest) == (0, False), rest
        finally:
            process.kill()


def is_free(port: int) -> bool:
    with socket.socket() as here:
        here.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            here.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@of_the_demo  # its producer and its handlers are those of the demo
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_lines_for_several_terminals_work_together(clone: Path) -> None:
    with contextlib.ExitStack() as terminals:
        server = "./run server --port 6379" if is_free(6379) else "./run server"
        terminals.enter_context(running(clone, server, "keeps its data in"))
        if server.endswith("6379"):
            assert not is_free(6379)
        terminals.enter_context(running(clone, "./run clock", "the clock runs"))
        terminals.enter_context(running(clone, "./run consumer", "consuming"))
        if is_free(8080):
            terminals.enter_context(running(clone, "./run monitor", "the page is served"))
        assert typed(clone, "./run producer", seconds=200).returncode == 0
        deadline = time.monotonic() + 60
        while not re.search(r"^pending: 0\n(.*\n)*leased: 0$", shown := show(clone), re.MULTILINE):
            assert time.monotonic() < deadline, shown
        assert "dead: 0" in shown
        assert re.search(r"^\w{12} +0 +[\d.]+ +consumer ", shown, re.MULTILINE), shown
        for line in ("./run pipeline status", "./run pipeline top --count 1"):
            done = typed(clone, line)
            assert (done.returncode, " consumer " in done.stdout or "consumer  queue" in done.stdout) == (0, True), done
        for line in ("./run pipeline dead list", "./run pipeline lease list"):
            done = typed(clone, line)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def show(clone: Path) -> str:
    done = typed(clone, "./run pipeline queue show")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
