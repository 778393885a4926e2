"""Spaces and organizations, as the Namespaces and the space labels of Deployments say that there are.

Both are held in parts by namespace, and merged for each caller of those that they see (service.model.merged). Anybody
may label what is theirs with the GUID of somebody else's space.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from service.model.merged import Merged
from service.model.process import Space, Workload
from service.model.selection import CREATED_AT, UPDATED_AT
from service.model.shape import GUIDS, Shape

NAMES, NAME, ORGANIZATION_GUIDS = "names", "name", "organization_guids"


class SpacePart(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one namespace says of a space."""

    namespace: str
    guid: str
    name: str
    organization_guid: str
    created_at: int
    updated_at: int
    is_own: bool
    """Whether the Namespace says that it is this space; else only Deployments in it do."""


class OrganizationPart(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one namespace says of the organization that it belongs to."""

    namespace: str
    guid: str
    label: str | None
    """What it is called; None: the namespace does not say, and it is called by its GUID."""
    created_at: int
    updated_at: int

    @property
    def name(self) -> str:
        return self.label or self.guid


SPACES: Shape[SpacePart] = Shape(
    key=lambda part: f"{part.namespace}/{part.guid}",
    guid=lambda part: part.guid,
    namespace=lambda part: part.namespace,
    orders={CREATED_AT: lambda part: part.created_at, UPDATED_AT: lambda part: part.updated_at, NAME: lambda p: p.name},
    facets={
        GUIDS: lambda part: (part.guid,),
        NAMES: lambda part: (part.name,),
        ORGANIZATION_GUIDS: lambda part: (part.organization_guid,),
    },
    text=lambda part: f"{part.name} {part.guid} {part.namespace}".lower(),
)
ORGANIZATIONS: Shape[OrganizationPart] = Shape(
    key=lambda part: part.namespace,
    guid=lambda part: part.guid,
    namespace=lambda part: part.namespace,
    orders={CREATED_AT: lambda part: part.created_at, UPDATED_AT: lambda part: part.updated_at, NAME: lambda p: p.name},
    facets={GUIDS: lambda part: (part.guid,), NAMES: lambda part: (part.name,)},
    text=lambda part: f"{part.name} {part.guid}".lower(),
)


def merge_spaces(parts: Sequence[SpacePart]) -> SpacePart:
    """The oldest Namespace that says it is the space tells of it; without any, the oldest of the others."""
    return next((part for part in parts if part.is_own), parts[0])


def merge_organizations(parts: Sequence[OrganizationPart]) -> OrganizationPart:
    """The oldest Namespace tells of it, but for its name, which the oldest says that has one."""
    label = next((part.label for part in parts if part.label), None)
    return parts[0] if label == parts[0].label else msgspec.structs.replace(parts[0], label=label)


def _age(part: SpacePart | OrganizationPart) -> tuple[int, str]:
    return part.created_at, part.namespace


class Spaces:
    """Keeps the parts in step with the Namespaces and with the processes that are served."""

    def __init__(self, default_organization: str) -> None:
        self.spaces = Merged(SPACES, _age, merge_spaces)
        self.organizations = Merged(ORGANIZATIONS, _age, merge_organizations)
        self._default_organization = default_organization
        self._namespaces: dict[str, Space] = {}
        self._named: dict[str, Counter[str | None]] = {}
        """By namespace, how many of its processes have each space label of their own; None: no such label."""

    def of(self, namespace: str) -> Space | None:
        """What that Namespace says; None: it is not known."""
        return self._namespaces.get(namespace)

    def put(self, space: Space) -> Iterator[None]:
        """A Namespace is new, or says something else; step by step."""
        former = self._namespaces.get(space.namespace)
        self._namespaces[space.namespace] = space
        yield from self._refresh(space.namespace, former)

    def remove(self, namespace: str) -> Iterator[None]:
        """A Namespace is gone; step by step."""
        yield from self._refresh(namespace, self._namespaces.pop(namespace, None))

    def entered(self, workload: Workload) -> None:
        """A process is served that was not before."""
        named = self._named.get(workload.namespace)
        is_first = named is None
        if named is None:
            named = self._named[workload.namespace] = Counter()
        named[workload.space_guid] += 1
        if is_first:
            self._update_own(workload.namespace)
        if named[workload.space_guid] == 1 and workload.space_guid:
            self._update(workload.namespace, workload.space_guid)

    def left(self, workload: Workload) -> None:
        """A process is served no longer."""
        named = self._named[workload.namespace]
        named[workload.space_guid] -= 1
        if named[workload.space_guid]:
            return
        del named[workload.space_guid]
        if not named:
            del self._named[workload.namespace]
            self._update_own(workload.namespace)
        if workload.space_guid:
            self._update(workload.namespace, workload.space_guid)

    def _refresh(self, namespace: str, former: Space | None) -> Iterator[None]:
        self._update_own(namespace)
        if former is not None:
            self._update(namespace, former.guid)
        for guid in list(self._named.get(namespace, ())):
            if guid:
                self._update(namespace, guid)
            yield

    def _update_own(self, namespace: str) -> None:
        """Put in order what the Namespace says it is itself."""
        space = self._namespaces.get(namespace)
        if space is not None:
            self._update(namespace, space.guid)
        if space is None or not self._is_one(space):
            self.organizations.remove(namespace)
            return
        organization = OrganizationPart(
            namespace=namespace,
            guid=space.organization_guid or self._default_organization,
            label=space.organization_name,
            created_at=space.created_at,
            updated_at=space.updated_at,
        )
        if self.organizations.get(namespace) != organization:
            self.organizations.put(organization)

    def _update(self, namespace: str, guid: str) -> None:
        """Put in order what the namespace says of the space of this GUID."""
        part = self._part(namespace, guid)
        key = f"{namespace}/{guid}"
        if part is None:
            self.spaces.remove(key)
        elif self.spaces.get(key) != part:
            self.spaces.put(part)

    def _part(self, namespace: str, guid: str) -> SpacePart | None:
        """None: the namespace says nothing of it, or it is not known yet when it was made."""
        space = self._namespaces.get(namespace)
        if space is None:
            return None
        is_own = space.guid == guid and self._is_one(space)
        if not is_own and guid not in self._named.get(namespace, ()):
            return None
        return SpacePart(
            namespace=namespace,
            guid=guid,
            name=space.name if is_own else guid,
            organization_guid=space.organization_guid or self._default_organization,
            created_at=space.created_at,
            updated_at=space.updated_at,
            is_own=is_own,
        )

    def _is_one(self, space: Space) -> bool:
        """Whether the Namespace is a space."""
        return space.labelled or space.namespace in self._named
