"""Page arithmetic, and that following `next` sees every process exactly once."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.model.index import Index
from service.model.paging import (
    DEFAULT_PER_PAGE,
    MAXIMUM_PAGE,
    MAXIMUM_PER_PAGE,
    PageNumbers,
    PageRequest,
    page_numbers,
)
from service.model.process import Process
from service.model.selection import CREATED_AT, NO_FILTERS, UPDATED_AT, Filters, Slice
from service.model.selectors import Operator, Range, Requirement
from service.model.views import Visible
from tests.model.builders import filters, index_of, metadata, select, workload

totals = st.integers(0, 10_000)
requests = st.builds(
    PageRequest, st.one_of(st.integers(1, 50), st.integers(1, MAXIMUM_PAGE)), st.integers(1, MAXIMUM_PER_PAGE)
)


def test_the_first_page_of_fifty_is_the_default() -> None:
    assert PageRequest() == PageRequest(page=1, per_page=50)
    assert (DEFAULT_PER_PAGE, MAXIMUM_PER_PAGE) == (50, 5000)


def test_a_list_without_items_has_one_empty_page() -> None:
    assert page_numbers(PageRequest(), 0) == PageNumbers(total_pages=1, next=None, previous=None)


def test_a_full_last_page_is_not_followed_by_an_empty_one() -> None:
    assert page_numbers(PageRequest(2, 50), 100) == PageNumbers(total_pages=2, next=None, previous=1)


def test_one_item_more_makes_one_page_more() -> None:
    assert page_numbers(PageRequest(2, 50), 101) == PageNumbers(total_pages=3, next=3, previous=1)


def test_from_the_page_after_the_last_previous_is_the_last() -> None:
    assert page_numbers(PageRequest(4, 50), 101) == PageNumbers(total_pages=3, next=None, previous=3)


def test_from_far_beyond_the_end_previous_is_the_last() -> None:
    assert page_numbers(PageRequest(MAXIMUM_PAGE, 5000), 101) == PageNumbers(total_pages=1, next=None, previous=1)


@given(requests, totals)
@example(PageRequest(2, 1), 0)
def test_neighbours_are_pages_that_exist(request: PageRequest, total: int) -> None:
    numbers = page_numbers(request, total)
    pages = range(1, numbers.total_pages + 1)
    assert (numbers.total_pages - 1) * request.per_page < max(total, 1) <= numbers.total_pages * request.per_page
    assert (numbers.next is not None) == (request.page in pages[:-1])
    assert (numbers.previous is not None) == (request.page > 1)
    assert numbers.next in (None, request.page + 1)
    assert numbers.previous is None or numbers.previous == min(request.page - 1, pages[-1])


@given(requests)
def test_pages_touch_without_overlap(request: PageRequest) -> None:
    following = PageRequest(request.page + 1, request.per_page)
    assert following.offset == request.offset + request.per_page
    assert PageRequest(1, request.per_page).offset == 0


NAMESPACES = [f"space-{n}" for n in range(6)]
TYPES = ["web", "worker", "clock"]


@st.composite
def indexes(draw: st.DrawFn) -> Index:
    """Up to 150 processes, with many equal sort keys."""
    random = draw(st.randoms(use_true_random=False))
    count = draw(st.integers(0, 150))
    workloads = [
        workload(
            f"u{n}",
            guid=f"{random.getrandbits(32):08x}-{n}",
            namespace=random.choice(NAMESPACES),
            type=random.choice(TYPES),
            created_at=(created_at := random.randrange(4)),
            changed_at=created_at + random.randrange(4),
        )
        for n in range(count)
    ]
    rows = [
        metadata(w.app_guid, w.type, labels={"tier": random.choice("abc")}, updated_at=random.randrange(8))
        for w in workloads
        if random.random() < 0.5
    ]
    return index_of(workloads, rows)


FILTERS = [
    NO_FILTERS,
    filters(types=frozenset({"web", "clock", "unknown"})),
    filters(types=frozenset({"worker"}), labels=(Requirement("tier", Operator.NOT_IN, frozenset("a")),)),
    filters(labels=(Requirement("tier", Operator.EXISTS),)),
    filters(updated_at=((Range(2, None),),)),
    filters(types=frozenset()),
]


def sort_key(process: Process, order: str) -> tuple[int, str, str]:
    key = process.workload.created_at if order == CREATED_AT else process.updated_at
    return key, process.guid, process.workload.namespace


@settings(max_examples=60)
@given(
    index=indexes(),
    wanted=st.sampled_from(FILTERS),
    visible=st.one_of(st.none(), st.frozensets(st.sampled_from([*NAMESPACES, "unknown"]))),
    order=st.sampled_from([CREATED_AT, UPDATED_AT]),
    descending=st.booleans(),
    per_page=st.integers(1, 70),
)
def test_following_next_visits_each_process_exactly_once_in_order(
    index: Index, wanted: Filters, visible: Visible, order: str, descending: bool, per_page: int
) -> None:
    whole = select(index, wanted, visible, order, descending=descending)
    keys = [sort_key(process, order) for process in whole.items]
    assert keys == sorted(set(keys), reverse=descending)
    assert len(keys) == whole.total_results

    visited = []
    number: int | None = 1
    while number is not None:
        request = PageRequest(number, per_page)
        if wanted == NO_FILTERS:
            page = index.processes.page(visible, Slice(order, descending, request.offset, per_page))
        else:
            page = select(index, wanted, visible, order, descending=descending, start=request.offset, size=per_page)
        assert page.total_results == whole.total_results
        visited += page.items
        number = page_numbers(request, page.total_results).next
    assert visited == whole.items
