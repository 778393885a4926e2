"""Whether a cluster has still the history that a watch has followed. etcd restored from a backup begins another.

The new history counts on from the version of the backup, so that it soon comes to versions that the old one had, too.
From then on versions alone tell nothing. But each version is of one change: in the history that has been followed, the
object of the last event has the version of that event. In another one it has not.
"""

from typing import NamedTuple

from service.cluster.client import Client, UnexpectedStatus
from service.cluster.collection import Event, latest_version, object_versions
from service.cluster.versions import version_number


class Witness(NamedTuple):
    """What the last event has said."""

    namespace: str
    name: str
    uid: str
    resource_version: str


class History:
    """What is remembered of the history of one collection, to know it again by."""

    def __init__(self, client: Client, path: str) -> None:
        self._client = client
        self._path = path
        self._witness: Witness | None = None

    def listed(self) -> None:
        """A list is complete. It tells of no change that can be looked for: what it has may have been there before."""
        self._witness = None

    def followed(self, event: Event) -> None:
        """The latest event."""
        head = event.head
        if event.type == "DELETED":
            self._witness = None
        elif event.type != "BOOKMARK":
            self._witness = Witness(head.namespace, head.name, head.uid, head.resourceVersion)

    @property
    def resumable_at(self) -> str | None:
        """A version up to which a history is the same that has the last event; None: there is none to look for.

        In another history, what came after it may not have come.
        """
        return None if self._witness is None else self._witness.resource_version

    async def is_same(self, version: int) -> bool | None:
        """Whether the cluster has come to this version, and its history has the last event; None: nobody can tell.

        Raises ClusterUnreachable, UnexpectedStatus.
        """
        # First of all: kube-apiserver waits for a version it is asked about, and gives up after some seconds.
        if await latest_version(self._client, self._path) < version:
            return False
        if (witness := self._witness) is None:
            return None
        if await self._shows(witness, {}):
            return True
        try:
            # It has been changed since, or not.
            exact = {"resourceVersion": witness.resource_version, "resourceVersionMatch": "Exact"}
            return await self._shows(witness, exact)
        except UnexpectedStatus as error:
            if error.status == 410:
                return None
            raise

    async def _shows(self, witness: Witness, query: dict[str, str]) -> bool:
        path, _, plural = self._path.rpartition("/")
        where = f"{path}/namespaces/{witness.namespace}/{plural}" if witness.namespace else self._path
        query = {"fieldSelector": f"metadata.name={witness.name}", **query}
        found = await object_versions(self._client, where, query)
        return (witness.uid, version_number(witness.resource_version)) in found
