"""What this service reads of the objects that Kubernetes sends: the fields it needs, under Kubernetes' own names.

A field that is absent and one that is null mean the same here. A field of another shape fails decoding
(msgspec.ValidationError), and the object is then skipped and reported.
"""

from datetime import datetime
from typing import Annotated

import msgspec

from service.model.probes import Probe

Time = Annotated[datetime, msgspec.Meta(tz=True)]


class ManagedFields(msgspec.Struct, gc=False):
    time: Time | None = None
    subresource: str | None = None
    fieldsV1: msgspec.Raw = msgspec.Raw()
    """Names what the manager has set. It is searched for a name, and never decoded."""


class ObjectMeta(msgspec.Struct, gc=False):
    name: str
    uid: str
    creationTimestamp: Time
    namespace: str = ""
    resourceVersion: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    managedFields: list[ManagedFields] | None = None
    deletionTimestamp: Time | None = None
    generation: int = 0


class ResourceRequirements(msgspec.Struct, gc=False):
    limits: dict[str, str | int | float] | None = None
    requests: dict[str, str | int | float] | None = None


class ContainerPort(msgspec.Struct, gc=False):
    containerPort: int
    name: str | None = None
    hostPort: int | None = None


class SecurityContext(msgspec.Struct, gc=False):
    runAsUser: int | None = None


class NamedContainer(msgspec.Struct, gc=False):
    name: str = ""


class CommandedContainer(NamedContainer, gc=False):
    command: list[str] | None = None
    args: list[str] | None = None
    resources: ResourceRequirements | None = None


class InitContainer(CommandedContainer, gc=False):
    restartPolicy: str | None = None
    """`Always`: it goes on running beside the others."""


class Container(CommandedContainer, gc=False):
    image: str | None = None
    ports: list[ContainerPort] | None = None
    livenessProbe: Probe | None = None
    readinessProbe: Probe | None = None
    startupProbe: Probe | None = None
    securityContext: SecurityContext | None = None


class LocalObjectReference(msgspec.Struct, gc=False):
    name: str | None = None


class PodSpec(msgspec.Struct, gc=False):
    containers: list[Container]
    securityContext: SecurityContext | None = None
    imagePullSecrets: list[LocalObjectReference] | None = None
    nodeName: str | None = None
    resources: ResourceRequirements | None = None
    """The requests and limits of the whole Pod, all of its containers together."""


class PodTemplateMeta(msgspec.Struct, gc=False):
    annotations: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class TemplateSpec(PodSpec, gc=False):
    initContainers: list[InitContainer] | None = None


class PodTemplate(msgspec.Struct, gc=False):
    spec: TemplateSpec
    metadata: PodTemplateMeta | None = None


class RollingUpdate(msgspec.Struct, gc=False):
    maxSurge: int | str | None = None
    maxUnavailable: int | str | None = None


class DeploymentStrategy(msgspec.Struct, gc=False):
    type: str | None = None
    rollingUpdate: RollingUpdate | None = None


class DeploymentSpec(msgspec.Struct, gc=False):
    template: PodTemplate
    replicas: int | None = None
    paused: bool | None = None
    strategy: DeploymentStrategy | None = None


class DeploymentCondition(msgspec.Struct, gc=False):
    type: str
    status: str
    reason: str | None = None
    message: str | None = None
    lastUpdateTime: Time | None = None


class DeploymentStatus(msgspec.Struct, gc=False):
    conditions: list[DeploymentCondition] | None = None
    observedGeneration: int | None = None
    replicas: int | None = None
    updatedReplicas: int | None = None
    availableReplicas: int | None = None


class Deployment(msgspec.Struct, gc=False):
    metadata: ObjectMeta
    spec: DeploymentSpec
    status: DeploymentStatus | None = None


class Namespace(msgspec.Struct, gc=False):
    metadata: ObjectMeta


class OwnerReference(msgspec.Struct, gc=False):
    kind: str = ""
    uid: str = ""
    controller: bool | None = None


class ReplicaSetMeta(msgspec.Struct, gc=False):
    uid: str
    annotations: dict[str, str] | None = None
    ownerReferences: list[OwnerReference] | None = None


class ReplicaSetTemplate(msgspec.Struct, gc=False):
    class Spec(msgspec.Struct, gc=False):
        containers: list[NamedContainer]

    spec: Spec
    metadata: PodTemplateMeta | None = None


class ReplicaSetSpec(msgspec.Struct, gc=False):
    template: ReplicaSetTemplate
    replicas: int | None = None


class ReplicaSetStatus(msgspec.Struct, gc=False):
    replicas: int | None = None


class ReplicaSetObject(msgspec.Struct, gc=False):
    metadata: ReplicaSetMeta
    spec: ReplicaSetSpec
    status: ReplicaSetStatus | None = None


class PodMeta(ObjectMeta, gc=False):
    deletionGracePeriodSeconds: int | None = None
    ownerReferences: list[OwnerReference] | None = None


class Condition(msgspec.Struct, gc=False):
    type: str
    status: str
    lastTransitionTime: Time | None = None
    reason: str | None = None
    message: str | None = None


class Waiting(msgspec.Struct, gc=False):
    reason: str | None = None
    message: str | None = None


class Running(msgspec.Struct, gc=False):
    startedAt: Time | None = None


class Terminated(msgspec.Struct, gc=False):
    exitCode: int = 0
    reason: str | None = None
    message: str | None = None
    finishedAt: Time | None = None


class ContainerState(msgspec.Struct, gc=False):
    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(msgspec.Struct, gc=False):
    name: str
    started: bool | None = None
    ready: bool | None = None
    state: ContainerState | None = None
    lastState: ContainerState | None = None


class PodStatus(msgspec.Struct, gc=False):
    phase: str = ""
    hostIP: str = ""
    podIP: str = ""
    conditions: list[Condition] | None = None
    containerStatuses: list[ContainerStatus] | None = None
    initContainerStatuses: list[ContainerStatus] | None = None


class PodObject(msgspec.Struct, gc=False):
    metadata: PodMeta
    spec: PodSpec
    status: PodStatus = msgspec.field(default_factory=PodStatus)
