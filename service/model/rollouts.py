"""How far the newest rollout of a Deployment is, as `kubectl rollout status` reads it."""

from collections.abc import Iterator, Mapping
from typing import TypedDict

from service.model.guids import rollout_guid
from service.model.labels import Keys
from service.model.manifests import Deployment, DeploymentCondition, DeploymentStatus, RollingUpdate
from service.model.texts import LONGEST_REASON, shortened
from service.model.times import SECOND, microseconds

TEMPLATE = b'"f:template"'
"""What managedFields call the Pod template."""
ROLLOUT_REVISION = "deployment.kubernetes.io/revision"
RECREATE = "Recreate"
COMPLETED = "NewReplicaSetAvailable"
"""The reason of the condition `Progressing` from when a rollout is complete until the next one begins."""


class Rollout(TypedDict):
    """The fields of a workload (service.model.process) that tell of its rollout."""

    rollout: int
    cancelled_rollout: int
    rollout_began_at: int
    rollout_took_s: int | None
    rollout_failure: str | None
    max_in_flight: int


def derive_rollout(deployment: Deployment, keys: Keys, created_at: int, changed_at: int, replicas: int) -> Rollout:
    """The times are the Deployment's, in the model's unit; `replicas` is how many it wants."""
    annotations = deployment.metadata.annotations or {}
    revision = rollout_revision(annotations)
    progress = condition(deployment.status, "Progressing")
    complete = _is_complete(deployment, replicas, progress)
    updated_at = progress.lastUpdateTime if progress is not None else None
    progressed_at = None if updated_at is None else microseconds(updated_at)
    cancelled = _cancelled(deployment.metadata.uid, revision, annotations.get(keys.cancelled_deployment))
    # On the way back the last progress is that of what was cancelled.
    began_at = _began_at(deployment, created_at, progressed_at if complete or not cancelled else None)
    stuck = progress is not None and progress.reason == "ProgressDeadlineExceeded" and not complete
    return Rollout(
        rollout=revision,
        cancelled_rollout=cancelled,
        # Mostly it is the last change that began it: one object for both.
        rollout_began_at=changed_at if began_at == changed_at else began_at,
        # Kubernetes' times are whole seconds: their difference is a small number, which takes no memory.
        rollout_took_s=max(0, (progressed_at or 0) - began_at) // SECOND if complete else None,
        rollout_failure=_failure(progress) if progress and stuck else None,
        max_in_flight=_max_in_flight(deployment, replicas),
    )


def rollout_revision(annotations: Mapping[str, str] | None) -> int:
    """The revision that a Deployment, or a ReplicaSet that it has made, is at; 0 where none can be read."""
    text = (annotations or {}).get(ROLLOUT_REVISION, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0


def _cancelled(uid: str, revision: int, named: str | None) -> int:
    """The revision that the rollout of this name has brought, if the present one is the way back from it; else 0.

    A Deployment is taken back and told from which rollout in one patch. Kubernetes gives it the next revision then, a
    moment later; and with the one after that, it is neither this rollout nor the way back any more.
    """
    if named is None:
        return 0
    return next((each for each in (revision, revision - 1) if each > 0 and rollout_guid(uid, each) == named), 0)


def _failure(progress: DeploymentCondition) -> str:
    return shortened(progress.message or progress.reason or "", LONGEST_REASON)


def condition(status: DeploymentStatus | None, kind: str) -> DeploymentCondition | None:
    return next((each for each in (status and status.conditions) or () if each.type == kind), None)


def _is_complete(deployment: Deployment, replicas: int, progress: DeploymentCondition | None) -> bool:
    """Whether nothing is left to be rolled out.

    A Deployment that is only scaled, or of which a Pod is replaced, has not as many Pods as it wants either; but it
    goes on saying that its rollout is complete. Of a rollout back to an earlier ReplicaSet it may say so at first, too,
    while the Pods that are to go are still there.
    """
    status = deployment.status or DeploymentStatus()
    updated = status.updatedReplicas or 0
    if (status.observedGeneration or 0) < deployment.metadata.generation or (status.replicas or 0) > updated:
        return False
    if progress is not None and progress.reason == COMPLETED and progress.status == "True":
        return True
    return updated >= replicas and (status.availableReplicas or 0) >= updated


def _began_at(deployment: Deployment, created_at: int, progressed_at: int | None) -> int:
    """When the template was last set, which is when a rollout begins.

    No object says just that. Who has set the template may have set other fields later, with the same managedFields; but
    not before the rollout that they began came to any progress.
    """
    moments = list(_template_set_at(deployment))
    if not moments:
        return created_at
    began_at = max(moments) if progressed_at is None else min(max(moments), progressed_at)
    return max(created_at, began_at)


def _template_set_at(deployment: Deployment) -> Iterator[int]:
    for managed in deployment.metadata.managedFields or ():
        if managed.time is not None and not managed.subresource and TEMPLATE in bytes(managed.fieldsV1):
            yield microseconds(managed.time)


def _max_in_flight(deployment: Deployment, replicas: int) -> int:
    strategy = deployment.spec.strategy
    if strategy is not None and strategy.type == RECREATE:
        return max(1, replicas)
    update = (strategy and strategy.rollingUpdate) or RollingUpdate()
    # Kubernetes rounds the one up and the other down.
    return max(
        1, -(-_hundredths(update.maxSurge, replicas) // 100) + _hundredths(update.maxUnavailable, replicas) // 100
    )


def _hundredths(amount: int | str | None, replicas: int) -> int:
    """Hundreds of a number, or of a percentage of the replicas; 25 %, Kubernetes' default, where there is none."""
    if isinstance(amount, int):
        return amount * 100
    digits = (amount or "25%").removesuffix("%")
    return int(digits) * replicas if digits.isascii() and digits.isdigit() and len(digits) <= 4 else 0
