"""A real cluster in which nothing happens: its watches are silent, and that is no trouble.

Compressed: each INACTIVITY_S stands for the half minute of WATCH_INACTIVITY_S, all of it for three minutes.
"""

import asyncio
from dataclasses import replace
from uuid import uuid4

from structlog.testing import capture_logs

from service.settings import Settings
from tests.support.api import running
from tests.support.kube import Kube, deployment, eventually
from tests.support.metrics import scrape

INACTIVITY_S = 2
QUIET_S = 6 * INACTIVITY_S
WATCHES = ("deployments", "namespaces", "pods")


async def test_quiet_cluster_is_followed_without_a_word_and_without_a_loss(
    settings: Settings, operator_token: str, kube: Kube, space: str
) -> None:
    with capture_logs() as logged:
        async with running(replace(settings, watch_inactivity_s=INACTIVITY_S), token=operator_token) as api:
            listed = {entry["path"] for entry in logged if entry["event"] == "listed"}
            for _ in range(QUIET_S):
                await asyncio.sleep(1)
                report = (await api.manage("/readyz")).json
                assert [report["watches"][watch]["age_s"] for watch in WATCHES] == [0, 0, 0]
            found = await scrape(api)
            # Of Namespaces, as what earlier tests have made is still being cleared away by controllers.
            opened = found.value("cf_processes_kube_requests_total", verb="watch", resource="namespaces", outcome="200")
            assert opened >= 2, "a watch that is silent is opened again"
            assert found.value("cf_processes_watch_restarts_total") == 0
            assert found.value("cf_processes_watch_relists_total") == 0
            app = str(uuid4())
            await kube.create(deployment("web", space, app))

            async def shown() -> bool:
                return (await api.get(f"/v3/apps/{app}/processes/web")).status == 200

            await eventually(shown, 2)
    # Watches of Pods are two: of the Pods, and of the ReplicaSets they belong to.
    assert {path.rpartition("/")[2] for path in listed} >= {*WATCHES, "replicasets"}
    assert [entry for entry in logged if entry["log_level"] not in ("debug", "info")] == []
