"""The size of things: what wants to be larger is two things. Which module may import which is `make lint`'s to say."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SERVICE = REPOSITORY / "service"
MODULES = sorted(SERVICE.rglob("*.py"))
LONGEST_MODULE, LONGEST_FUNCTION, LONGEST_HANDLER = 300, 40, 25
TOP_LEVEL = {"CHANGELOG.md", "LICENSE", "Makefile", "README.md", "deploy", "pyproject.toml", "service", "tests"}
DOTFILES = {".ci", ".dockerignore", ".gitignore"}
MOST_BY_POSITION = 4
"""Parts that a constructor takes without their names."""

WALL_CLOCK = {
    "api/requests.py": "when something was changed",
    "api/resources/apps/actions.py": "when a restart was asked for",
    "check/__init__.py": "whether the clocks agree",
    "cluster/access.py": "whether a token's own time is over",
    "cluster/inspection.py": "whether the clocks agree",
    "dashboard/live.py": "whether a session's time is over",
    "dashboard/sessions.py": "whether a session's time is over",
    "dashboard/text.py": "how long ago something was",
    "http/rate_limits.py": "when a window ends, for clients",
    "store/inspection.py": "whether the clocks agree",
}
"""Where the clock is read that an operator may set, and what for. What passes, ends or is kept for a while is measured
by the other one."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(module: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, Function):
            yield node


def length(function: Function) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


def is_handler(function: Function) -> bool:
    """It takes a request, and may take more, and is no part of a class."""
    names = [each.arg for each in function.args.args]
    return isinstance(function, ast.AsyncFunctionDef) and names[:1] == ["request"]


@pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="only git tells what belongs to it")
def test_nothing_else_is_at_the_top() -> None:
    """What a test or a program has left there is committed before anyone notices."""
    # Whoever owns the checkout.
    listing = ["git", "-c", "safe.directory=*", "ls-files"]
    listed = subprocess.run(listing, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert {path.split("/")[0] for path in listed.stdout.splitlines()} == TOP_LEVEL | DOTFILES


@pytest.mark.parametrize("module", MODULES, ids=lambda each: str(each.relative_to(SERVICE)))
def test_modules_and_what_is_in_them_stay_small(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= LONGEST_MODULE
    for function in functions(module):
        most = LONGEST_HANDLER if is_handler(function) else LONGEST_FUNCTION
        # A function that holds others is a place for them; each is counted by itself.
        inner = sum(length(each) for each in ast.walk(function) if isinstance(each, Function) and each is not function)
        assert length(function) - inner <= most, f"{function.name}: {length(function)} lines"
        if function.name == "__init__":
            assert len(function.args.args) - 1 <= MOST_BY_POSITION, f"line {function.lineno}: pass them by keyword"


def test_key_is_defined_once() -> None:
    """What a process is known by is said in one place."""
    defined = [module for module in MODULES if "\nKey = tuple[" in module.read_text()]
    assert [str(module.relative_to(SERVICE)) for module in defined] == ["model/process.py"]


def test_a_resource_that_is_only_read_would_be_one_small_file() -> None:
    """What all resources share knows none of them by name."""
    shared = [
        SERVICE / "api" / f"{name}.py" for name in ("readable", "reading", "pages", "queries", "bodies", "document")
    ]
    for module in (*shared, *(SERVICE / "http").glob("*.py")):
        used = {each.id for each in ast.walk(ast.parse(module.read_text())) if isinstance(each, ast.Name)}
        assert not used & {"Process", "Workload", "PROCESSES", "Instance"}, module


def test_no_cache_and_no_deadline_hangs_on_a_clock_that_somebody_may_set() -> None:
    reading = {
        str(module.relative_to(SERVICE))
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if ast.unparse(node) in ("time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today")
        or (isinstance(node, ast.ImportFrom) and node.module == "time")
    }
    assert reading == set(WALL_CLOCK)
