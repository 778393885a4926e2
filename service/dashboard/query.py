"""The address of a list: the API's own parameters, and `q` for words to look for."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from msgspec.structs import replace

from service.api.queries import ParsedList
from service.api.resources.processes.resource import READABLE as PROCESSES
from service.errors import BadQueryParameter
from service.model.paging import PageNumbers, PageRequest, page_numbers

WORDS = "q"
LONGEST_WORDS = 200
FIELDS = (WORDS, "types", "space_guids", "label_selector")
"""The parameters that the form of the page has fields for."""

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ListAddress:
    """A list as its address asks for it, and the addresses of its neighbours."""

    parsed: ParsedList
    pairs: Pairs
    """As sent, without those that name the page."""
    path: str = "/"

    @property
    def page(self) -> PageRequest:
        return self.parsed.request.page

    def value(self, name: str) -> str:
        """Of a parameter; empty where it was not sent."""
        return dict(self.pairs).get(name, "")

    @property
    def others(self) -> Pairs:
        """Conditions the form has no field for."""
        return tuple(pair for pair in self.pairs if pair[0] not in (*FIELDS, "order_by"))

    @property
    def filtered(self) -> bool:
        return any(name != "order_by" for name, _ in self.pairs)

    def numbers(self, total_results: int) -> PageNumbers:
        return page_numbers(self.page, total_results)

    def href(self, page: int) -> str:
        """Of another page."""
        return self._href(self.pairs, page)

    def without(self, name: str) -> str:
        """With one condition less, from its first page."""
        return self._href(tuple(pair for pair in self.pairs if pair[0] != name), 1)

    def with_value(self, name: str, value: str) -> str:
        """With a parameter added or replaced, from its first page."""
        return self._href((*(pair for pair in self.pairs if pair[0] != name), (name, value)), 1)

    @property
    def sorted_by(self) -> tuple[str, bool]:
        """The key, and whether descending."""
        request = self.parsed.request
        return request.order, request.descending

    def sort_href(self, key: str) -> str:
        """In the order of a key; in the other direction, where it is in that order already."""
        return self.with_value("order_by", f"-{key}" if self.sorted_by == (key, False) else key)

    def as_json(self) -> str | None:
        """The same of the API, without the part before `/v3`; None where the API has no such question."""
        if self.value(WORDS):
            return None
        return self._href(self.pairs, self.page.page, path="/processes", always=True)

    def stream(self) -> str:
        return self._href(self.pairs, self.page.page, path="/ui/events")

    def _href(self, pairs: Pairs, page: int, *, path: str | None = None, always: bool = False) -> str:
        per_page = self.page.per_page
        own = [("page", str(page))] if page > 1 or always else []
        own += [("per_page", str(per_page))] if per_page != PageRequest().per_page or always else []
        query = urlencode(sorted([*pairs, *own]))
        return (path or self.path) + (f"?{query}" if query else "")


def parse_address(query: str) -> ListAddress:
    """A raw query string. Raises as ListQuery.parse does."""
    kept = [part for part in query.split("&") if part.partition("=")[0] != WORDS]
    parsed = PROCESSES.list_query.parse("&".join(kept))
    words = dict(parse_qsl(query, keep_blank_values=True)).get(WORDS, "").strip()
    if not words:
        return ListAddress(parsed, parsed.kept)
    if len(words) > LONGEST_WORDS:
        raise BadQueryParameter(f"'{WORDS}' must have {LONGEST_WORDS} characters at most")
    request = parsed.request
    filters = replace(request.filters, words=tuple(words.lower().split()))
    return ListAddress(
        replace(parsed, request=replace(request, filters=filters)), tuple(sorted((*parsed.kept, (WORDS, words))))
    )


def tidied(query: str) -> str | None:
    """A form also sends the fields that were left empty: the query without those, if there are any."""
    parts = query.split("&") if query else []
    full = [part for part in parts if not part.endswith("=") and "=" in part]
    empty = [part for part in parts if part.endswith("=") and part[:-1] in (*FIELDS, "order_by", "per_page")]
    return "&".join(full) if empty and len(full) + len(empty) == len(parts) else None
