"""Requests about single Deployments and Pods: reads and changes with the caller's token, so that Kubernetes decides.

With the service's own account there are only lists of one app, for a read that waits for a write.
"""

import re
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from service.cluster.answers import Answer, status_message
from service.cluster.client import Client, ClusterUnreachable, UnexpectedStatus
from service.cluster.deployment_cache import DeploymentCache
from service.cluster.feeds import decode_name
from service.cluster.versions import version_number
from service.errors import InvalidAuthToken, NotAuthorized, ResourceNotFound, ServiceUnavailable, UnprocessableEntity
from service.model.changes import Change, Scale
from service.model.derive import Unparsable, derive_workload
from service.model.labels import Keys
from service.model.manifests import Deployment
from service.model.pods import Pod
from service.model.process import Workload
from service.model.rollback import selector_of
from service.model.snapshots import Snapshot

FIELD_MANAGER = "cf-processes"
_TOO_LARGE = "request is too large"
"""What etcd says of an object that it will never take; Kubernetes makes an error of its own of that, a 500."""
STRATEGIC_MERGE, JSON_PATCH = "application/strategic-merge-patch+json", "application/json-patch+json"
PATCH_QUERY = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}

_OF_CALLER = re.compile(r' is forbidden: User ".*" cannot [a-z]+ resource "')

_decode_deployment = msgspec.json.Decoder(Deployment).decode


class Conflict(Exception):
    """The Deployment does not have the version any more that the patch was made for."""


class Denied(Exception):
    """Kubernetes answered 403: to the caller (RBAC) or to what they want (admission). The message is Kubernetes'."""

    @property
    def is_of_caller(self) -> bool:
        """Whether Kubernetes' words, which are its authorizers', are about who asks."""
        return _OF_CALLER.search(str(self)) is not None


class Refused(UnprocessableEntity):
    """Kubernetes let the caller ask for a change, and refused the change itself. The detail has its words."""

    def __init__(self, words: object) -> None:
        super().__init__(f"Kubernetes refuses this: {words}")


class WebhookFailed(Exception):
    """Kubernetes refused a change because a webhook of the cluster did not do its part, by not answering, say.

    The message is Kubernetes', and names the webhook. The change was not made.
    """


@dataclass(frozen=True)
class Changed:
    """The process that a Deployment runs, as a change has left it."""

    workload: Workload
    version: int
    """The resourceVersion of the Deployment."""
    warnings: tuple[str, ...] = ()
    """Kubernetes', of the change."""


