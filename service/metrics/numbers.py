"""Counts and durations as they are kept while requests are answered.

Plain numbers, as there is one event loop and so nobody to lock out: a counter and a histogram of Prometheus' own client
take several times as long, and every request would pay for it.
"""

from bisect import bisect_left
from collections.abc import Mapping

Labels = tuple[str, ...]


class Histogram:
    """How many observations were within each of the ascending `bounds`, and beyond the last."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """How many observations fell between each bound and the one before it; last, those beyond all bounds."""
        self.total = 0.0
        """The sum of all observations."""

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Series:
    """Things of one kind, such as requests by one route: how many had each outcome, and how long all of them took."""

    __slots__ = ("outcomes", "seconds")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.outcomes: dict[str | int, int] = {}
        self.seconds = Histogram(bounds)

    def observe(self, outcome: str | int, seconds: float) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.seconds.observe(seconds)


class Timings:
    """Series by labels. Whoever observes often should keep the series rather than look it up again."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._series: dict[Labels, Series] = {}

    def series(self, *labels: str) -> Series:
        """The series of these labels. There must be few combinations of values: each series stays for ever."""
        found = self._series.get(labels)
        if found is None:
            found = self._series[labels] = Series(self._bounds)
        return found

    def outcomes(self) -> Mapping[Labels, float]:
        """Counts, by the labels with the outcome as the last of them."""
        return {
            (*labels, str(outcome)): count
            for labels, series in self._series.items()
            for outcome, count in series.outcomes.items()
        }

    def seconds(self) -> Mapping[Labels, Histogram]:
        """Durations by labels."""
        return {labels: series.seconds for labels, series in self._series.items()}


class Requests(Timings):
    """The API's requests, by method and route, with the status as outcome."""

    in_flight = 0
    """Requests that are being worked on now."""
