from pathlib import Path

import pytest

from tests.deploy import overlays


@pytest.fixture(scope="session")
def overlays_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return overlays.copy(tmp_path_factory.mktemp("deploy"))
