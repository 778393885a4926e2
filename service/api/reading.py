"""The handlers and operations of any Readable: its list, its lists within parents, and its single items."""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import orjson
from aiohttp import web

from service.access import Caller
from service.api.jsonschema import page_of
from service.api.keys import PAGES
from service.api.operation import Documented, Errors, Operation
from service.api.pages import NOTHING_MORE, Extras, encode_row, pagination
from service.api.queries import ParsedList, ParsedSingle, SingleQuery
from service.api.readable import At, Parent, Readable, nothing_left_out
from service.api.requests import caller_of, raw_query
from service.cache import memory_of
from service.errors import BadQueryParameter, ResourceNotFound
from service.freshness import Freshness
from service.http.ready_answers import RESTS_ON
from service.http.replies import answer, base_url
from service.model.paging import MAXIMUM_PER_PAGE, PageRequest
from service.model.selection import Filters, Selection
from service.model.shape import GUIDS
from service.operations.ambiguity import of_parent, of_read
from service.operations.questions import ListRequest
from service.operations.standing import Standing
from service.pacing import Pace

Item = TypeVar("Item")
Resources = Mapping[str, Readable[Any]]
"""All that can be read, by plural: what may be included."""


def documented(readable: Readable[Item], resources: Resources) -> Documented:
    """What a resource adds to the API by being read. `resources` are asked for what it includes when requests come."""
    name, listed = readable.schema_name, f"{readable.schema_name}List"
    of_embed = readable.embed.errors if readable.embed else ()
    operations = (
        *((list_operation(readable, resources, of_embed),) if readable.listed else ()),
        *(parent_operation(readable, resources, parent, of_embed) for parent in readable.parents),
        *(single_operation(readable, resources, at, of_embed) for at in readable.addresses),
    )
    shown = {at.shown.name: at for at in readable.addresses if at.shown is not None}
    within = () if readable.listed else readable.parents
    path = next((filled(parent.path, parent.example) for parent in within), readable.path)
    page = pagination(1, PageRequest(), f"{EXAMPLE_BASE}{path}", ())
    row = readable.present(readable.example, EXAMPLE_BASE)
    return Documented(
        operations=operations,
        schemas={
            name: readable.schema,
            listed: page_of(name, _included_plurals(readable)),
            **{name: at.shown.schema for name, at in shown.items() if at.shown is not None},
        },
        answers={
            **{
                name: orjson.loads(encode_row(readable.single_kind(at), readable.example, EXAMPLE_BASE)[0])
                for name, at in {name: readable.addresses[0], **shown}.items()
            },
            listed: {**page, "resources": [row], "pagination": page},
        },
    )


def _included_plurals(readable: Readable[Any]) -> dict[str, None]:
    """What may come along, once each, in order."""
    return dict.fromkeys(each.plural for includes in readable.includes.values() for each in includes)


EXAMPLE_BASE = "https://api.example.org"


def list_operation(readable: Readable[Item], resources: Resources, of_embed: Errors) -> Operation:
    """The list of all items that the caller sees."""
    query = readable.list_query

    async def list_all(request: web.Request) -> web.Response:
        caller = await caller_of(request)
        parsed = query.parse(raw_query(request))
        reads = readable.reads(request.app)
        standing = reads.standing(caller, parsed.request)
        selection, freshness = await reads.page(caller, parsed.request, pods=parsed.embed)
        presenter = _Presenter(request, caller, readable, resources)
        return await presenter.present_list(readable.path, parsed, selection, freshness, standing, selection)

    return Operation(
        "GET",
        readable.path,
        list_all,
        id=f"list{readable.plural.title().replace('_', '')}",
        summary=f"List {readable.plural.replace('_', ' ')}",
        tag=readable.plural,
        answer=f"{readable.schema_name}List",
        query=query.schema,
        errors=(BadQueryParameter, *of_embed),
    )


def parent_operation(readable: Readable[Item], resources: Resources, parent: Parent, of_embed: Errors) -> Operation:
    """The list of the items that belong to one parent."""
    query = readable.query_of(parent)

    async def list_of_parent(request: web.Request) -> web.Response:
        caller = await caller_of(request)
        parsed = query.parse(raw_query(request))
        reads, step = readable.reads(request.app), parent.step(request.match_info)
        parents = resources[parent.known_by].reads(request.app) if parent.known_by else None
        standing = reads.standing_of(caller, step, parsed.request, parents=parents, known_as=parent.known_as)
        selection, namespaces, freshness = await reads.page_of(
            caller, step, parsed.request, parents=parents, known_as=parent.known_as, pods=parsed.embed
        )
        presenter = _Presenter(request, caller, readable, resources)
        path = filled(parent.path, request.match_info)
        found, warning = (selection, namespaces), of_parent(namespaces)
        return await presenter.present_list(path, parsed, selection, freshness, standing, found, warning)

    return Operation(
        "GET",
        parent.path,
        list_of_parent,
        id=parent.id,
        summary=f"List the {readable.plural.replace('_', ' ')} of {parent.of}",
        tag=readable.plural,
        answer=f"{readable.schema_name}List",
        query=query.schema,
        errors=(BadQueryParameter, *of_embed, ResourceNotFound),
        example=parent.example,
    )


