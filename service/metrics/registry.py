"""What /metrics says: numbers that are read where they are kept at the moment somebody asks."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from service.metrics.numbers import Histogram, Labels

PREFIX = "cf_processes_"

Reading = float | Mapping[Labels, float]
"""One value, or one for each combination of label values."""


class Metrics(Collector):
    """The metrics of one application, and of the process it runs in."""

    def __init__(self) -> None:
        # Not the library's own, which is the process's: tests run several services in one.
        self._registry = CollectorRegistry()
        self._families: list[Callable[[], Metric]] = []
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def gauge(self, name: str, text: str, read: Callable[[], Reading], *labels: str) -> None:
        """A value that goes up and down. `name` goes without the prefix; `text` says what it means."""
        self._families.append(lambda: _filled(GaugeMetricFamily(PREFIX + name, text, labels=labels), read()))

    def counter(self, name: str, text: str, read: Callable[[], Reading], *labels: str) -> None:
        """A value that only grows. `name` ends in `_total`."""
        self._families.append(lambda: _filled(CounterMetricFamily(PREFIX + name, text, labels=labels), read()))

    def histogram(self, name: str, text: str, read: Callable[[], Mapping[Labels, Histogram]], *labels: str) -> None:
        """Values by how large they are. `name` ends in their unit."""

        def family() -> Metric:
            made = HistogramMetricFamily(PREFIX + name, text, labels=labels)
            for values, histogram in read().items():
                made.add_metric(values, list(_buckets(histogram)), histogram.total)
            return made

        self._families.append(family)

    def collect(self) -> Iterable[Metric]:
        """All metrics with their values of now; prometheus_client calls it."""
        return [family() for family in self._families]

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Everything, in the format an Accept header asks for, and the content type of that."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


def _filled(family: GaugeMetricFamily | CounterMetricFamily, reading: Reading) -> Metric:
    for values, value in reading.items() if isinstance(reading, Mapping) else (((), reading),):
        family.add_metric(values, value)
    return family


def _buckets(histogram: Histogram) -> Iterable[tuple[str, float]]:
    """The buckets as Prometheus counts: each with the observations of all below it."""
    within = 0
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        within += count
        yield bound, within
