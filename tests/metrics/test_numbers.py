"""Counts and durations as they are kept."""

import operator
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from service.metrics.numbers import Histogram, Timings
from service.metrics.registry import Metrics

BOUNDS = (0.001, 0.01, 0.1, 1.0)


@given(st.lists(st.sampled_from((0.0, *BOUNDS)) | st.floats(0, 10), max_size=30))
def test_a_histogram_counts_what_is_within_each_bound(values: list[float]) -> None:
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.observe(value)
    metrics = Metrics()
    metrics.histogram("tried_seconds", "Tried.", lambda: {(): histogram})
    (family,) = metrics.collect()
    found = {sample.labels["le"]: sample.value for sample in family.samples if sample.name.endswith("_bucket")}
    assert found == {
        **{str(bound): sum(value <= bound for value in values) for bound in BOUNDS},
        "+Inf": len(values),
    }
    assert [s.value for s in family.samples if s.name.endswith("_count")] == [len(values)]
    # Added up one by one: since Python 3.12 sum() makes up for what rounding loses.
    added = reduce(operator.add, values, 0.0)
    assert [s.value for s in family.samples if s.name.endswith("_sum")] == [added]


def test_series_are_kept_apart_by_labels_and_outcome() -> None:
    timings = Timings(BOUNDS)
    timings.series("GET", "/a").observe(200, 0.5)
    timings.series("GET", "/a").observe(404, 0.5)
    timings.series("GET", "/a").observe(200, 0.5)
    timings.series("GET", "/b").observe("unreachable", 2.0)
    assert timings.outcomes() == {
        ("GET", "/a", "200"): 2,
        ("GET", "/a", "404"): 1,
        ("GET", "/b", "unreachable"): 1,
    }
    assert {labels: sum(histogram.counts) for labels, histogram in timings.seconds().items()} == {
        ("GET", "/a"): 3,
        ("GET", "/b"): 1,
    }
