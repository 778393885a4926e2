"""Going back from a rollout that is under way to what was rolled out before it, as `kubectl rollout undo` does."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from service.errors import UnprocessableEntity
from service.model.rollouts import rollout_revision
from service.model.snapshots import Patch, Snapshot

POD_TEMPLATE_HASH = "pod-template-hash"
"""The label that Kubernetes adds to the template of a ReplicaSet."""


@dataclass(frozen=True)
class Rollback:
    """The Pod template of the revision before, put in place of the one that is being rolled out."""

    undone: Mapping[str, Any]
    """The Pod template that is being rolled out. Another one may be there before Kubernetes gives it a revision."""
    template: Mapping[str, Any]
    """The one before."""
    deployment_guid: str
    """What is cancelled: of an app, the rollout of its lead."""

    def names(self) -> list[str]:
        return ["rollback"]

    def patch(self, snapshot: Snapshot) -> Patch:
        """Raises UnprocessableEntity where there is another rollout by now, or it is held up."""
        if snapshot.workload.paused:
            raise UnprocessableEntity(
                f"Deployment {snapshot.workload.name} is paused, and cannot go back until it is resumed"
            )
        if snapshot.template != self.undone:
            raise UnprocessableEntity(f"Deployment {snapshot.workload.name} has been given something else to roll out")
        return Patch(
            {"template": {"$patch": "replace", **self.template}},
            {snapshot.keys.cancelled_deployment: self.deployment_guid},
        )


def has_gone_back(snapshot: Snapshot, deployment_guid: str) -> bool:
    """Whether an earlier attempt to cancel this has taken the Deployment back: once more would bring it forth again."""
    return snapshot.annotations.get(snapshot.keys.cancelled_deployment) == deployment_guid


def is_under_way(snapshot: Snapshot) -> bool:
    """Whether the present revision is being rolled out. One that is merely scaled is not."""
    status = snapshot.object.get("status") or {}
    if any(each["type"] == "Progressing" for each in status.get("conditions") or ()):
        return not snapshot.workload.rolled_out
    # A Deployment without a deadline does not say so: then it is for as long as there are Pods of an earlier one.
    return bool(status.get("replicas", 0) > status.get("updatedReplicas", 0))


def former_template(snapshot: Snapshot, replica_sets: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The Pod template that the Deployment had before its present revision. None: no ReplicaSet has kept it."""
    uid, revision = snapshot.workload.uid, snapshot.workload.rollout
    former = [each for each in replica_sets if _controller(each) == uid and 0 < _revision_of(each) < revision]
    if not former:
        return None
    template = max(former, key=_revision_of)["spec"]["template"]
    meta = template.get("metadata") or {}
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != POD_TEMPLATE_HASH}
    return {**template, "metadata": {**meta, "labels": labels}}


def selector_of(snapshot: Snapshot) -> str:
    """What finds the Deployment's ReplicaSets, among others: its selector, as a query has it."""
    selector = snapshot.object["spec"].get("selector") or {}
    matched = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    return ",".join([*matched, *(_requirement(each) for each in selector.get("matchExpressions") or ())])


def _requirement(expression: Mapping[str, Any]) -> str:
    key, operator = expression["key"], expression["operator"]
    if operator in ("Exists", "DoesNotExist"):
        return key if operator == "Exists" else f"!{key}"
    return f"{key} {'in' if operator == 'In' else 'notin'} ({','.join(expression['values'])})"


def _controller(replica_set: Mapping[str, Any]) -> str | None:
    owners = replica_set["metadata"].get("ownerReferences") or ()
    return next((each["uid"] for each in owners if each.get("controller")), None)


def _revision_of(replica_set: Mapping[str, Any]) -> int:
    return rollout_revision(replica_set["metadata"].get("annotations"))
