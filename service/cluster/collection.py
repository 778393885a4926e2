"""The two ways to read a collection of Kubernetes objects: a list in chunks, and the events of a watch.

Objects stay raw JSON, of which no more is decoded here than who they are: feeds decode what they need.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing

import aiohttp
import msgspec

from service.cluster.client import Client
from service.cluster.versions import version_number
from service.telemetry import get_logger

log = get_logger(__name__)

LIST_CHUNK = 500
"""Objects asked for at a time."""
MAXIMUM_LINE = 16 << 20
"""Bytes of one event; etcd's own limit of an object is 1.5 MiB."""
INITIAL_EVENTS_END = "k8s.io/initial-events-end"
"""The annotation of the bookmark that ends a streamed list."""


class Gone(Exception):
    """The watch cannot be resumed where it was: its version is too old (410), or an ERROR event has ended it."""


class Head(msgspec.Struct, gc=False):
    """The part of an object's metadata that says which object it is, and of which version."""

    resourceVersion: str = ""
    uid: str = ""
    name: str = ""
    namespace: str = ""
    annotations: dict[str, str] | None = None


class Event(msgspec.Struct, gc=False):
    """One event of a watch."""

    type: str
    """ADDED, MODIFIED, DELETED or BOOKMARK."""
    head: Head
    raw: msgspec.Raw
    """The object's JSON."""

    @property
    def ends_list(self) -> bool:
        """Whether it is the bookmark that ends a streamed list."""
        return self.type == "BOOKMARK" and (self.head.annotations or {}).get(INITIAL_EVENTS_END) == "true"


class _Headed(msgspec.Struct, gc=False):
    metadata: Head


class _Event(msgspec.Struct, gc=False):
    type: str
    object: msgspec.Raw


class _List(msgspec.Struct, gc=False):
    class Meta(msgspec.Struct, gc=False):
        resourceVersion: str
        # `continue` is a keyword of Python.
        token: str = msgspec.field(name="continue", default="")

    metadata: Meta
    items: list[msgspec.Raw]


class _Status(msgspec.Struct, gc=False):
    code: int = 0
    message: str = ""


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_head = msgspec.json.Decoder(_Headed).decode
_decode_list = msgspec.json.Decoder(_List).decode
_decode_status = msgspec.json.Decoder(_Status).decode


async def list_chunks(
    client: Client, path: str, selector: Mapping[str, str]
) -> AsyncGenerator[tuple[Iterator[tuple[str, int, msgspec.Raw]], str]]:
    """Yield a collection in chunks: the objects, each as uid, version and JSON; and the list's resourceVersion.

    Raises ClusterUnreachable, UnexpectedStatus, and msgspec.DecodeError for an answer that is no list.
    """
    token = ""
    while True:
        query = {"limit": str(LIST_CHUNK), **selector, **({"continue": token} if token else {})}
        chunk = _decode_list(await client.get(path, query))
        heads = ((_decode_head(item).metadata, item) for item in chunk.items)
        yield (
            ((head.uid, version_number(head.resourceVersion), item) for head, item in heads),
            chunk.metadata.resourceVersion,
        )
        token = chunk.metadata.token
        if not token:
            return


async def latest_version(client: Client, path: str) -> int:
    """The version that the cluster is at now. Raises as `list_chunks`.

    Without a selector: kube-apiserver may read objects until it finds one that matches.
    """
    return version_number(_decode_list(await client.get(path, {"limit": "1"})).metadata.resourceVersion)


async def object_versions(client: Client, path: str, query: Mapping[str, str]) -> set[tuple[str, int]]:
    """The uids and versions of the few objects that a query finds. Raises as `list_chunks`."""
    heads = (_decode_head(item).metadata for item in _decode_list(await client.get(path, query)).items)
    return {(head.uid, version_number(head.resourceVersion)) for head in heads}


async def watch_events(response: aiohttp.ClientResponse, path: str) -> AsyncGenerator[Iterator[Event]]:
    """Yield the events of an open watch until it ends, those that have come together at once.

    Raises, as each of them does that is read, Gone for an ERROR event, msgspec.DecodeError or UnicodeDecodeError for
    what is no event, and what reading raises: aiohttp.ClientError, TimeoutError, OSError.
    """
    async with aclosing(_lines(response)) as pieces:
        async for lines in pieces:
            yield _events(lines, path)


def _events(lines: list[bytes], path: str) -> Iterator[Event]:
    for line in lines:
        event = _decode_event(line)
        if event.type == "ERROR":
            status = _decode_status(event.object)
            if status.code != 410:
                log.warning("watch ended by an error", path=path, code=status.code, reason=status.message[:500])
            raise Gone
        yield Event(event.type, _decode_head(event.object).metadata, event.object)


async def _lines(response: aiohttp.ClientResponse) -> AsyncGenerator[list[bytes]]:
    """Yield the body's lines as they come. aiohttp's own line reader refuses lines longer than its buffer."""
    pending: list[bytes] = []
    size = 0
    async for piece in response.content.iter_any():
        *lines, rest = piece.split(b"\n")
        if lines:
            if pending:
                lines[0] = b"".join((*pending, lines[0]))
                pending.clear()
                size = 0
            yield [line for line in lines if line]
        if rest:
            pending.append(rest)
            size += len(rest)
            if size > MAXIMUM_LINE:
                raise msgspec.DecodeError("a line without an end")
