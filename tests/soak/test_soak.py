"""`make soak` in a bounded form: the same three replicas, writers, readers and faults, for less than a minute."""

from pathlib import Path

import pytest

from deploy.local.stack import local_stack
from tests.soak.run import run

SECONDS, SEED = 40, 7


@pytest.mark.timeout(400)
async def test_nothing_is_lost_and_nothing_is_shown_that_may_not_be_whatever_breaks(tmp_path: Path) -> None:
    with local_stack(tmp_path / "stack", nodes=2, metrics=True) as stack:
        found = await run(stack, SECONDS, SEED, tmp_path)
    counts = found.world.counts
    assert found.world.violations == []
    assert sum(map(len, found.recovery_s.values())) >= 3
    assert counts["writes acknowledged"] > 100
    assert counts["observations"] > 500
