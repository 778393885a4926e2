"""Questions about a cluster that `service.check` asks before the service runs on it. None changes anything."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import aiohttp
import msgspec

from service.cluster.client import Client, ClusterUnreachable, UnexpectedStatus
from service.cluster.collection import list_chunks
from service.cluster.feeds import DEPLOYMENTS, NAMESPACES, DeploymentFeed, NamespaceFeed
from service.cluster.optional_watch import OptionalKind
from service.cluster.permissions import AccountPermission
from service.cluster.usage import METRICS_API
from service.cluster.watch import Consumer
from service.model.index import Index
from service.model.labels import Keys
from service.model.suggestions import Labels
from service.pacing import Pace


class Unanswered(Exception):
    """A question has no answer that can be used. The message says what was asked and what came, without secrets."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        """The HTTP status where kube-apiserver refused; None where it did not answer, or something else did."""


@dataclass(frozen=True)
class Server:
    """What a kube-apiserver has said of itself."""

    version: str
    """In its own words, such as `v1.36.3`."""
    release: tuple[int, int]
    """The major and minor number of the version."""
    ahead_s: tuple[float, float] | None
    """Seconds by which its clock is ahead of ours: at least the first, at most the second. None: it sent no time."""


@contextmanager
def asking(question: str) -> Iterator[None]:
    """Turn whatever keeps an answer from us into Unanswered."""
    try:
        yield
    except ClusterUnreachable as error:
        raise Unanswered(error.reason) from error
    except UnexpectedStatus as error:
        raise Unanswered(str(error), error.status) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unanswered(f"{question}: {type(error).__name__}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unanswered(f"{question}: the answer is not one of Kubernetes") from error


async def server(client: Client, timeout_s: float, wall_clock: Callable[[], float] = time.time) -> Server:
    """Ask which version it is and what time it has. Raises Unanswered."""
    asked_at = wall_clock()
    with asking("GET /version"):
        async with asyncio.timeout(timeout_s), client.stream("/version", {}, inactivity_s=timeout_s) as response:
            answered_at = wall_clock()
            version = _decode_version(await response.read()).gitVersion
    release = re.match(r"v(\d+)\.(\d+)", version)
    if release is None:
        raise Unanswered("GET /version: the answer names no version of Kubernetes")
    ahead_s = None
    if (date := _moment(response.headers.get("Date", ""))) is not None:
        # The header has whole seconds, cut off.
        ahead_s = (date - answered_at, date + 1 - asked_at)
    return Server(version, (int(release[1]), int(release[2])), ahead_s)


async def account(client: Client) -> str:
    """The name under which the cluster knows us. Raises Unanswered."""
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    with asking(f"POST {path}"):
        return _decode_subject(await client.create(path, {})).status.userInfo.username


async def may(client: Client, permission: AccountPermission) -> bool:
    """Whether we have the permission, in all namespaces. Raises Unanswered."""
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    attributes = {"verb": permission.verb, "group": permission.group, "resource": permission.resource}
    with asking(f"POST {path}"):
        answer = await client.create(path, {"spec": {"resourceAttributes": attributes}})
        return _decode_access(answer).status.allowed


async def require_metrics(client: Client) -> None:
    """Raises Unanswered where the metrics API is not served now."""
    with asking(f"GET {METRICS_API}"):
        await client.get(METRICS_API)


async def require_kind(client: Client, kind: OptionalKind) -> None:
    """Raises Unanswered where objects of the kind cannot be listed now."""
    with asking(f"GET {kind.path}"):
        await client.get(kind.path, {"limit": "1"})


class Survey:
    """Lists everything that the labels find once, into an index of its own and through the feeds that also serve it.

    Methods raise Unanswered, at the latest when a list has taken `listing_s` seconds.
    """

    def __init__(self, client: Client, keys: Keys, listing_s: float) -> None:
        self._client = client
        self._keys = keys
        self._listing_s = listing_s
        self.index = Index()
        self.deployments = DeploymentFeed(self.index, keys)
        self.found = 0
        """How many Deployments carry the label of the app GUID."""
        self.unlabelled: list[str] = []
        """Those whose Pods will not carry it, as namespace/name."""

    async def list_namespaces(self) -> None:
        feed = NamespaceFeed(self.index, self._keys)
        await self._list(NAMESPACES, "", feed, lambda _: None)

    async def list_deployments(self) -> None:
        await self._list(DEPLOYMENTS, self._keys.app_guid, self.deployments, self._look_at_template)

    async def _list(self, path: str, selector: str, feed: Consumer, look: Callable[[msgspec.Raw], None]) -> None:
        pace = Pace()
        with asking(f"GET {path}"):
            async with asyncio.timeout(self._listing_s):
                async for chunk, _ in list_chunks(self._client, path, {"labelSelector": selector} if selector else {}):
                    for uid, version, item in chunk:
                        await pace.run(feed.upsert(uid, version, item))
                        await pace.breathe()
                        look(item)

    def _look_at_template(self, item: msgspec.Raw) -> None:
        self.found += 1
        found = labels_of(item)
        if self._keys.app_guid not in found.pod_labels:
            self.unlabelled.append(f"{found.namespace}/{found.name}")


def labels_of(deployment: msgspec.Raw) -> Labels:
    """Raises DecodeError for what is no Deployment."""
    found = _decode_templated(deployment)
    meta, template = found.metadata, found.spec.template.metadata
    return Labels(meta.namespace, meta.name, meta.labels or {}, (template and template.labels) or {})


def _moment(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


class _Version(msgspec.Struct):
    gitVersion: str


class _User(msgspec.Struct):
    username: str


class _Subject(msgspec.Struct):
    class Status(msgspec.Struct):
        userInfo: _User

    status: Status


class _Access(msgspec.Struct):
    class Status(msgspec.Struct):
        allowed: bool

    status: Status


class _Labelled(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None


class _Templated(msgspec.Struct):
    class Spec(msgspec.Struct):
        class Template(msgspec.Struct):
            metadata: _Labelled | None = None

        template: Template

    metadata: _Labelled
    spec: Spec


_decode_version = msgspec.json.Decoder(_Version).decode
_decode_subject = msgspec.json.Decoder(_Subject).decode
_decode_access = msgspec.json.Decoder(_Access).decode
_decode_templated = msgspec.json.Decoder(_Templated).decode
