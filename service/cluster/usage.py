"""The CPU and memory that Pods use, as metrics.k8s.io last sampled it.

https://kubernetes.io/docs/reference/external-api/metrics.v1beta1/
"""

from collections.abc import Mapping

import msgspec

from service.cluster.client import Client, ClusterUnreachable, UnexpectedStatus
from service.model.labels import Keys
from service.model.manifests import Time
from service.model.process import microseconds
from service.model.quantity import parse_nanos, parse_quantity
from service.model.usage import Usage
from service.telemetry import get_logger

log = get_logger(__name__)

METRICS_API = "/apis/metrics.k8s.io/v1beta1"


class UsageUnavailable(Exception):
    """The metrics API is not there, or does not answer as it should."""


class _Container(msgspec.Struct, gc=False):
    name: str
    usage: dict[str, str]


class _PodMetrics(msgspec.Struct, gc=False):
    class Meta(msgspec.Struct, gc=False):
        name: str

    metadata: Meta
    timestamp: Time
    containers: list[_Container]


class _List(msgspec.Struct, gc=False):
    items: list[_PodMetrics]


_decode = msgspec.json.Decoder(_List).decode


class UsageReader:
    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def of_app(self, namespace: str, app_guid: str) -> Mapping[tuple[str, str], Usage]:
        """The usage of the app's Pods in the namespace, by (Pod, container). One request. Raises UsageUnavailable."""
        path = f"{METRICS_API}/namespaces/{namespace}/pods"
        try:
            listed = _decode(await self._client.get(path, {"labelSelector": f"{self._keys.app_guid}={app_guid}"}))
            return {
                (pod.metadata.name, container.name): Usage(
                    sampled_at=microseconds(pod.timestamp),
                    cpu_nanos=parse_nanos(container.usage["cpu"]),
                    memory=parse_quantity(container.usage["memory"]),
                )
                for pod in listed.items
                for container in pod.containers
                if container.usage.keys() >= {"cpu", "memory"}
            }
        except (ClusterUnreachable, UnexpectedStatus, msgspec.DecodeError, ValueError, OverflowError) as error:
            log.info("usage unavailable", namespace=namespace, reason=getattr(error, "reason", str(error)))
            raise UsageUnavailable from error
