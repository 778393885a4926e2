"""What a kubelet makes of a Pod, as far as its process can tell: variables, token, read-only files, user.

The machine is left as it is: the process gets a user and a mount namespace of its own (`unshare` of util-linux), in
which every mount is read-only and the Pod's volumes lie on top.
"""

import base64
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.deploy.overlays import DEPLOY
from tests.support.kube import Kube

# Takes user, group, pairs of volume and mount path, `--` and the command. /proc stays writable for the second unshare,
# which gives up the rights that the first one needs to mount. What cannot be made read-only is none of the process's.
_BECOME = r"""
set -eu
user=$1 group=$2
shift 2
awk '$5 !~ "^/proc" { print $5 }' /proc/self/mountinfo |
  while read -r mount; do mount -o remount,bind,ro "$mount" || :; done
mount -t tmpfs tmpfs /run
while [ "$1" != -- ]; do
  mkdir -p "$2"
  mount --bind "$1" "$2"
  mount -o remount,bind,ro "$2"
  shift 2
done
shift
mount -o remount,bind,ro /run
exec unshare --user --map-user="$user" --map-group="$group" "$@"
"""
_UNSHARED = ("unshare", "--user", "--map-root-user", "--mount")


def hindrance() -> str:
    """Why processes cannot be contained on this machine; empty: they can."""
    tried = subprocess.run([*_UNSHARED, "mount", "-t", "tmpfs", "tmpfs", "/run"], check=False, capture_output=True)
    return tried.stderr.decode().strip()


async def variables(kube: Kube, pod: Mapping[str, Any], server: str) -> dict[str, str]:
    """The environment of the Pod's container, in a cluster whose kube-apiserver is at `server`, https://host:port."""
    namespace = pod["metadata"]["namespace"]
    (container,) = pod["spec"]["containers"]
    host, port = server.removeprefix("https://").split(":")
    given = _of_image() | {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    for source in container.get("envFrom", ()):
        found = await _data(kube, namespace, "configmaps", source["configMapRef"])
        given |= found or {}
    for variable in container["env"]:
        if "value" in variable:
            given[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda name: given[name[1]], variable["value"])
            continue
        reference = variable["valueFrom"]["secretKeyRef"]
        found = await _data(kube, namespace, "secrets", reference)
        if found is not None:
            given[variable["name"]] = base64.b64decode(found[reference["key"]]).decode()
    return given


def _of_image() -> dict[str, str]:
    """What the Dockerfile sets, but for PATH: the programs are elsewhere here."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^ENV (.*)$", text, re.MULTILINE)
    return {name: value for name, value in (pair.split("=", 1) for pair in line.split()) if name != "PATH"}


async def _data(kube: Kube, namespace: str, resource: str, reference: Mapping[str, Any]) -> dict[str, str] | None:
    """None: what is referred to is not there, and need not be."""
    there = await kube.request("GET", f"/api/v1/namespaces/{namespace}/{resource}")
    data: dict[str, dict[str, str]] = {each["metadata"]["name"]: each["data"] for each in there["items"]}
    if reference.get("optional"):
        return data.get(reference["name"])
    return data[reference["name"]]


async def volumes(kube: Kube, pod: Mapping[str, Any], directory: Path) -> dict[Path, str]:
    """The Pod's volumes, all of them projected, made below `directory`; where its container mounts them."""
    (container,) = pod["spec"]["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    made = {}
    for volume in pod["spec"]["volumes"]:
        where = directory / volume["name"]
        where.mkdir()
        for source in volume["projected"]["sources"]:
            for path, text in (await _projected(kube, pod, source)).items():
                (where / path).write_text(text)
        made[where] = mounts[volume["name"]]
    return made


async def _projected(kube: Kube, pod: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, str]:
    namespace = pod["metadata"]["namespace"]
    if "configMap" in source:
        data = await _data(kube, namespace, "configmaps", source["configMap"])
        assert data is not None
        return {item["path"]: data[item["key"]] for item in source["configMap"]["items"]}
    token = source["serviceAccountToken"]
    bound = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    answer = await kube.request(
        "POST",
        f"/api/v1/namespaces/{namespace}/serviceaccounts/{pod['spec']['serviceAccountName']}/token",
        {"spec": {"expirationSeconds": token["expirationSeconds"], "boundObjectRef": bound}},
    )
    return {token["path"]: answer["status"]["token"]}


def contained(pod: Mapping[str, Any], mounts: Mapping[Path, str], *command: str) -> list[str]:
    """The command line that runs `command` as in the Pod's container."""
    context = pod["spec"]["securityContext"]
    (container,) = pod["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    pairs = [str(part) for pair in mounts.items() for part in pair]
    user, group = str(context["runAsUser"]), str(context["runAsGroup"])
    return [*_UNSHARED, "sh", "-c", _BECOME, "sh", user, group, *pairs, "--", *command]
