"""Which labels would make a Deployment a process, for one that carries none: as kubectl commands.

The label of a Deployment makes it a process at once, and restarts nothing. Its instances are known only once its Pods
carry the label too, which takes a change of the Pod template: that rolls the Deployment out.
"""

import shlex
from collections.abc import Mapping

import msgspec
import orjson

from service.model.derive import DEFAULT_TYPE
from service.model.guids import derived_guid
from service.model.labels import Keys


class Labels(msgspec.Struct, frozen=True):
    """The labels that a Deployment has, and gives to its Pods."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    """Its own."""
    pod_labels: Mapping[str, str]
    """The labels of its Pod template."""


def app_guid(deployment: Labels, keys: Keys) -> str:
    """The GUID of its app: the one that a label of it says, else the same for ever for this namespace and name."""
    return deployment.labels.get(keys.app_guid) or derived_guid(f"app/{deployment.namespace}/{deployment.name}")


def label_command(deployment: Labels, keys: Keys) -> str | None:
    """What makes it a process; None: it is one. An app of its own, of type `web` unless it says otherwise."""
    if deployment.labels.get(keys.app_guid):
        return None
    wanted = {keys.app_guid: app_guid(deployment, keys), keys.process_type: DEFAULT_TYPE}
    missing = [f"{key}={value}" for key, value in wanted.items() if not deployment.labels.get(key)]
    # An empty label is there, and would not be replaced.
    return _kubectl(deployment, "label", "--overwrite", f"deployment/{deployment.name}", *missing)


def template_command(deployment: Labels, keys: Keys) -> str | None:
    """What makes its Pods known as instances, and replaces them; None: they are."""
    guid = app_guid(deployment, keys)
    if deployment.pod_labels.get(keys.app_guid) == guid:
        return None
    patch = {"spec": {"template": {"metadata": {"labels": {keys.app_guid: guid}}}}}
    text = orjson.dumps(patch).decode()
    return _kubectl(deployment, "patch", f"deployment/{deployment.name}", "--type", "merge", "--patch", text)


def _kubectl(deployment: Labels, *arguments: str) -> str:
    return shlex.join(["kubectl", "--namespace", deployment.namespace, *arguments])
