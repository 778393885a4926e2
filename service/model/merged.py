"""A collection whose items are made, for each caller, of the parts that they see: spaces and organizations.

Several namespaces may say that they are one space. What a caller is shown of it is merged of the parts in namespaces
that they see, and of nothing else: whatever is said in another namespace changes nothing for them, no name, no place in
an order and no count. The parts are held as a collection holds items. Who sees no GUID twice sees the parts as they
are, however many there are and however often they change, as nearly everybody does of spaces. Else what is merged for
one set of visible namespaces is a collection again, made when it is first asked for, and kept while no part changes.
"""

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from service.cache import RecencyCache
from service.model.collection import SOUGHT, Collection
from service.model.selection import Filters, Selection, Slice
from service.model.shape import GUIDS, Shape
from service.model.sharing import Sharing
from service.model.views import Visible

Part = TypeVar("Part")

KEPT_BYTES = 8 << 20
"""Bytes of merged items that are kept, of spaces and of organizations each."""
ITEM_BYTES = 1500
"""What a merged item takes, with its places in a collection."""
MERGED = 50
"""Items merged in one step."""


class Merged(Collection[Part]):
    """Parts, by a key of their own. Those of one GUID are one item, of the same type as they are.

    A search gives items; whatever else is asked of it, as of any collection, is about the parts.
    """

    def __init__(
        self, shape: Shape[Part], age: Callable[[Part], tuple[int, str]], merge: Callable[[Sequence[Part]], Part]
    ):
        """`merge` makes an item of two parts or more, the oldest by `age` first."""
        super().__init__(shape)
        self._age = age
        self._merge = merge
        self._sharing = Sharing(self, GUIDS)
        """The GUIDs that several parts have."""
        self._wholes: RecencyCache[Visible, Collection[Part]] = RecencyCache(KEPT_BYTES)
        self._as_of = 0
        """The version of which the wholes are."""

    def combined(self, items: Sequence[Part]) -> Sequence[Part]:
        groups = self._groups(items)
        return [self._of(parts) for parts in groups.values()]

    def glance(self, part: Slice, visible: Visible) -> Selection[Part] | None:
        return None

    def put(self, item: Part) -> None:
        former = self.get(self.shape.key(item))
        if former is not None and self.shape.guid(former) != self.shape.guid(item):
            self.remove(self.shape.key(item))
            former = None
        super().put(item)
        if former is None:
            self._sharing.entered(item)

    def remove(self, key: str) -> Part | None:
        item = super().remove(key)
        if item is not None:
            self._sharing.left(item)
        return item

    def search(self, filters: Filters, visible: Visible, part: Slice) -> Generator[None, None, Selection[Part]]:
        if not (yield from self._sharing.seen(visible)):
            return (yield from super().search(filters, visible, part))
        whole = yield from self._whole(visible)
        return (yield from whole.search(filters, None, part))

    def _whole(self, visible: Visible) -> Generator[None, None, Collection[Part]]:
        """All that is merged of what is visible."""
        if (kept := self._kept(visible)) is not None:
            return kept
        version = self.version
        keys = None if visible is None else list(self._first_view.keys(visible))
        parts = list(self._items.values()) if keys is None else [self._items[key] for key in keys]
        groups: dict[str, list[Part]] = {}
        for first in range(0, len(parts), SOUGHT):
            self._groups(parts[first : first + SOUGHT], groups)
            yield
        whole = Collection(self.shape)
        for number, group in enumerate(groups.values(), 1):
            whole.put(self._of(group))
            if number % MERGED == 0:
                yield
                if (kept := self._kept(visible)) is not None:
                    # Somebody else has been quicker.
                    return kept
        if version == self.version:
            self._wholes.put(visible, whole, ITEM_BYTES * (1 + len(whole)))
        return whole

    def _kept(self, visible: Visible) -> Collection[Part] | None:
        if self._as_of != self.version:
            self._wholes.clear()
            self._as_of = self.version
        return self._wholes.get(visible)

    def _groups(self, parts: Sequence[Part], groups: dict[str, list[Part]] | None = None) -> dict[str, list[Part]]:
        """Parts by their GUID, added to those there."""
        groups = {} if groups is None else groups
        for part in parts:
            groups.setdefault(self.shape.guid(part), []).append(part)
        return groups

    def _of(self, parts: Sequence[Part]) -> Part:
        return parts[0] if len(parts) == 1 else self._merge(sorted(parts, key=self._age))
