"""What a page costs for a caller who sees only some of the namespaces: the index alone, in this process."""

import random
import statistics
import time

from service.model.index import Index
from service.model.selection import Slice
from service.model.views import Visible
from tests.bench import population
from tests.bench.report import Row
from tests.model.builders import workload

COUNT, NAMESPACES = 100_000, 1_000
_SEEN = (1, 10, 100, 500, 900, 999)
_REPEATS = 31
_SIZE = 50


def measure() -> list[Row]:
    index = _index()
    names = sorted(index.processes.namespaces())
    random.Random(1).shuffle(names)
    everything = " / ".join(f"{us:,.0f}" for us in _cost_us(index, None))
    return [Row("a page of the index, first / middle / last page: all namespaces", f"{everything} µs")] + [
        Row(
            f"… {seen} of {NAMESPACES:,} namespaces",
            " / ".join(f"{us:,.0f}" for us in _cost_us(index, frozenset(names[:seen]))) + " µs",
            f"all: {everything} µs",
        )
        for seen in _SEEN
    ]


def _index() -> Index:
    index = Index()
    for n in range(COUNT):
        created_at = int(population.created(n, COUNT).timestamp()) * 1_000_000
        space = population.namespace(n, NAMESPACES)
        app, kind = population.app_guid(n), population.process_type(n)
        index.put_workload(workload(f"{n:08x}", namespace=space, app_guid=app, type=kind, created_at=created_at))
    return index


def _cost_us(index: Index, visible: Visible) -> list[float]:
    total = index.processes.page(visible, Slice(size=1)).total_results
    return [_page_cost_us(index, visible, start) for start in (0, total // 2, max(0, total - _SIZE))]


def _page_cost_us(index: Index, visible: Visible, start: int) -> float:
    took = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        index.processes.page(visible, Slice(start=start, size=_SIZE))
        took.append((time.perf_counter() - began) * 1e6)
    return statistics.median(took)
