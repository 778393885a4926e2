"""The ways to both stores, as this service and its callers go them."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from service.cluster.client import Client
from service.cluster.usage import UsageReader
from service.metrics import catalogue
from service.metrics.registry import Metrics
from service.settings import Settings
from service.store.database import Pool


@dataclass(frozen=True)
class Stores:
    """The ways to the cluster, as ourselves and for callers, and to Postgres; none has been asked yet."""

    client: Client
    callers: Client
    usage: UsageReader
    pool: Pool

    @classmethod
    async def connect(cls, stack: AsyncExitStack, settings: Settings, metrics: Metrics) -> "Stores":
        """To be closed with the stack."""
        client = await Client.connect(
            settings.kubeconfig,
            settings.kube_context,
            timeout_s=settings.kube_timeout_s,
            on_answer=catalogue.measure_kube_requests(metrics),
        )
        stack.push_async_callback(client.close)
        callers = client.without_identity()
        stack.push_async_callback(callers.close)
        usage = UsageReader(client, settings.keys, interval_s=settings.usage_interval_s)
        stack.push_async_callback(usage.close)
        pool = await Pool.open(
            settings.database_url, size=settings.database_pool_size, timeout_s=settings.database_timeout_s
        )
        stack.push_async_callback(pool.close)
        catalogue.measure_pool(metrics, pool)
        return cls(client, callers, usage, pool)
