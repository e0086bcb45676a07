"""What a service imports until it works: what it does not need costs each of its starts, and each process memory."""

import subprocess
import sys

import pytest

from tests.instruments.command_line import ROOT, environment

# arq is for the clock, typer and rich are for the command line, the web server for the monitor and for metrics.
NEEDLESS = {
    "consumer": (
        "arq",
        "typer",
        "rich",
        "prometheus_client",
        "starlette",
        "uvicorn",
        "http.server",
        "consumer.testing",
    ),
    "producer": ("arq", "typer", "rich", "prometheus_client", "starlette", "uvicorn", "http.server"),
    "monitor": ("arq", "typer", "rich"),
}


@pytest.mark.parametrize("service", NEEDLESS)
def test_a_service_does_not_import_what_it_does_not_need(service: str) -> None:
    """Counted are all modules, whoever imported them."""
    code = f"import sys, {service}.__main__, {service}.service, shared.service; print(*sys.modules)"
    listed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    assert set(NEEDLESS[service]) & set(listed.stdout.split()) == set()


def test_whoever_uses_rich_beside_structlog_has_it() -> None:
    """Before and behind the logs."""
    for code in ("import shared.logs, rich.table", "import rich.table, shared.logs, structlog.dev as d; assert d.rich"):
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), check=True)
