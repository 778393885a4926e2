"""Rows of Postgres that name resourceVersions of a history that etcd, restored from a backup, has ended.

Reads would wait for those until the new history comes to them, and each write would name them again, as a row keeps the
latest version. So whenever all Deployments have been listed, rows that name a version which the cluster has not come to
are lowered to the one it is at. That any replica may do, and it does no harm where others do it too.
"""

import asyncio

from service.cluster.client import Client, ClusterUnreachable, UnexpectedStatus
from service.cluster.collection import latest_version
from service.cluster.feeds import DEPLOYMENTS
from service.health import Health
from service.store.database import DatabaseUnavailable
from service.store.records import Records
from service.telemetry import get_logger

log = get_logger(__name__)

RETRY_S = 1.0


class LostVersions:
    def __init__(self, client: Client, records: Records, health: Health) -> None:
        self._client = client
        self._records = records
        self._health = health
        self._wanted = asyncio.Event()

    def due(self) -> None:
        """The cluster may have been restored since rows were last looked at."""
        self._wanted.set()

    async def run(self) -> None:
        """Look whenever that is due, until cancelled."""
        while True:
            await self._wanted.wait()
            if not self._health.loaded:
                # There may be no table yet.
                await asyncio.sleep(RETRY_S)
                continue
            self._wanted.clear()
            try:
                if lowered := await self._records.lower_versions(lambda: latest_version(self._client, DEPLOYMENTS)):
                    log.warning("rows named versions that the cluster has not come to", rows=lowered)
            except (ClusterUnreachable, UnexpectedStatus, DatabaseUnavailable) as error:
                log.info("rows not looked at for versions that are lost", reason=type(error).__name__)
                self.due()
                await asyncio.sleep(RETRY_S)
            except Exception:
                # A defect of ours in this must not end the service: reads that wait for such a version do so in vain.
                log.exception("rows not looked at for versions that are lost")
