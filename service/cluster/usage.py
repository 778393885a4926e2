"""The CPU and memory that Pods use, as metrics.k8s.io last sampled it.

https://kubernetes.io/docs/reference/external-api/metrics.v1beta1/
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from service.cache import RecencyCache
from service.cluster.client import Client, ClusterUnreachable, UnexpectedStatus
from service.cluster.under_way import UnderWay
from service.model.labels import Keys
from service.model.manifests import Time
from service.model.quantity import parse_nanos, parse_quantity
from service.model.times import microseconds
from service.model.usage import Usage
from service.pacing import Pace
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


Sample = Mapping[tuple[str, str], Usage]
"""The usage of the Pods of a namespace, by (Pod, container)."""

CAPACITY = 16 << 20
"""Bytes of samples that are kept: some 40,000 Pods."""
ENTRY_BYTES = 400
"""What the usage of one container takes, about: two names, the numbers, and its place in a table."""
PATIENCE_S = 2.0
"""How long somebody waits for a sample; the request goes on, and the next who asks may find it there."""
RETRY_S = 5.0
"""How long after a failure nobody asks again."""
AT_A_TIME = 4
"""Namespaces asked about at a time."""


@dataclass(frozen=True, slots=True)
class _Kept:
    sample: Sample | None
    """None: it could not be had."""
    until: float


class UsageReader:
    """Samples by namespace, each asked for once in an interval, however many ask for it."""

    def __init__(
        self, client: Client, keys: Keys, *, interval_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._keys = keys
        self._interval_s = interval_s
        self._clock = clock
        self._kept: RecencyCache[str, _Kept] = RecencyCache(CAPACITY)
        self._under_way: UnderWay[str, Sample] = UnderWay()
        self._slots = asyncio.Semaphore(AT_A_TIME)

    async def of_namespace(self, namespace: str) -> Sample:
        """The usage of the apps' Pods in a namespace. Raises UsageUnavailable."""
        kept = self._kept.get(namespace)
        if kept is not None and self._clock() < kept.until:
            if kept.sample is None:
                raise UsageUnavailable
            return kept.sample
        task = self._under_way.get(namespace) or self._under_way.begin(namespace, self._ask(namespace))
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
        if not done:
            raise UsageUnavailable
        return task.result()

    async def close(self) -> None:
        """Give up what is under way."""
        await self._under_way.close()

    async def _ask(self, namespace: str) -> Sample:
        path = f"{METRICS_API}/namespaces/{namespace}/pods"
        try:
            async with self._slots:
                listed = _decode(await self._client.get(path, {"labelSelector": self._keys.app_guid}))
            sample: dict[tuple[str, str], Usage] = {}
            await Pace().run(_read(listed, sample))
        except (ClusterUnreachable, UnexpectedStatus, msgspec.DecodeError, ValueError, OverflowError) as error:
            log.info("usage unavailable", namespace=namespace, reason=getattr(error, "reason", str(error)))
            self._kept.put(namespace, _Kept(None, self._clock() + RETRY_S), ENTRY_BYTES)
            raise UsageUnavailable from error
        size = ENTRY_BYTES * (len(sample) + 1)
        self._kept.put(namespace, _Kept(sample, self._clock() + self._interval_s), size, alone=True)
        return sample


def _read(listed: _List, sample: dict[tuple[str, str], Usage]) -> Iterator[None]:
    """Fill a sample, step by step. Raises ValueError and OverflowError for what is none."""
    for pod in listed.items:
        for container in pod.containers:
            if container.usage.keys() >= {"cpu", "memory"}:
                sample[pod.metadata.name, container.name] = Usage(
                    sampled_at=microseconds(pod.timestamp),
                    cpu_nanos=parse_nanos(container.usage["cpu"]),
                    memory=parse_quantity(container.usage["memory"]),
                )
        yield
