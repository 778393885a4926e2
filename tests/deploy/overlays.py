"""The overlays as a person would have them: with a database password of their own."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from deploy.local import binaries

DEPLOY = Path(__file__).parents[2] / "deploy"
OVERLAYS = ("trial", "production")
PASSWORD = "of-the-test"


def copy(directory: Path) -> Path:
    """The base and the overlays below `directory`, trial's password beside them; where the overlays are."""
    for name in ("base", "overlays"):
        shutil.copytree(DEPLOY / name, directory / name)
    (directory / "overlays" / "trial" / "database.env").write_text(f"password={PASSWORD}\n")
    return directory / "overlays"


def render(directory: Path) -> list[dict[str, Any]]:
    """The objects of a kustomization. Fails where kustomize fails or complains, as it does of deprecated fields."""
    done = subprocess.run(
        [binaries.find_or_build() / "kubectl", "kustomize", directory], check=False, capture_output=True, text=True
    )
    assert not done.stderr, done.stderr
    assert done.returncode == 0
    return list(yaml.safe_load_all(done.stdout))


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """By name."""
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}
