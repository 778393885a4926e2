"""The address of a list: the API's own parameters, and `q` for words to look for."""

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from service.api.queries import ParsedList
from service.api.readable import Readable
from service.api.resources.apps.resource import READABLE as APPS
from service.api.resources.organizations import READABLE as ORGANIZATIONS
from service.api.resources.processes.resource import READABLE as PROCESSES
from service.api.resources.spaces import READABLE as SPACES
from service.errors import BadQueryParameter
from service.model.apps import NAME
from service.model.paging import PageNumbers, PageRequest, page_numbers
from service.model.selection import CREATED_AT

WORDS = "q"
LONGEST_WORDS = 200

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Listing:
    """A list that a page shows."""

    readable: Readable[Any]
    path: str
    """The path of the page."""
    order: str = NAME
    """The order where none is asked for."""
    stream: str = ""
    """Where its page is kept up to date; empty: nowhere."""
    fields: tuple[str, ...] = (WORDS,)
    """The parameters that the form of the page has fields for."""
    within: Pairs = ()
    """The conditions that the path stands for."""
    refused: tuple[str, ...] = ("include",)
    """What the API takes and a page has no place for."""


PROCESS_LIST = Listing(
    PROCESSES,
    "/",
    order=CREATED_AT,
    stream="/ui/events",
    fields=(WORDS, "types", "space_guids", "label_selector"),
    refused=(),
)
APP_LIST = Listing(APPS, "/ui/apps", stream="/ui/lists/apps/events", fields=(WORDS, "space_guids", "label_selector"))
SPACE_LIST = Listing(SPACES, "/ui/spaces")
ORGANIZATION_LIST = Listing(ORGANIZATIONS, "/ui/organizations", refused=())


def apps_of_space(guid: str) -> Listing:
    """The apps of one space."""
    path = f"/ui/spaces/{quote(guid, safe='')}"
    return replace(
        APP_LIST,
        path=path,
        stream=f"{path}/events",
        fields=(WORDS, "label_selector"),
        within=(("space_guids", guid),),
    )


def spaces_of_organization(guid: str) -> Listing:
    """The spaces of one organization."""
    path = f"/ui/organizations/{quote(guid, safe='')}"
    return replace(SPACE_LIST, path=path, within=(("organization_guids", guid),))


@dataclass(frozen=True)
class ListAddress:
    """A list as its address asks for it, and the addresses of its neighbours."""

    listing: Listing
    parsed: ParsedList
    pairs: Pairs
    """As sent, without those that name the page."""

    @property
    def page(self) -> PageRequest:
        return self.parsed.request.page

    @property
    def path(self) -> str:
        return self.listing.path

    def value(self, name: str) -> str:
        """The value of a parameter; empty where it was not sent."""
        return dict(self.pairs).get(name, "")

    @property
    def others(self) -> Pairs:
        """Conditions the form has no field for."""
        return tuple(pair for pair in self.unasked if pair[0] != "order_by")

    @property
    def unasked(self) -> Pairs:
        """What the form sends along without a field for it."""
        return tuple(pair for pair in self.pairs if pair[0] not in self.listing.fields)

    @property
    def filtered(self) -> bool:
        return any(name != "order_by" for name, _ in self.pairs)

    def numbers(self, total_results: int) -> PageNumbers:
        return page_numbers(self.page, total_results)

    def href(self, page: int) -> str:
        """The address of another page of the list."""
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
        """The same question to the API, without the part before `/v3`; None where the API has none like it."""
        if self.value(WORDS):
            return None
        listing = self.listing
        ordered = () if self.value("order_by") or listing.order == CREATED_AT else (("order_by", listing.order),)
        pairs = (*self.pairs, *listing.within, *ordered)
        return self._href(pairs, self.page.page, path=f"/{listing.readable.plural}", always=True)

    def stream(self) -> str:
        return self._href(self.pairs, self.page.page, path=self.listing.stream)

    def _href(self, pairs: Pairs, page: int, *, path: str | None = None, always: bool = False) -> str:
        per_page = self.page.per_page
        own = [("page", str(page))] if page > 1 or always else []
        own += [("per_page", str(per_page))] if per_page != PageRequest().per_page or always else []
        query = urlencode(sorted([*pairs, *own]))
        return (path or self.path) + (f"?{query}" if query else "")


def parse_address(listing: Listing, query: str) -> ListAddress:
    """A raw query string. Raises as ListQuery.parse does."""
    sent = dict(parse_qsl(query, keep_blank_values=True))
    for name in (*listing.refused, *(name for name, _ in listing.within)):
        if name in sent:
            raise BadQueryParameter(f"'{name}' is not for this page")
    kept = [part for part in query.split("&") if part.partition("=")[0] != WORDS]
    if "order_by" not in sent:
        kept.append(f"order_by={listing.order}")
    parsed = listing.readable.list_query.parse("&".join(filter(None, kept)))
    pairs = parsed.kept if "order_by" in sent else tuple(pair for pair in parsed.kept if pair[0] != "order_by")
    filters = parsed.request.filters
    for name, value in listing.within:
        filters = filters.narrowed(listing.readable.found_by[name], value)
    words = sent.get(WORDS, "").strip()
    if len(words) > LONGEST_WORDS:
        raise BadQueryParameter(f"'{WORDS}' must have {LONGEST_WORDS} characters at most")
    if words:
        pairs = tuple(sorted((*pairs, (WORDS, words))))
        filters = msgspec.structs.replace(filters, words=tuple(words.lower().split()))
    request = msgspec.structs.replace(parsed.request, filters=filters)
    return ListAddress(listing, msgspec.structs.replace(parsed, request=request), pairs)


def tidied(listing: Listing, query: str) -> str | None:
    """A form also sends the fields that were left empty: the query without those, if there are any."""
    parts = query.split("&") if query else []
    full = [part for part in parts if not part.endswith("=") and "=" in part]
    empty = [part for part in parts if part.endswith("=") and part[:-1] in (*listing.fields, "order_by", "per_page")]
    return "&".join(full) if empty and len(full) + len(empty) == len(parts) else None
