"""Deployments and Pods asked for and changed one at a time, with the caller's token: Kubernetes decides what they may.

The service's own account only reads here, and only to catch up.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from service.cluster.client import Client, ClusterUnreachable, UnexpectedStatus, status_message
from service.cluster.recent import Recent
from service.cluster.versions import version_number
from service.errors import InvalidAuthToken, ResourceNotFound, UnprocessableEntity
from service.model.changes import Change, Live, Scale
from service.model.derive import Unparsable, derive_workload
from service.model.labels import Keys
from service.model.manifests import Deployment
from service.model.pods import Pod
from service.model.process import Workload

FIELD_MANAGER = "cf-processes"
STRATEGIC_MERGE, JSON_PATCH = "application/strategic-merge-patch+json", "application/json-patch+json"
PATCH_QUERY = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}

_decode_deployment = msgspec.json.Decoder(Deployment).decode


class Conflict(Exception):
    """The Deployment is not the version any more that the patch was made for."""


class Denied(Exception):
    """Kubernetes answered 403: to the caller (RBAC) or to what they want (admission). The message is Kubernetes'."""


@dataclass(frozen=True)
class Changed:
    """What a process is run by, as a change has left it."""

    workload: Workload
    version: int
    """The resourceVersion of its Deployment."""


class Workloads:
    def __init__(self, client: Client, callers: Client, recent: Recent, keys: Keys) -> None:
        """`callers` is a client without an identity of its own."""
        self._client = client
        self._callers = callers
        self._recent = recent
        self._keys = keys

    async def read(self, token: str, workload: Workload) -> Live:
        """The process's Deployment as it is now. Raises ResourceNotFound, InvalidAuthToken, ClusterUnreachable."""
        status, body = await self._callers.send("GET", _path(workload), token=token)
        if status == 403:
            raise ResourceNotFound("Process not found")
        _check(status, body)
        return self._live(body, workload)

    def recall(self, workload: Workload) -> Live | None:
        """The process's Deployment as it lately was, if somebody has changed it lately."""
        seen = self._recent.get(workload.uid)
        if seen is None or not _same_process(seen.workload, workload):
            return None
        return Live(seen.workload, orjson.loads(seen.raw), seen.version, self._keys)

    async def patch(self, token: str, live: Live, patch: dict[str, Any]) -> Changed:
        """Change the Deployment, all or nothing.

        Raises Conflict, Denied, UnprocessableEntity with Kubernetes' words, and as `read` does. After
        ClusterUnreachable nobody knows whether it is changed.
        """
        path = _path(live.workload)
        status, body = await self._callers.send(
            "PATCH", path, PATCH_QUERY, patch, content_type=STRATEGIC_MERGE, token=token
        )
        if status == 409:
            raise Conflict
        _check(status, body)
        return self._changed(body, live.workload)

    async def scale_at_once(self, token: str, workload: Workload, change: Change) -> Changed | None:
        """Change the Deployment without a look at it, whatever it is like, as `patch` does.

        None, and nothing is changed: only one who has looked can make the change, or say what is wrong with it.
        """
        operations = change.at_once(workload, self._keys) if isinstance(change, Scale) else None
        if operations is None:
            return None
        path = _path(workload)
        status, body = await self._callers.send(
            "PATCH", path, PATCH_QUERY, operations, content_type=JSON_PATCH, token=token
        )
        if status in (409, 422):
            return None
        _check(status, body)
        return self._changed(body, workload)

    async def delete_pod(self, token: str, pod: Pod) -> bytes | None:
        """Delete that very Pod: how it is then, or None where it was gone. Raises Denied and as `read` does."""
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": pod.uid}}
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
        status, body = await self._callers.send("DELETE", path, None, options, token=token)
        if status in (404, 409):
            # Gone, or another Pod by now has its name.
            return None
        _check(status, body)
        return body

    async def deployments_of(self, namespace: str, app_guid: str) -> tuple[list[msgspec.Raw], int]:
        """The app's Deployments in a namespace, and the version as of which there are no others.

        Raises ClusterUnreachable.
        """
        return await self._list(f"/apis/apps/v1/namespaces/{namespace}/deployments", app_guid)

    async def pods_of(self, namespace: str, app_guid: str) -> tuple[list[msgspec.Raw], int]:
        """The app's Pods in a namespace, likewise."""
        return await self._list(f"/api/v1/namespaces/{namespace}/pods", app_guid)

    async def _list(self, path: str, app_guid: str) -> tuple[list[msgspec.Raw], int]:
        try:
            body = await self._client.get(path, {"labelSelector": f"{self._keys.app_guid}={app_guid}"})
            listed = _decode_list(body)
        except UnexpectedStatus as error:
            raise ClusterUnreachable(str(error)) from error
        except msgspec.DecodeError as error:
            raise ClusterUnreachable(f"{path}: the answer is not a list") from error
        return listed.items, version_number(listed.metadata.resourceVersion)

    def _live(self, body: bytes, workload: Workload) -> Live:
        current = self._current(body, workload)
        return Live(current.workload, orjson.loads(body), current.version, self._keys)

    def _changed(self, body: bytes, workload: Workload) -> Changed:
        changed = self._current(body, workload)
        self._recent.put(changed.workload, changed.version, body)
        return changed

    def _current(self, body: bytes, workload: Workload) -> Changed:
        """What the Deployment runs. Raises ResourceNotFound where that is not this process."""
        try:
            deployment = _decode_deployment(body)
            current = derive_workload(deployment, self._keys)
        except (Unparsable, msgspec.DecodeError, OverflowError) as error:
            raise ResourceNotFound("Process not found") from error
        if not _same_process(current, workload):
            # Its labels have just been changed: it is another process, or none.
            raise ResourceNotFound("Process not found")
        return Changed(current, version_number(deployment.metadata.resourceVersion))


class _List(msgspec.Struct, gc=False):
    class Meta(msgspec.Struct, gc=False):
        resourceVersion: str

    metadata: Meta
    items: list[msgspec.Raw]


_decode_list = msgspec.json.Decoder(_List).decode


def _path(workload: Workload) -> str:
    return f"/apis/apps/v1/namespaces/{workload.namespace}/deployments/{workload.name}"


def _same_process(one: Workload, other: Workload) -> bool:
    return (one.guid, one.key) == (other.guid, other.key)


def _check(status: int, body: bytes) -> None:
    """Raises what a refusal means."""
    if status < 300:
        return
    if status == 401:
        raise InvalidAuthToken
    if status == 404:
        raise ResourceNotFound("Process not found")
    message = status_message(body)
    if status == 403:
        raise Denied(message)
    raise UnprocessableEntity(f"Kubernetes refuses this: {message}")
