"""What the README and the pages beside the code say, compared with the code."""

import ast
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from service.__main__ import _parser
from service.api.routes import OPERATIONS
from service.check.report import Finding, Level
from service.cluster.permissions import PERMISSIONS, Need
from service.dashboard import routes as dashboard
from service.errors import CloudFoundryError
from service.http import management
from service.model.labels import PRESETS
from service.settings import Settings
from service.store.database import migrations

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted(
    page.relative_to(REPOSITORY)
    for pattern in ("*.md", "service/**/*.md", "deploy/**/*.md", "tests/**/*.md")
    for page in REPOSITORY.glob(pattern)
)
LONGEST_README, LONGEST_LINE = 150, 120
NO_SETTINGS = {"HTTPS_PROXY", "NO_PROXY", "LOCAL_STACK_BIN", "REQUIRE_ALL", "SOAK_S", "SOAK_SEED", "SOAK_ONLY"}
"""Variables that others than the service read."""


def text_of(page: str) -> str:
    return (REPOSITORY / page).read_text()


def prose_of(page: str) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub makes of the page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose_of(str(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def texts_in_the_code() -> str:
    """All texts in the service's code, one a line; not what is written about the code, in its docstrings."""
    found = []
    for file in sorted((REPOSITORY / "service").rglob("*.py")):
        tree = ast.parse(file.read_text())
        about = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in about:
                found.append(node.value)
    return "\n".join(found)


def settings_table() -> str:
    """The table of settings, made from the code."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for knob in fields(Settings):
        assert knob.default is not MISSING
        written = ",".join(knob.default) if isinstance(knob.default, tuple) else str(knob.default)
        written = written.lower() if isinstance(knob.default, bool) else written
        default = f"`{written}`" if written else ""
        rows.append(f"| `{knob.name.upper()}` | {default} | {knob.metadata['text']} |")
    return "\n".join(rows)


def test_settings_table_is_the_codes() -> None:
    expected = settings_table()
    assert expected in text_of("deploy/SETTINGS.md"), f"the table of settings should read:\n\n{expected}\n"


def test_every_route_is_documented_and_no_other() -> None:
    documented = set(
        re.findall(
            r"`(GET|POST|PATCH|DELETE) (/[^`]*)`",
            text_of("service/api/API.md").split("## What is served")[1].split("##")[0],
        )
    )
    assert documented == {(route.method, route.path) for route in (*OPERATIONS, *management.ROUTES)}


def test_every_page_of_the_dashboard_is_documented_and_no_other() -> None:
    text = text_of("service/dashboard/README.md")
    documented = re.findall(r"`(GET|POST) (/[^`]*)`", text)
    assert sorted(documented) == sorted((route.method, route.path) for route in dashboard.ROUTES)


def test_every_label_key_of_the_default_preset_is_documented() -> None:
    text = text_of("service/model/FIELDS.md")
    for key in vars(PRESETS["default"]).values():
        prefix, name = key.split("/")
        assert f"`{key}`" in text or f"`{name}`" in text, key
        assert prefix == "cloudfoundry.org"


def test_the_readme_is_read_in_a_few_minutes() -> None:
    assert len(text_of("README.md").splitlines()) <= LONGEST_README


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_each_page_begins_with_the_question_that_it_answers(page: Path) -> None:
    title, _, question = text_of(str(page)).splitlines()[:3]
    assert title.startswith("# ")
    assert re.fullmatch(r"\*.+\?\*", question)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_lines_fit_a_screen(page: Path) -> None:
    """But for the rows of tables, which cannot be broken."""
    for line in prose_of(str(page)).splitlines():
        assert len(line) <= LONGEST_LINE or line.startswith("|"), line


def test_each_page_is_to_be_found_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(([^)#:]+\.md)", text_of("README.md")))
    assert linked == {str(page) for page in PAGES if page.parent != Path()}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    file = REPOSITORY / page
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", file.read_text()):
        linked = file.parent / target if target else file
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors_of(linked.resolve().relative_to(REPOSITORY)), f"{target}#{anchor}"


def test_every_module_in_the_diagrams_exists() -> None:
    text = (REPOSITORY / "service" / "ARCHITECTURE.md").read_text()
    diagrams = "".join(re.findall(r"```\n(.*?)```", text, re.DOTALL))
    modules = re.findall(r"\b(?:api|cluster|http|model|operations|store)/\w+|\bfreshness\b", diagrams)
    assert len(set(modules)) > 10
    for module in modules:
        assert (REPOSITORY / "service" / f"{module}.py").exists(), module


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_command_mentioned_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    assert set(re.findall(r"(?:`|^\$ |… )make ([a-z]+)", text_of(str(page)), re.MULTILINE)) <= targets
    assert set(re.findall(r"python -m service ([a-z]+)", text_of(str(page)))) <= verbs()


def verbs() -> set[str]:
    """What can follow `python -m service`."""
    (choices,) = [action.choices for action in _parser()._actions if action.dest == "verb"]
    return set(choices or ())


def test_every_verb_is_explained() -> None:
    assert set(re.findall(r"`python -m service ([a-z]+)", text_of("deploy/SETTINGS.md"))) == verbs()


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_setting_mentioned_exists(page: Path) -> None:
    mentioned = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)\b", prose_of(str(page))))
    assert mentioned <= {knob.name.upper() for knob in fields(Settings)} | NO_SETTINGS


def pasted(page: str, number: int) -> Any:
    """A JSON answer of a page."""
    return orjson.loads(re.findall(r"```json\n(.*?)```", text_of(page), re.DOTALL)[number])


def test_the_readmes_answer_is_a_part_of_the_whole_one() -> None:
    def is_part(part: Any, whole: Any) -> bool:
        if isinstance(part, dict):
            return all(key in whole and is_part(value, whole[key]) for key, value in part.items())
        if isinstance(part, list):
            return len(part) == len(whole) and all(map(is_part, part, whole))
        return bool(part == whole)

    assert is_part(pasted("README.md", 0), pasted("service/api/API.md", 0))


def check_output() -> str:
    text = text_of("deploy/OPERATING.md")
    return text.split("$ python -m service check\n")[1].split("$ echo")[0]


def test_the_check_shown_asks_for_what_the_service_needs() -> None:
    """One permission is missing in it, so that a reader sees what that looks like."""

    def expected() -> Iterator[str]:
        for permission in PERMISSIONS:
            text = f"may not {permission}, nor should it" if permission.need is Need.NEVER else f"may {permission}"
            yield str(Finding(Level.OK, "permission", text))

    shown = [line for line in check_output().splitlines() if line.split()[1] == "permission"]
    (missing,) = [line for line in shown if line.startswith("MISSING")]
    assert [line for line in expected() if line not in shown] == [
        str(Finding(Level.OK, "permission", re.split(": | +may not ", missing)[1].join(("may ", ""))))
    ]
    assert len(shown) == len(PERMISSIONS)
    assert f"{migrations()[-1].number:04} {migrations()[-1].name}" in check_output()


def errors_of(kind: type[CloudFoundryError]) -> Iterator[type[CloudFoundryError]]:
    for each in kind.__subclasses__():
        yield each
        yield from errors_of(each)


def test_what_is_quoted_of_the_service_is_what_it_says() -> None:
    """The texts an operator sees, in warnings, errors and the log, and the names of alerts."""
    text = text_of("deploy/OPERATING.md").split("### What to do when")[1].split("### Upgrades")[0]
    code = texts_in_the_code()
    quoted = [
        *re.findall(r'"([^"`]{3,})"', text),
        *re.findall(r"`([a-zA-Z]+(?:[ ,]+[a-zA-Z]+)+)`", text),
        *re.findall(r"`X-Cf-Warnings: ([^`]+)`", text),
    ]
    # The kind of exception comes before some of them.
    pieces = [re.sub(r"^\w+Error ", "", piece.strip(" .:")) for each in quoted for piece in each.split("…")]
    assert len(pieces) > 10
    for piece in pieces:
        assert piece in code or piece.startswith("kubectl "), piece
    assert set(re.findall(r"[Ee]rror (\d+)", text)) <= {str(each.code) for each in errors_of(CloudFoundryError)}
    alerts = yaml.safe_load(text_of("deploy/monitoring/alerts.yaml"))
    known = {rule["alert"] for group in alerts["spec"]["groups"] for rule in group["rules"]}
    assert set(re.findall(r"\b(Processes[A-Z]\w+)", text)) <= known


def test_each_threat_says_who_tries_what_and_which_code_and_test_stop_it() -> None:
    rows = [line.split(" | ") for line in text_of("service/THREATS.md").splitlines() if line.startswith("| a")]
    assert len(rows) > 30
    for who, tries, stops, where, shown in rows:
        assert who.removeprefix("| ") in ("anyone", "a caller", "a tenant", "an operator")
        assert tries.startswith("to ")
        assert stops
        for name, file in linked_in(where):
            assert file.relative_to(REPOSITORY).parts[0] in ("service", "deploy")
            assert (name, file.is_file()) == (file.name, True), file
        for name, file in linked_in(shown):
            # pytest runs what is called so, in files that are called so.
            assert re.fullmatch(r"tests/(\w+/)*test_\w+\.py", str(file.relative_to(REPOSITORY)))
            assert re.search(rf"^(async )?def {name}\(", file.read_text(), re.MULTILINE), f"{name} in {file}"
            assert name.startswith("test_")


def linked_in(cell: str) -> list[tuple[str, Path]]:
    """What a cell of the table of threats names, and where that leads."""
    links = re.findall(r"\[`([^`]+)`\]\(([^)]+)\)", cell)
    assert cell.removesuffix(" |") == ", ".join(f"[`{name}`]({target})" for name, target in links)
    return [(name, (REPOSITORY / "service" / target).resolve()) for name, target in links]
