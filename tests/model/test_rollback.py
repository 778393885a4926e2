"""Going back to an earlier Pod template: what is put in its place, and when nothing is."""

from copy import deepcopy
from typing import Any

import pytest

from service.errors import UnprocessableEntity
from service.model.rollback import Rollback, has_gone_back
from service.model.rollouts import ROLLOUT_REVISION
from service.model.snapshots import Patch
from tests.model.builders import deployment_dict
from tests.model.kubernetes import patched
from tests.model.test_changes import snapshot_of

FORMER = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "app", "image": "registry.test/app:0"}]}}


@pytest.fixture
def manifest() -> dict[str, Any]:
    found = deployment_dict()
    found["metadata"].setdefault("annotations", {})[ROLLOUT_REVISION] = "2"
    return found


def test_the_former_template_is_all_there_is_and_what_was_cancelled_is_noted(manifest: dict[str, Any]) -> None:
    snapshot = snapshot_of(manifest)
    change = Rollback(snapshot.template, FORMER, "a-guid")
    patch = change.patch(snapshot)
    assert patch.spec == {"template": {"$patch": "replace", **FORMER}}
    after = snapshot_of(patched(manifest, snapshot.guarded(Patch({}, patch.annotations), None)))
    assert [has_gone_back(after, guid) for guid in ("a-guid", "another")] == [True, False]
    assert not has_gone_back(snapshot, "a-guid")


def test_what_somebody_else_has_put_there_meanwhile_is_left(manifest: dict[str, Any]) -> None:
    """Kubernetes has not seen it yet, so that its revision is still that of what is to be cancelled."""
    change = Rollback(snapshot_of(manifest).template, FORMER, "a-guid")
    newer = deepcopy(manifest)
    newer["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.test/app:newer"
    with pytest.raises(UnprocessableEntity, match="something else"):
        change.patch(snapshot_of(newer))
    newer["spec"] = {**deepcopy(manifest["spec"]), "paused": True}
    with pytest.raises(UnprocessableEntity, match="is paused"):
        change.patch(snapshot_of(newer))
