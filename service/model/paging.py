"""Page arithmetic: which slice a page is, and which pages its neighbours are."""

import msgspec

DEFAULT_PER_PAGE = 50
MAXIMUM_PER_PAGE = 5000
MAXIMUM_PAGE = (1 << 63) - 1


class PageRequest(msgspec.Struct, frozen=True, cache_hash=True):
    """Page number `page`, from 1, of `per_page` items."""

    page: int = 1
    per_page: int = DEFAULT_PER_PAGE

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.per_page


class PageNumbers(msgspec.Struct, frozen=True):
    """The pages around one page. None: there is no such page. A list without items has one, empty page."""

    total_pages: int
    next: int | None
    previous: int | None


def page_numbers(request: PageRequest, total_results: int) -> PageNumbers:
    """Neighbours of a page; from beyond the end, `previous` leads back to the last page."""
    total_pages = max(1, -(-total_results // request.per_page))
    return PageNumbers(
        total_pages,
        next=request.page + 1 if request.page < total_pages else None,
        previous=min(request.page - 1, total_pages) if request.page > 1 else None,
    )