def single_operation(readable: Readable[Item], resources: Resources, at: At, of_embed: Errors) -> Operation:
    """One item, at one of its addresses."""
    query = SingleQuery(f"{readable.schema_name}Query", readable.extra)

    async def get(request: web.Request) -> web.Response:
        caller, asked = await caller_of(request), raw_query(request)
        reads, address = readable.reads(request.app), at.address(request.match_info)
        standing = reads.standing_at(caller, address)
        meaning, freshness = await reads.get(caller, address, pods=bool(asked and readable.embed))
        parsed = query.parse(asked)
        presenter = _Presenter(request, caller, readable, resources)
        body, freshness = await presenter.encode_single(at, meaning.item, parsed, freshness)
        if not asked and not meaning.others:
            held_bytes = len(body) + memory_of(readable.unshown(meaning.item))
            _rests_on(request, caller, standing, freshness, meaning, held_bytes)
        return await answer(request, body, freshness, warnings=[of_read(meaning), *readable.warn(meaning.item)])

    return Operation(
        "GET",
        at.path,
        get,
        id=f"get{readable.schema_name}{at.suffix}",
        summary=f"Get {_article(readable.singular)} {readable.singular.replace('_', ' ')}{at.words}",
        tag=readable.plural,
        answer=at.shown.name if at.shown else readable.schema_name,
        query=query.schema,
        errors=(BadQueryParameter, *of_embed, ResourceNotFound),
        example=at.example,
    )


class _Presenter(Generic[Item]):
    """Shows items to one caller, with what else they have asked for."""

    def __init__(self, request: web.Request, caller: Caller, readable: Readable[Item], resources: Resources) -> None:
        self._request = request
        self._caller = caller
        self._readable = readable
        self._resources = resources
        self._base = base_url(request)

    async def present_list(
        self,
        path: str,
        parsed: ParsedList,
        selection: Selection[Item],
        freshness: Freshness,
        standing: Standing | None,
        found: object,
        warning: str | None = None,
    ) -> web.Response:
        """A page of the list at `path`. `standing` is what it rests on, if that is known, and `found` what it shows."""
        extras = NOTHING_MORE
        if parsed.embed or parsed.include:
            embedded = None
            if parsed.embed:
                embedded, freshness = await self._embedded(selection.items, freshness)
            included = await self._included(selection.items, parsed.include) if parsed.include else None
            extras = Extras(self._readable.extra.embed, embedded, included)
        url = self._base + path
        incomplete = self._readable.incomplete(self._request.app)
        body = await self._request.app[PAGES].encode(
            self._readable.row_kind, selection, parsed.request.page, url, parsed.kept, self._base, extras
        )
        # What warns of several namespaces would hold them all, and anybody may use a GUID in thousands.
        if extras is NOTHING_MORE and warning is None and self._readable.incomplete is nothing_left_out:
            held_bytes = len(body.encoded) + body.unshown_bytes
            _rests_on(self._request, self._caller, standing, freshness, found, held_bytes)
        return await answer(self._request, body.encoded, freshness, etag=body.etag, warnings=[warning, incomplete])

    async def encode_single(
        self, at: At, item: Item, parsed: ParsedSingle, freshness: Freshness
    ) -> tuple[bytes, Freshness]:
        """One item as JSON."""
        encoded, place = encode_row(self._readable.single_kind(at), item, self._base)
        if parsed.embed:
            embedded, freshness = await self._embedded([item], freshness)
            also = orjson.dumps(embedded[self._readable.shape.key(item)])
            shown = b'"%b":%b,' % (self._readable.extra.embed.encode(), also)
            encoded = encoded[:place] + shown + encoded[place:]
        if parsed.include:
            encoded = encoded[:-1] + b',"included":' + await self._included([item], parsed.include) + b"}"
        return encoded, freshness

    async def _embedded(self, items: Sequence[Item], freshness: Freshness) -> tuple[Mapping[str, Any], Freshness]:
        if self._readable.embed is None:
            return {}, freshness
        return await self._readable.embed.find(self._request.app, items, freshness)

    async def _included(self, items: Sequence[Item], names: Sequence[str]) -> bytes:
        """What comes along, as JSON: of each related resource the items the caller sees, once each, by its plural."""
        found, pace = [], Pace()
        wanted_ones = {each.plural: each for name in names for each in self._readable.includes[name]}
        for include in wanted_ones.values():
            related = self._resources[include.plural]
            guids = frozenset(guid for item in items if (guid := include.guid(item)) is not None)
            wanted = ListRequest(
                Filters(((related.found_by[GUIDS], guids),)), page=PageRequest(per_page=MAXIMUM_PER_PAGE)
            )
            selection, _ = await related.reads(self._request.app).page(self._caller, wanted)
            rows = []
            for each in selection.items:
                rows.append(orjson.dumps(related.present(each, self._base)))
                await pace.breathe()
            found.append(b'"%b":[%b]' % (related.plural.encode(), b",".join(rows)))
        return b"{%b}" % b",".join(found)


def _rests_on(
    request: web.Request,
    caller: Caller,
    standing: Standing | None,
    freshness: Freshness,
    found: object,
    held_bytes: int,
) -> None:
    """Have an answer, which has just been made, sent again while what it rests on stands: it shows nothing else."""
    if standing is not None and not freshness.warnings() and standing.carries(caller, found, held_bytes):
        request[RESTS_ON] = standing


def filled(path: str, match: Mapping[str, str]) -> str:
    """A path with its variable parts filled in."""
    return path.format_map({name: quote(value, safe="") for name, value in match.items()})


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"
