"""What the README and the pages beside the code say, compared with the code."""

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from service.api.routes import OPERATIONS
from service.dashboard import routes as dashboard
from service.http import management
from service.model.labels import PRESETS
from service.settings import Settings

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted(
    page.relative_to(REPOSITORY)
    for pattern in ("*.md", "service/**/*.md", "deploy/**/*.md", "tests/**/*.md")
    for page in REPOSITORY.glob(pattern)
)
LONGEST_README = 150


def text_of(page: str) -> str:
    return (REPOSITORY / page).read_text()


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


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent != Path()], ids=str)
def test_each_page_begins_with_the_question_that_it_answers(page: Path) -> None:
    title, _, question = (REPOSITORY / page).read_text().splitlines()[:3]
    assert title.startswith("# ")
    assert re.fullmatch(r"\*.+\?\*", question)


def test_each_page_is_to_be_found_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(([^)#:]+\.md)", text_of("README.md")))
    assert linked == {str(page) for page in PAGES if page.parent != Path()}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_file_linked_is_there(page: Path) -> None:
    file = REPOSITORY / page
    for link in re.findall(r"\]\(([^)#:]+)\)", file.read_text()):
        assert (file.parent / link).exists(), link


def test_every_module_in_the_diagrams_exists() -> None:
    text = (REPOSITORY / "service" / "ARCHITECTURE.md").read_text()
    diagrams = "".join(re.findall(r"```\n(.*?)```", text, re.DOTALL))
    modules = re.findall(r"\b(?:api|cluster|model|operations|store)/\w+|\bcurrency\b", diagrams)
    assert len(set(modules)) > 10
    for module in modules:
        assert (REPOSITORY / "service" / f"{module}.py").exists(), module


def test_every_make_target_mentioned_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"`make ([a-z]+)`", text_of(str(page)))) <= targets, page
