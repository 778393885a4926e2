"""What the app came with, kept beside what this API has put in its place, so that null can bring it back.

The first change of a command, a user or a health check keeps the fields of the app container that it replaces in an
annotation of the Deployment, together with the fields that it puts there. What is kept counts while the container has
those: whoever deploys other ones has written a new original, and what was kept before must not replace it.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

Fields = Mapping[str, Any]
"""Fields of the app container, by name. None: the container does not have it."""

_PROBE_DEFAULTS = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_ACTION_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "httpGet": {"path": "/", "scheme": "HTTP"},
    "grpc": {"service": ""},
}
"""What Kubernetes fills in (SetDefaults_* of k8s.io/kubernetes/pkg/apis/core/v1/defaults.go)."""


class _Kept(msgspec.Struct, frozen=True):
    original: dict[str, Any]
    replaced_by: dict[str, Any]


def kept(annotation: str | None, present: Fields) -> Fields | None:
    """The original of the fields, which are `present` now. None: those are the original, as far as is known."""
    if annotation is None:
        return None
    try:
        found = msgspec.json.decode(annotation, type=_Kept)
    except (msgspec.DecodeError, RecursionError):
        # Somebody's own, or nested 100,000 deep: it says nothing of what the app came with.
        return None
    if _stored(found.replaced_by, present) != _stored(present, present):
        return None
    return {name: found.original.get(name) for name in present}


def annotated(original: Fields | None, present: Fields, replaced_by: Fields) -> str:
    """The annotation that keeps the original (None: what is present), and counts while what replaces it is there."""
    first = present if original is None else original
    return msgspec.json.encode(_Kept(_without_none(first), _without_none(replaced_by))).decode()


def _without_none(fields: Fields) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _stored(fields: Fields, names: Fields) -> dict[str, Any]:
    """The fields of these names as Kubernetes stores them: with its defaults, and without what is empty."""
    return {
        name: _with_defaults(fields[name]) if name.endswith("Probe") else fields[name]
        for name in names
        if fields.get(name) not in (None, [], {})
    }


def _with_defaults(probe: Any) -> Any:
    if not isinstance(probe, dict):
        return probe
    filled = {**_PROBE_DEFAULTS, **probe}
    for action, defaults in _ACTION_DEFAULTS.items():
        if isinstance(filled.get(action), dict):
            filled[action] = {**defaults, **filled[action]}
    return filled
