"""A compose cluster of a test's own: its own project name, network and volumes, all removed at the end."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
_ENGINE = shutil.which("docker") or "docker"
# Each service by itself; those of a profile are not started here.
_SERVICES = re.split(
    r"^(?=  \w+:$)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8").partition("\nservices:\n")[2],
    flags=re.MULTILINE,
)  # fmt: skip
# `${REDIS_IMAGE:-redis:8}` stands for redis:8 here: what the caller has in the environment is kept from the cluster.
_IMAGES = [
    image
    for service in _SERVICES
    if "\n    profiles:" not in service
    for image in re.findall(r"^\s*image: (?:\$\{\w+:-)?([^\s${}]+:[^\s${}]+)\}?$", service, re.MULTILINE)
]
# What would change the cluster under test when the caller has it in the environment.
_SETTINGS = ("COMPOSE_", "PIPELINE_", "REDIS_")


def why_not() -> str | None:
    """The reason why no cluster can be started here, or None."""
    for question in (["info"], ["compose", "version"]):
        try:
            subprocess.run([_ENGINE, *question], check=True, capture_output=True, timeout=20)
        except (OSError, subprocess.SubprocessError) as error:
            return f"`docker {' '.join(question)}` does not answer ({type(error).__name__})"
    for image in _IMAGES:
        if not answers("image", "inspect", image) and not answers("pull", image, seconds=120):
            return f"the image {image} is not here and cannot be had"
    return None


def answers(*question: str, seconds: float = 20) -> bool:
    """Whether the engine's command line has an answer to this."""
    try:
        subprocess.run([_ENGINE, *question], check=True, capture_output=True, timeout=seconds)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


class Cluster:
    """Drives `docker compose` in the project's root, under a name of its own."""

    def __init__(self, project: str, **settings: str) -> None:
        """Prepare. `settings`: the variables that docker-compose.yml takes."""
        self.project = project
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
        self._environment = kept | settings

    def compose(self, *arguments: str, given: str | None = None) -> str:
        """Run one `docker compose` command and return what it printed; AssertionError with its output when it fails."""
        # Nobody's .env: the defaults of the file have to be enough.
        command = ["compose", "--project-name", self.project, "--env-file", os.devnull, *arguments]
        return self._docker(command, given)

    def up(self, consumers: int = 1) -> None:
        """Start what is not running, without building."""
        self.compose("up", "--detach", "--no-build", "--scale", f"consumer={consumers}")

    def kill(self, service: str) -> None:
        """End every container of a service with SIGKILL."""
        self.compose("kill", "--signal", "KILL", service)

    def down(self) -> dict[str, list[int]]:
        """Stop everything and remove it; the exit codes by service, as the engine saw them."""
        # The engine's own clock: it may run elsewhere.
        since = self._docker(["info", "--format", "{{.SystemTime}}"]).strip()
        self.compose("down", "--volumes", "--timeout", "30")
        until = self._docker(["info", "--format", "{{.SystemTime}}"]).strip()
        ended = self._docker([
            "events", "--since", since, "--until", until, "--filter", "event=die",
            "--filter", f"label=com.docker.compose.project={self.project}",
            "--format", '{{index .Actor.Attributes "com.docker.compose.service"}} {{.Actor.Attributes.exitCode}}',
        ])  # fmt: skip
        codes: dict[str, list[int]] = {}
        for line in ended.splitlines():
            service, code = line.split()
            codes.setdefault(service, []).append(int(code))
        return codes

    def remove(self) -> None:
        """Remove whatever is left of it, its images too."""
        self.compose("down", "--volumes", "--timeout", "5")
        # By name: whether `down --rmi local` takes them depends on the version of Compose.
        built = ["--format", "{{.Repository}}", "--filter", f"reference={self.project}-*"]
        if names := self._docker(["image", "ls", *built]).split():
            self._docker(["image", "rm", *names])

    def containers(self, service: str) -> list[dict[str, Any]]:
        """What the engine knows of each container of a service, ended ones included."""
        ids = self.compose("ps", "--all", "--quiet", service).split()
        found: list[dict[str, Any]] = json.loads(self._docker(["inspect", *ids])) if ids else []
        return found

    def images(self) -> list[dict[str, Any]]:
        """What the engine knows of the images that were built for the services."""
        names = [f"{self.project}-{service}" for service in ("producer", "consumer", "clock", "monitor")]
        found: list[dict[str, Any]] = json.loads(self._docker(["image", "inspect", *names]))
        return found

    def server(self, *command: str) -> str:
        """Send a command to the server of this cluster; what it answered, a line for each element."""
        client = '$(command -v redis-cli || command -v valkey-cli) "$@"'
        return self.compose("exec", "-T", "redis", "sh", "-c", client, "client", *command).strip()

    def python(self, program: str, *arguments: str) -> Any:
        """Run a program in a container of the consumer's image, with its settings; what it printed, from JSON."""
        return json.loads(self.compose("exec", "-T", "consumer", "python", "-", *arguments, given=program))

    @contextlib.contextmanager
    def typing(self, line: str) -> Iterator["subprocess.Popen[str]"]:
        """Type a line as a reader would, in the folder of the project; what it says can be read, and it is ended."""
        with subprocess.Popen(
            ["/bin/sh", "-c", f"exec {line}"], cwd=ROOT, env=self._environment | {"COMPOSE_PROJECT_NAME": self.project},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.kill()

    def typed(self, line: str) -> tuple[int, str]:
        """Type a line, and wait for its end; its exit code and what it said."""
        with self.typing(line) as process:
            said, _ = process.communicate(timeout=200)
            return process.returncode, said

    def until(self, what: str, satisfied: Callable[[], bool], seconds: float = 60.0) -> None:
        """Look again until satisfied; AssertionError with the logs of the cluster after so many seconds."""
        deadline = time.monotonic() + seconds
        while not satisfied():
            if time.monotonic() > deadline:
                logs = self.compose("logs", "--tail", "30", "--no-color")
                raise AssertionError(f"not {what} after {seconds:g} s\n{logs}")
            # Every look is a process of its own, so this only keeps the machine from doing nothing else.
            time.sleep(0.2)

    def _docker(self, command: list[str], given: str | None = None) -> str:
        done = subprocess.run(
            [_ENGINE, *command], cwd=ROOT, env=self._environment, input=given, capture_output=True, text=True,
            timeout=240, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise AssertionError(f"docker {' '.join(command)}: code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout
