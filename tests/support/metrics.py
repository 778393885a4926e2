"""What /metrics says, to be asked for single values."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from service.lost_versions import RETRY_S
from tests.support.api import Api


@dataclass
class Scrape:
    """One answer of /metrics."""

    families: list[Metric]
    text: str

    def value(self, name: str, **labels: str) -> float:
        """The sum of all samples of that name with these labels, whatever others they have; 0 where there is none."""
        return sum(
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def asked(self) -> float:
        """How many reviews and Deployments the service has asked kube-apiserver for, watches apart.

        kube-apiserver's own count has also what controllers list as they clear away what earlier tests have made.
        """
        name, resources = (
            "cf_processes_kube_requests_total",
            (
                "tokenreviews.authentication.k8s.io",
                "subjectaccessreviews.authorization.k8s.io",
                "deployments.apps",
            ),
        )
        return sum(
            self.value(name, resource=each) - self.value(name, resource=each, verb="watch") for each in resources
        )

    def labels(self) -> dict[str, set[str]]:
        """The label names of each sample's name."""
        found: dict[str, set[str]] = defaultdict(set)
        for family in self.families:
            for sample in family.samples:
                found[sample.name].update(sample.labels)
        return found

    def label_values(self) -> set[str]:
        return {value for family in self.families for sample in family.samples for value in sample.labels.values()}


async def start_over() -> None:
    """Comes back when a service that is ready has also asked what it asks once after its start."""
    await asyncio.sleep(RETRY_S + 0.5)


async def scrape(api: Api) -> Scrape:
    reply = await api.manage("/metrics")
    assert reply.status == 200
    text = reply.body.decode()
    return Scrape(list(text_string_to_metric_families(text)), text)
