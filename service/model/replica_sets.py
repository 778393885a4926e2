"""ReplicaSets: the link between a Pod and the Deployment it is an instance of, and what is needed of them for that."""

import sys

import msgspec

from service.model.derive import app_container
from service.model.manifests import ReplicaSetObject
from service.model.rollouts import rollout_revision


class ReplicaSet(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one ReplicaSet says of the Pods that it makes."""

    uid: str
    deployment: str | None
    """The uid of the Deployment that it belongs to now; None: it belongs to none."""
    revision: int
    """The revision of its Deployment: the highest is the newest. A rollback raises that of the one it goes back to."""
    container: str
    """The name of the app container in the Pods as they are asked for, before anyone has injected others."""
    spent: bool
    """Whether it neither wants a Pod nor has one that is not being deleted."""


def derive_replica_set(found: ReplicaSetObject) -> ReplicaSet:
    """Raises Unparsable for one whose Pods have no container."""
    meta, template = found.metadata, found.spec.template
    replicas = 1 if found.spec.replicas is None else found.spec.replicas
    container = app_container(template.spec.containers, template.metadata.annotations if template.metadata else None)
    return ReplicaSet(
        uid=sys.intern(meta.uid),
        deployment=_deployment(found),
        revision=rollout_revision(meta.annotations),
        container=sys.intern(container.name),
        spent=not replicas and not (found.status and found.status.replicas),
    )


def _deployment(found: ReplicaSetObject) -> str | None:
    for owner in found.metadata.ownerReferences or ():
        if owner.controller and owner.kind == "Deployment" and owner.uid:
            return sys.intern(owner.uid)
    return None
