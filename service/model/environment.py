"""The environment variables of an app, as its app container has them.

Kubernetes replaces `$(NAME)` in a value by the variable of that name, and reads `$$` as `$`. Cloud Foundry takes values
as they are. So what a caller sends is escaped on its way in, and what is shown is what the app gets, but for references
to other variables, which are shown as they are written.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from service.errors import UnprocessableEntity
from service.model.snapshots import NO_PATCH, Patch, Snapshot

_NAMED = 10
"""Names in one complaint."""
_REPLACE: Mapping[str, Any] = {"$patch": "replace"}


def variables(snapshot: Snapshot) -> dict[str, str]:
    """The variables whose values the Deployment itself holds. Those given by reference are left out."""
    return {name: _shown(entry.get("value", "")) for name, entry in _entries(snapshot).items() if not _refers(entry)}


@dataclass(frozen=True)
class EnvironmentChange:
    """Variables to set, and with None to remove; the others stay. Never to be logged: values may be passwords."""

    values: Mapping[str, str | None]

    def __repr__(self) -> str:
        return f"EnvironmentChange({len(self.values)} variables)"

    def names(self) -> list[str]:
        return [f"{len(self.values)} environment variables"]

    def patch(self, snapshot: Snapshot) -> Patch:
        """Raises UnprocessableEntity for a variable given by reference: what it refers to would be lost."""
        entries = _entries(snapshot)
        if referring := [name for name in self.values if name in entries and _refers(entries[name])]:
            raise UnprocessableEntity(
                f"Given by reference, and to be changed in Deployment {snapshot.workload.name} itself: "
                + ", ".join(f"'{name}'" for name in sorted(referring)[:_NAMED])
            )
        present = variables(snapshot)
        changed = {name: value for name, value in self.values.items() if value != present.get(name)}
        if not changed:
            return NO_PATCH
        written = snapshot.container.get("env") or ()
        count = Counter(entry["name"] for entry in written)
        # Of several entries of one name the last counts, and a patch that merges by name would change the first.
        doubled = any(count[name] > 1 for name in changed)
        return Patch(snapshot.in_container({"env": _rewritten(written, changed) if doubled else _merged(changed)}))


def _merged(changed: Mapping[str, str | None]) -> list[Mapping[str, Any]]:
    """What a strategic merge patch says of the changed variables, which it knows by their names."""
    return [
        {"name": name, "$patch": "delete"} if value is None else _entry(name, value) for name, value in changed.items()
    ]


def _rewritten(entries: Iterable[Mapping[str, Any]], changed: Mapping[str, str | None]) -> list[Mapping[str, Any]]:
    """What it says to put others in place of all: each changed variable once, where it stood first; new ones last."""
    left, found = dict(changed), [_REPLACE]
    for entry in entries:
        name = entry["name"]
        if name not in changed:
            found.append(entry)
        elif (value := left.pop(name, None)) is not None:
            found.append(_entry(name, value))
    return [*found, *(_entry(name, value) for name, value in left.items() if value is not None)]


def _entries(snapshot: Snapshot) -> dict[str, Mapping[str, Any]]:
    """By name; of several of one name the last counts, as it does for the container."""
    return {entry["name"]: entry for entry in snapshot.container.get("env") or ()}


def _refers(entry: Mapping[str, Any]) -> bool:
    return entry.get("valueFrom") is not None


def _entry(name: str, value: str) -> Mapping[str, Any]:
    return {"name": name, "value": _escaped(value)}


def _escaped(value: str) -> str:
    return re.sub(r"\$(?=[$(])", "$$", value)


def _shown(value: str) -> str:
    return value.replace("$$", "$")