class Workloads:
    def __init__(
        self, *, client: Client, callers: Client, cache: DeploymentCache, keys: Keys, write_timeout_s: float
    ) -> None:
        """`callers` is a client without an identity of its own; `write_timeout_s` is for one request that changes."""
        self._client = client
        self._callers = callers
        self._cache = cache
        self._keys = keys
        self._write_timeout_s = write_timeout_s

    async def read(self, token: str, workload: Workload) -> Snapshot:
        """The process's Deployment as it is now. Raises ResourceNotFound, InvalidAuthToken, ClusterUnreachable."""
        answer = await self._callers.send("GET", _path(workload), token=token)
        if answer.status == 403:
            raise ResourceNotFound("Process not found")
        _check(answer)
        found = self._found(answer, workload)
        return Snapshot(found.workload, orjson.loads(answer.body), found.version, self._keys)

    def cached(self, workload: Workload) -> Snapshot | None:
        """The process's Deployment as it was lately; None: there is no entry of it in the cache."""
        found = self._cache.get(workload.uid)
        if found is None or not _same_process(found.workload, workload):
            return None
        return Snapshot(found.workload, orjson.loads(found.raw), found.version, self._keys)

    async def patch(self, token: str, snapshot: Snapshot, body: dict[str, Any]) -> Changed:
        """Apply a strategic merge patch to the Deployment, wholly or not at all.

        Raises Conflict, Denied, Refused, WebhookFailed, and as `read` does. After ServiceUnavailable, which
        ClusterUnreachable is, nobody knows whether it was applied.
        """
        path = _path(snapshot.workload)
        answer = await self._change("PATCH", path, PATCH_QUERY, body, content_type=STRATEGIC_MERGE, token=token)
        if answer.status == 409:
            raise Conflict
        return self._changed(answer, snapshot.workload)

    async def scale_blind(self, token: str, workload: Workload, change: Change) -> Changed | None:
        """Change the number of instances of a Deployment that was not read, of whatever version it is.

        None, and nothing is changed: it has to be read for this change, or to tell what is wrong with it. Raises as
        `patch` does.
        """
        operations = change.blind_patch(workload, self._keys) if isinstance(change, Scale) else None
        if operations is None:
            return None
        path = _path(workload)
        answer = await self._change("PATCH", path, PATCH_QUERY, operations, content_type=JSON_PATCH, token=token)
        return None if answer.status in (409, 422) else self._changed(answer, workload)

    async def replica_sets(self, token: str, snapshot: Snapshot) -> list[dict[str, Any]]:
        """The ReplicaSets that a Deployment's selector finds, its own among them, read with the caller's token.

        Raises NotAuthorized, and as `read` does.
        """
        path = f"/apis/apps/v1/namespaces/{snapshot.workload.namespace}/replicasets"
        answer = await self._callers.send("GET", path, {"labelSelector": selector_of(snapshot)}, token=token)
        if answer.status == 403:
            raise NotAuthorized
        _check(answer)
        found: list[dict[str, Any]] = orjson.loads(answer.body)["items"]
        return found

    async def delete_pod(self, token: str, pod: Pod) -> bytes | None:
        """Delete this very Pod. Returns its JSON as it is then, or None where it was gone already.

        Raises Denied, Refused, WebhookFailed, and as `read` does.
        """
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": pod.uid}}
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
        answer = await self._change("DELETE", path, None, options, token=token)
        if answer.status in (404, 409):
            # Gone, or another Pod by now has its name.
            return None
        _check(answer)
        return answer.body

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

    async def _change(self, method: str, path: str, query: Any, body: object, **options: Any) -> Answer:
        """Send a change. Raises Refused, WebhookFailed, and ServiceUnavailable, after which it may yet be made."""
        try:
            answer = await self._callers.send(method, path, query, body, timeout_s=self._write_timeout_s, **options)
        except ClusterUnreachable as error:
            if error.said is None:
                raise
            _check_webhooks(error.said)
            if _TOO_LARGE in error.said:
                raise Refused(error.said) from error
            if error.http_status == 504:
                raise ServiceUnavailable(f"Kubernetes did not finish in time, and may yet: {error.said}") from error
            raise
        if answer.status >= 400:
            _check_webhooks(status_message(answer.body))
        return answer

    def _changed(self, answer: Answer, workload: Workload) -> Changed:
        _check(answer)
        changed = self._found(answer, workload)
        self._cache.put(changed.workload, changed.version, answer.body)
        return changed

    def _found(self, answer: Answer, workload: Workload) -> Changed:
        """The process that the Deployment in the answer runs. Raises ResourceNotFound where it is another one."""
        try:
            decode_name(answer.body)
        except msgspec.DecodeError as error:
            # A proxy's page, say. What was asked for may have been done.
            raise ClusterUnreachable("the answer is not a Deployment") from error
        try:
            deployment = _decode_deployment(answer.body)
            found = derive_workload(deployment, self._keys)
        except (Unparsable, msgspec.DecodeError, OverflowError) as error:
            raise ResourceNotFound("Process not found") from error
        if not _same_process(found, workload):
            # Its labels have just been changed: it is another process, or none.
            raise ResourceNotFound("Process not found")
        return Changed(found, version_number(deployment.metadata.resourceVersion), answer.warnings)


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


def _check_webhooks(words: str) -> None:
    """Raises what Kubernetes says of a webhook. Its status says nothing: a webhook refuses with any that it likes."""
    if words.startswith('admission webhook "'):
        raise Refused(words)
    if 'webhook "' in words:
        raise WebhookFailed(words)


def _check(answer: Answer) -> None:
    """Raises what a refusal means."""
    if answer.status < 300:
        return
    if answer.status == 401:
        raise InvalidAuthToken
    if answer.status == 404:
        raise ResourceNotFound("Process not found")
    message = status_message(answer.body)
    if answer.status == 403:
        raise Denied(message)
    raise Refused(message)
