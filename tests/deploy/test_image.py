"""The image's Dockerfile, as far as it can be judged without building it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.deploy.overlays import DEPLOY

REPOSITORY = DEPLOY.parent
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def lint(dockerfile: str) -> str:
    """What hadolint has to say."""
    program = Path(sys.executable).with_name("hadolint")
    return subprocess.run([program, "-"], check=False, input=dockerfile, capture_output=True, text=True).stdout


def test_linter_has_nothing_to_say() -> None:
    assert lint(DOCKERFILE) == ""


@pytest.mark.parametrize(
    ("good", "bad", "rule"),
    [
        ("USER 10001:10001", "USER root", "DL3002"),
        ('ENTRYPOINT ["python", "-m", "service"]', "ENTRYPOINT python -m service", "DL3025"),
        ("--no-cache-dir ", "", "DL3042"),
        ("${PYTHON}\n", "docker.io/library/python\n", "DL3006"),
    ],
)
def test_linter_would_speak_up(good: str, bad: str, rule: str) -> None:
    assert good in DOCKERFILE
    assert rule in lint(DOCKERFILE.replace(good, bad))


def test_what_is_copied_is_there_and_in_the_build_context() -> None:
    let_in = (REPOSITORY / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    for source in " ".join(copied).split():
        assert (REPOSITORY / source).exists()
        assert f"!/{source}" in let_in


def test_every_file_the_service_reads_is_installed_with_it() -> None:
    """The tests run from the source tree and would not miss a file that is not in the package."""
    package_data = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    service = REPOSITORY / "service"
    files = {file for file in service.rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc", ".md")}
    assert files <= {file for pattern in package_data["service"] for file in service.glob(pattern)}
