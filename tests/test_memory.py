"""What the service keeps is bounded in bytes, all of it together; and the table that operators are shown adds up."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from service.api import pages, queries
from service.api.resources.instances import bodies
from service.cluster import access, deployment_cache
from service.http import ready_answers
from service.model import merged
from service.operations import overview, problems, reads
from service.settings import Settings
from tests.support.filling import NO_CACHES, memory_table

REPOSITORY = Path(__file__).parents[1]
MIB = 1 << 20


def row(words: str) -> int:
    (found,) = (mib for what, mib in memory_table().items() if words in what)
    return found


def test_the_table_adds_up_to_what_a_replica_is_given() -> None:
    *parts, total = memory_table().values()
    assert sum(parts) == total
    for manifest in ("base/deployment.yaml", "overlays/production/deployment.yaml"):
        documents = yaml.safe_load_all((REPOSITORY / "deploy" / manifest).read_text())
        (pod,) = (each["spec"]["template"]["spec"] for each in documents if each["kind"] == "Deployment")
        limit = pod["containers"][0]["resources"]["limits"]["memory"]
        assert f"in all, of {limit.removesuffix('Mi')}" in memory_table()
        assert total <= int(limit.removesuffix("Mi"))


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (
            "who callers are",
            sum((access.CALLERS_BYTES, access.PERMISSIONS_BYTES, access.CHANGES_BYTES, access.SIGHTS_BYTES)),
        ),
        ("lists as bytes", pages.ROWS_BYTES + pages.BODIES_BYTES),
        ("sent again", ready_answers.READY_BYTES),
        ("polled", bodies.STATS_BYTES),
        ("which items a list has", reads.SELECTED_BYTES + reads.SIGHTS_BYTES),
        ("sums of apps", overview.KEPT_BYTES + overview.SIGHTS_BYTES),
        ("spaces and organizations", 2 * merged.KEPT_BYTES),
        ("shared GUIDs", problems.KEPT_BYTES),
        ("queries", queries.PARSED_BYTES),
        ("changed lately", deployment_cache.CAPACITY),
        ("requests that come in", Settings().max_bytes_in_flight),
        ("processes with three Pods", 41_000 * (2 + 3) * 1024),
    ],
)
def test_the_table_is_the_codes(words: str, size: int) -> None:
    assert row(words) == -(-size // MIB)


def test_all_caches_filled_at_once_take_no_more_than_the_table_says() -> None:
    most = sum(mib for what, mib in memory_table().items() if not any(each in what for each in NO_CACHES))
    filling = subprocess.run(
        [sys.executable, "-m", "tests.support.filling"], cwd=REPOSITORY, capture_output=True, check=True
    )
    gained = int(re.fullmatch(r"(\d+)\n", filling.stdout.decode())[1]) / MIB  # type: ignore[index]
    # If it were much less, they would not have been full.
    assert most / 2 < gained <= most, f"{gained:.0f} of {most} MiB"
