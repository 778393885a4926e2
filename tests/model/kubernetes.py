"""What kube-apiserver does with a patch, as far as the patches of service.model.changes need: small, and faithful.

https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/ and, for the defaults,
SetDefaults_Probe, SetDefaults_HTTPGetAction of k8s.io/kubernetes/pkg/apis/core/v1/defaults.go.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

PROBES = ("livenessProbe", "startupProbe", "readinessProbe")
MERGED_BY_NAME = ("containers", "initContainers")
"""All other lists that the patches could hold are replaced."""


def patched(manifest: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The object after a strategic merge patch, with what Kubernetes fills in."""
    result = _merged(manifest, patch)
    for container in result["spec"]["template"]["spec"]["containers"]:
        for name in PROBES:
            if container.get(name) is not None:
                container[name] = defaulted(container[name])
    return result


def defaulted(probe: Mapping[str, Any]) -> dict[str, Any]:
    """A probe as kube-apiserver stores it."""
    filled = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3, **deepcopy(probe)}
    if "httpGet" in filled:
        filled["httpGet"] = {"path": "/", "scheme": "HTTP", **filled["httpGet"]}
    return filled


def refusals(probe: Mapping[str, Any], kind: str) -> list[str]:
    """What kube-apiserver's validation would have against a probe."""
    found = []
    actions = [action for action in ("httpGet", "tcpSocket", "grpc", "exec") if probe.get(action) is not None]
    if len(actions) != 1:
        found.append(f"{kind} has {actions}")
    for field in ("timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        if not 1 <= probe[field] < 1 << 31:
            found.append(f"{kind}.{field} is {probe[field]}")
    if kind != "readinessProbe" and probe["successThreshold"] != 1:
        found.append(f"{kind}.successThreshold must be 1")
    if kind == "readinessProbe" and "terminationGracePeriodSeconds" in probe:
        found.append("a readinessProbe ends nothing")
    return found


def _merged(old: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    result = {key: deepcopy(value) for key, value in old.items()}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            known = result.get(key)
            # Into nothing, the patch is taken as it is, without its nulls.
            result[key] = _merged(known if isinstance(known, Mapping) else {}, value)
        elif key in MERGED_BY_NAME:
            result[key] = _by_name(result.get(key) or [], value)
        else:
            result[key] = deepcopy(value)
    return result


def _by_name(old: list[dict[str, Any]], patch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Elements the patch names come out in its order, between the others where they were (normalizeElementOrder)."""
    known = {each["name"]: each for each in old}
    places = {name: place for place, name in enumerate(known)}
    named = [_merged(known.get(each["name"], {}), each) for each in patch]
    names = {each["name"] for each in patch}
    others = [each for each in old if each["name"] not in names]
    result = []
    while named or others:
        ours = not others or (
            bool(named) and named[0]["name"] in places and places[named[0]["name"]] < places[others[0]["name"]]
        )
        result.append((named if ours else others).pop(0))
    return result
