"""The manifests of deploy/kubernetes: as they are written, and as kustomize puts them together."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema  # type: ignore[import-untyped]  # it has no types, nor do the two below
import kubernetes_validate  # type: ignore[import-untyped]
import yaml  # type: ignore[import-untyped]

from tests.instruments.custom_resources import SCHEMAS

FOLDER: Final = Path(__file__).resolve().parent.parent.parent / "deploy" / "kubernetes"
OLDEST: Final = "1.29"
"""The Kubernetes that base/kustomization.yaml asks for."""

Manifest = dict[str, Any]


def kustomize() -> list[str] | None:
    """The command that builds a kustomization; None where none is installed. Neither needs a cluster."""
    if found := shutil.which("kustomize"):
        return [found, "build"]
    found = shutil.which("kubectl")
    return [found, "kustomize"] if found else None


def built(command: list[str], folder: Path) -> list[Manifest]:
    """The resources of a kustomization."""
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [*yaml.safe_load_all(done.stdout)]


def read(path: Path) -> Manifest:
    """The one document of a file."""
    found: Manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def written() -> Iterator[tuple[str, Manifest]]:
    """Each resource as it is written, with its file; kustomizations and their patches are none."""
    for path in sorted(FOLDER.rglob("*.yaml")):
        if path.name != "kustomization.yaml":
            for resource in yaml.safe_load_all(path.read_text(encoding="utf-8")):
                yield path.relative_to(FOLDER).as_posix(), resource


def problem(resource: Manifest) -> str:
    """What is wrong with a resource: a field too many, one too few, one of another type; else nothing."""
    try:
        if schema := SCHEMAS.get(resource["kind"]):
            jsonschema.Draft202012Validator(schema).validate(resource)
            return ""
        for version in (OLDEST, kubernetes_validate.latest_version()):
            kubernetes_validate.validate(resource, version, strict=True)
    except (jsonschema.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
        return f"{resource['kind']} {resource['metadata']['name']}: {error.message}"
    return ""
