"""What is in the image: reviewed, of the versions that are locked, and written down as it is."""

import re
import subprocess
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import orjson
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]


def declared() -> list[str]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return [canonicalize_name(Requirement(each).name) for each in project["dependencies"]]


def locked() -> dict[str, str]:
    lines = (REPOSITORY / "deploy/constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def needed(names: list[str]) -> set[str]:
    """All that comes with these packages, themselves included."""
    found: set[str] = set()
    while names:
        name = names.pop()
        if name not in found:
            found.add(name)
            required = [Requirement(each) for each in distribution(name).requires or ()]
            names += [
                canonicalize_name(each.name)
                for each in required
                if each.marker is None or each.marker.evaluate({"extra": ""})
            ]
    return found


def reviewed() -> dict[str, tuple[str, str]]:
    """Version and whether there is native code, by package."""
    text = (REPOSITORY / "deploy/DEPENDENCIES.md").read_text()
    rows = re.findall(r"^\| \[([^\]]+)\]\([^)]+\) \| ([^ |]+) \| [^|]+ \| (yes|no)\b", text, re.MULTILINE)
    return {canonicalize_name(name): (version, native) for name, version, native in rows}


def test_what_the_service_needs_has_been_reviewed_in_the_version_that_is_locked() -> None:
    assert {name: version for name, (version, _) in reviewed().items()} == {name: locked()[name] for name in declared()}


@pytest.mark.parametrize("name", declared())
def test_native_code_is_said_to_be_there(name: str) -> None:
    native = any(str(each).endswith(".so") for each in distribution(name).files or ())
    assert reviewed()[name][1] == ("yes" if native else "no")


@pytest.mark.timeout(300)
def test_the_sbom_has_what_the_image_has_and_nothing_else(tmp_path: Path) -> None:
    paths = {"AUDIT_VENV": "audit", "IMAGE_VENV": "image", "SBOM": "sbom.json"}
    own = [f"{name}={tmp_path / path}" for name, path in paths.items()]
    subprocess.run(["make", "sbom", *own], cwd=REPOSITORY, check=True, capture_output=True)
    sbom = orjson.loads((tmp_path / "sbom.json").read_bytes())
    assert (sbom["bomFormat"], sbom["metadata"]["component"]["name"]) == ("CycloneDX", "cf-processes")
    listed = {canonicalize_name(each["name"]): each["version"] for each in sbom["components"]}
    assert listed == {name: locked()[name] for name in needed(declared())}
