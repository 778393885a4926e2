"""What the README and the page on the architecture say, compared with the code."""

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
README = (REPOSITORY / "README.md").read_text()
DOCUMENTS = ("README.md", "service/ARCHITECTURE.md")


def settings_table() -> str:
    """The README's table of settings, made from the code."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for knob in fields(Settings):
        assert knob.default is not MISSING
        written = ",".join(knob.default) if isinstance(knob.default, tuple) else str(knob.default)
        written = written.lower() if isinstance(knob.default, bool) else written
        default = f"`{written}`" if written else ""
        rows.append(f"| `{knob.name.upper()}` | {default} | {knob.metadata['text']} |")
    return "\n".join(rows)


def test_settings_table_is_the_codes() -> None:
    assert settings_table() in README, f"the README's table of settings should read:\n\n{settings_table()}\n"


def test_every_route_is_documented_and_no_other() -> None:
    documented = set(
        re.findall(r"`(GET|POST|PATCH|DELETE) (/[^`]*)`", README.split("## What is served")[1].split("##")[0])
    )
    assert documented == {(route.method, route.path) for route in (*OPERATIONS, *management.ROUTES)}


def test_every_page_of_the_dashboard_is_documented_and_no_other() -> None:
    text = README.split("## Dashboard")[1].split("\n## ")[0]
    documented = re.findall(r"`(GET|POST) (/[^`]*)`", text)
    assert sorted(documented) == sorted((route.method, route.path) for route in dashboard.ROUTES)


def test_every_label_key_of_the_default_preset_is_documented() -> None:
    text = README.split("## Labels")[1].split("\n## ")[0]
    for key in vars(PRESETS["default"]).values():
        prefix, name = key.split("/")
        assert f"`{key}`" in text or f"`{name}`" in text, key
        assert prefix == "cloudfoundry.org"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_linked_is_there(document: str) -> None:
    file = REPOSITORY / document
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
    assert set(re.findall(r"make ([a-z]+)\b", README)) <= targets
