"""Names: the edits that give a project its own name, and take out what only the template has."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tools.new.cuts import without
from tools.new.mistake import Mistake

SCHEMA: Final = "docs/schema/asyncapi.json"
_KUBERNETES: Final = "deploy/kubernetes"
_DESCRIPTION: Final = "A job pipeline: a bounded queue on Redis or Valkey, and services that share it."


def edit(project: Path, name: str, *, example: bool) -> None:
    """Edit the files that a project shares with the template.

    :raises Mistake: when a file is not as it is known here.
    """
    edits: dict[str, list[Callable[[str], str]]] = {
        "pyproject.toml": [
            _put(r'^name = ".*"$', f'name = "{name}"'),
            _put(r'^description = ".*"$', f'description = "{_DESCRIPTION}"'),
        ],
        "Dockerfile": [
            _put(r'image\.title=".*?"', f'image.title="{name}"'),
            _put(r'image\.description=".*?"', f'image.description="{_DESCRIPTION}"'),
        ],
        "docker-compose.yml": [
            _put(r"^# The demo cluster:", f"# The cluster of {name}:"),
            _put(r"PIPELINE_QUEUE:-jobs", f"PIPELINE_QUEUE:-{'jobs' if example else name}"),
            *([] if example else [_without_settings_of_the_demo]),
        ],
        "run": [_without_commands, *([] if example else [_demo_of_the_job])],
        "docs/production.md": [
            _put(r"; \[performance\.md\]\(performance\.md\) has all figures", ""),
            _put(r"; \[performance\.md\]\(performance\.md\)", ""),
            *([] if example else [_put(r" and \[demo\.md\]\(demo\.md\)", "")]),
        ],
        "docs/rooms.md": [
            lambda text: without(text, "| `benchmarks/`", "| `benchmarks/`", "docs/rooms.md"),
            lambda text: text.replace(", `mutants/` |", " |"),
            *([] if example else [_without_rooms_of_the_demo]),
        ],
    }
    for file in sorted((project / _KUBERNETES).rglob("*.yaml")):
        path = file.relative_to(project).as_posix()
        edits[path] = [lambda text: _of_kubernetes(text, name, example=example)]
    if not example:
        edits[f"{_KUBERNETES}/base/kustomization.yaml"].append(_job_of_the_producer)
        edits[f"{_KUBERNETES}/base/producer.yaml"].append(_pod_without_settings_of_the_demo)
        edits["docs/settings.md"] = [_put(r"those of the demo are in \[demo\.md\]\(demo\.md\), ", "")]
    if example:  # its messages stay; the schema of the small job has the name already
        title, description = r'^    "title": ".*",$', r'^    "description": ".*"$'
        edits[SCHEMA] = [
            _put(title, f'    "title": "{name}",'),
            _put(r'^    "version": ".*",$', '    "version": "0.1.0",'),
            _put(description, f'    "description": "{_DESCRIPTION}"'),
        ]
    for path, changes in edits.items():
        file = project / path
        text = file.read_text(encoding="utf-8")
        for change in changes:
            try:
                text = change(text)
            except Mistake as mistake:
                raise Mistake(f"{path}: {mistake}") from mistake
        file.write_text(text, encoding="utf-8")


def _put(pattern: str, instead: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        changed, count = re.subn(pattern, lambda _: instead, text, count=1, flags=re.MULTILINE)
        if not count:
            raise Mistake(f"nothing matches {pattern}: tools/new does not fit the template")
        return changed

    return change


def _of_kubernetes(text: str, name: str, *, example: bool) -> str:
    """The same manifest, of a namespace, an image and a queue of this name."""
    text = re.sub(r"(?<=^namespace: )weir$|(?<=^  name: )weir$|(?<=newName: )weir$", name, text, flags=re.MULTILINE)
    text = re.sub(r"(?<=[a-z0-9]\.)weir(?=:\d)", name, text)  # monitor.weir:8080
    text = text.replace("kubectl -n weir", f"kubectl -n {name}")
    if example:
        return text
    return re.sub(r'(?<=PIPELINE_QUEUE=)jobs$|(?<=\{)jobs(?=\}:)|(?<=queue=")jobs(?=")', name, text, flags=re.MULTILINE)


def _job_of_the_producer(text: str) -> str:
    text = without(text, "  # For a source without an end.", "  - producer.yaml", "kustomization")
    own = "  # For a source that ends. One without an end takes producer.yaml in its place.\n  - producer-job.yaml\n"
    return _put(r"^  - network-policy\.yaml\n", f"  - network-policy.yaml\n{own}")(text)


def _pod_without_settings_of_the_demo(text: str) -> str:
    return without(text, "          env:", '              value: "**/*.py"', "producer")


def _without_rooms_of_the_demo(text: str) -> str:
    for room in ("| `shared/demo/`", "| `cli/demo/`"):
        text = without(text, room, room, "docs/rooms.md")
    return _put(r" Only YOURS files, `cli/demo/`\nand the demo's tests import `shared/demo/`\.", "")(text)


def _without_settings_of_the_demo(text: str) -> str:
    text = without(text, "      # The demo's own: they go with it.", "      PIPELINE_SOURCE_PATH:", "producer")
    for service in ("clock", "consumer"):
        text = without(text, "      # The demo's own: it goes with it.", "      PIPELINE_RUN:", service)
    text = _put(
        r"^  # Puts what producer/source.py yields:.*$",
        "  # Puts what producer/source.py yields, and ends; the others go on.",
    )(text)
    return _put(
        r"^  # Does what is due when it is due \(producer/schedule.py\).*$",
        "  # Does what is due when it is due (producer/schedule.py).",
    )(text)


def _without_commands(text: str) -> str:
    text = without(text, "  mutants [NAME ...]", "                        or simulation;", "the help")
    text = without(text, "mutants) ", "mutants) ", "the commands")
    text = without(text, "  bench [WORKLOAD ...]", "  bench-leases ", "the help")
    text = without(text, "  new DIRECTORY", "                        brings a project", "the help")
    text = without(text, "bench) ", "bench-leases) ", "the commands")
    return without(text, "new) ", "new) ", "the commands")


def _demo_of_the_job(text: str) -> str:
    return _put(
        r"^  demo \[ARGUMENTS\] .*$",
        "  demo [ARGUMENTS]      run this project's own job through real processes; ./run demo --help",
    )(text)
